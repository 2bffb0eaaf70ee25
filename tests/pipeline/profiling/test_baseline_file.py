"""baseline.json: what was measured travels whole, and nothing else does."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from spikeport.errors import UserError
from spikeport.pipeline.profiling.baseline.baseline_file import read_baseline, write_baseline

ABOUT = {"created_utc": "2026-11-28T18:00:00Z", "versions": {"onnxruntime": "1.31.1"}, "command": "spikeport run"}


def row(**changes: Any) -> dict[str, Any]:
    latency = {"low": 1.0, "nominal": 2.0, "high": 4.5}
    return {
        "model": "teacher",
        "device": "a card",
        "batch": 8,
        "latency_us": latency,
        "latency_basis": "measured",
        "energy_uj": {"low": -3.0, "nominal": -3.0, "high": -3.0},
        "energy_basis": "measured",
        "scope": "board",
        "reason": "",
        "us_per_inference": 0.25,
        **changes,
    }


def test_measured_rows_travel_whole_and_floors_stay_behind(tmp_path: Path) -> None:
    """A negative dynamic energy is what the counter said, and survives."""
    floor = row(batch="any", latency_us=None, latency_basis=None, energy_basis="floor")
    write_baseline(
        tmp_path / "b.json", [row(), floor, row(batch=1, energy_uj=None, energy_basis=None)], ABOUT, {"t": "a1"}
    )
    first, second = read_baseline(tmp_path / "b.json")
    digest = hashlib.sha256((tmp_path / "b.json").read_bytes()).hexdigest()
    assert first == row(
        scope="measured elsewhere, 2026-11-28T18:00:00Z: board", taken_from={"file": "b.json", "sha256": digest}
    )
    assert (second["batch"], second["energy_uj"]) == (1, None)


def point(batch: int, **changes: Any) -> dict[str, Any]:
    latency = {"low": 1.0 * batch, "nominal": 1.5 * batch, "high": 2.0 * batch}
    return {"batch": batch, "latency_us": latency, "us_per_inference": 1.5, "repeats": 9, "energy_uj": None, **changes}


def test_a_curve_travels_and_a_file_without_one_has_none(tmp_path: Path) -> None:
    joules = {"low": -4.0, "nominal": -4.0, "high": -4.0}
    curve = [point(1), point(8, energy_uj=joules)]
    write_baseline(tmp_path / "b.json", [row(batch=1, curve=curve), row()], ABOUT, {})
    first, second = read_baseline(tmp_path / "b.json")
    assert first["curve"] == curve
    assert "curve" not in second


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": "spikeport-report/1"}, "schema = 'spikeport-report/1': Input should be 'spikeport-baseline/1'"),
        ({"rows": [row(energy_basis="floor")]}, "rows[0].energy_basis = 'floor': Input should be 'measured'"),
        ({"rows": [row(), row(batch=0)]}, "rows[1].batch = 0: Input should be greater than or equal to 1"),
        ({"rows": [row(latency_us=5)]}, "rows[0].latency_us = 5: "),
        ({"rows": [row(curve=[point(1), point(8, latency_us=None)])]}, "rows[0].curve[1].latency_us = None: "),
        ({"rows": [row(curve=[point(1, repeats=0)])]}, "rows[0].curve[0].repeats = 0: "),
        ({"more": 1}, "unknown key 'more'"),
    ],
)
def test_what_is_no_measured_row_is_refused_by_key(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    path = tmp_path / "b.json"
    write_baseline(path, [row()], ABOUT, {})
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError) as caught:
        read_baseline(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["", "[1, 2", '{"schema": NaN}', "\udcff"])
def test_what_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "b.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=r"b\.json"):
        read_baseline(tmp_path / "b.json")
    with pytest.raises(UserError, match=r"none\.json: cannot read"):
        read_baseline(tmp_path / "none.json")
