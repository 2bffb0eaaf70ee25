"""Every number of a profile's report.json, computed a second time from the network, the frames and the TOML profile.

`recomputed.py` imports nothing of Spikeport. Integers are equal, floats to 1e-12 (sums in another order). A number that
is neither recomputed nor named below, with the reason, fails the test.
"""

from __future__ import annotations

import ast
import csv
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import recomputed
from known_networks import conv_frames, conv_network
from profile_schema import validated

from spikeport.export.formats.frames_file import write_frames
from spikeport.export.formats.netx.write import write_netx

ROOT = Path(__file__).resolve().parents[3]
LOIHI1 = ROOT / "hardware_profiles" / "devices" / "loihi1.toml"
NOT_RECOMPUTED = {
    "warnings.*": "counts of a sentence: what it says is tested with health",
    "layers.*.cores": "a search of a partition, checked in tests/export/mapping",
    "layers.*.chip_share": "the same",
    "energy.*.placement.*": "the same",
    "energy.*.busiest_core.*": "follows from the partition",
    "energy.*.small_networks.*": "from published measurements of keyword spotting, tested with the headline",
    "energy.*.sensitivity.*": "the same formula, one constant replaced: tests/pipeline/profiling/test_sensitivity.py",
    "baseline.*": "an ANN on a GPU, modeled: tests/hardware_profiles/test_launch_bound.py",
    "samples.*": "pictures of two recordings",
    "elsewhere.points.*": "published values, typed a second time in test_measured_elsewhere.py",
    "provenance.*": "versions and the machine",
}


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Numbers of a JSON value by path."""
    if isinstance(value, bool | str | None):
        return {}
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {name: number for key, entry in items for name, number in leaves(entry, f"{path}.{key}").items()}
    return {path[1:]: value}


@pytest.fixture
def profiled(spikeport, tmp_path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    frames, labels = conv_frames(samples=6), np.array([0, 1, 2, 3, 0, 1])
    write_netx(conv_network(), tmp_path / "conv.net")
    write_frames(tmp_path / "f.npz", frames, labels)
    words = ("profile", "conv.net", "--input", "f.npz", "--hardware", "loihi1", "--dt", "1e-3", "--out", "page", "-q")
    code, _, err = spikeport(*words)
    assert code == 0, err
    return validated(tmp_path / "page"), recomputed.recompute(tmp_path / "conv.net", frames, labels, LOIHI1, 1e-3)


def test_the_recomputation_imports_nothing_of_spikeport() -> None:
    tree = ast.parse(Path(recomputed.__file__).read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names])
    }
    assert imported == {"__future__", "tomllib", "pathlib", "typing", "h5py", "numpy"}


def test_every_number_of_a_profile_is_recomputed(profiled: tuple[dict[str, Any], dict[str, Any]]) -> None:
    report, mine = (leaves(each) for each in profiled)
    unknown = [path for path in report if path not in mine and not any(fnmatch(path, each) for each in NOT_RECOMPUTED)]
    assert unknown == []
    assert [path for path in mine if path not in report] == []
    wrong = {
        path: (report[path], value)
        for path, value in mine.items()
        if (report[path] != value if isinstance(value, int) else report[path] != pytest.approx(value, rel=1e-12, abs=0))
    }
    assert wrong == {}
    assert len(mine) > 150


def test_the_table_of_recordings_is_recomputed(profiled: tuple[dict[str, Any], dict[str, Any]], tmp_path: Path) -> None:
    frames = conv_frames(samples=6)
    counts, spikes = recomputed.simulate(recomputed.read_net(tmp_path / "conv.net"), frames)
    constants = recomputed.read_constants(LOIHI1)
    stream, one = (recomputed.energy_of(counts, constants, 4e3, alone=alone) for alone in (False, True))
    with open(tmp_path / "page" / "samples.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for name, key in {
        "synops": "synops",
        "effective_synops": "effective",
        "spikes": "spikes",
        "updates_active": "active",
        "messages": "messages",
        "events_received": "events",
    }.items():
        assert [int(row[name]) for row in rows] == sum(layer[key] for layer in counts).tolist()
    assert [int(row["events"]) for row in rows] == frames.sum(axis=(1, 2, 3, 4)).tolist()
    assert [row["reference"] for row in rows] == [str(each) for each in recomputed.predict(spikes)]
    for name, values in (("dynamic_uj", stream["dynamic"] / 1e6), ("total_uj", stream["total"] / 1e6),
                         ("latency_us", one["time"])):  # fmt: skip
        assert [float(row[f"loihi1_{name}"]) for row in rows] == pytest.approx(values[1].tolist(), rel=1e-12, abs=0)
