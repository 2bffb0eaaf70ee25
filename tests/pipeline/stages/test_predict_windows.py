"""Windows of a long recording get the spikes that the network fires for frames that plain NumPy cuts from it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from cli_inputs import one_line
from data_folders import HEIGHT, WIDTH
from finished_folder import finished_folder
from long_recordings import frames_by_hand, long_columns

import spikeport as sp
from spikeport.errors import UserError
from spikeport.pipeline.stages import predict as module


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> sp.Run:
    monkeypatch.setenv("SPIKEPORT_CACHE", str(tmp_path / "cache"))
    return sp.open_run(finished_folder(tmp_path, "mine", seed=1, threshold=40))


def long_recording(path: Path, last: int) -> dict[str, np.ndarray]:
    columns = long_columns(last)
    np.savez(path, t=columns["t"], x=columns["x"], y=columns["y"], p=columns["p"])
    return columns


@pytest.mark.parametrize("most", [1, 3 * 5 * 2 * HEIGHT * WIDTH, 2**26])
@pytest.mark.parametrize(("overlap", "last"), [(0.5, 400), (1.0, 399), (1.7, 401), (0.3, 20)])
def test_each_window_is_classified_as_its_frames(
    run: sp.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overlap: float, last: int, most: int
) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", most)
    data = run.recipe.data
    long = data.steps * data.step_us
    step = round(overlap * long)
    columns = long_recording(tmp_path / "long.npz", last)
    found = sp.predict(run, tmp_path / "long.npz", window_step_us=step)
    begins = [begin for begin in range(0, last + 1, step) if begin + long <= last + 1] or [0]
    assert [row.start_us for row in found] == begins
    frames = np.stack([frames_by_hand(columns, begin, data.steps, data.step_us) for begin in begins])
    trace = sp.simulate(run.network, frames)
    np.testing.assert_array_equal([row.scores for row in found], trace.spikes.sum(axis=1))
    silent = trace.classes() == -1
    assert [row.silent for row in found] == silent.tolist()
    relative = columns["t"] - 7
    assert [row.events for row in found] == [((relative >= b) & (relative < b + long)).sum() for b in begins]


def test_the_command_prints_a_row_for_each_window(spikeport, run: sp.Run, tmp_path: Path) -> None:
    long_recording(tmp_path / "long.npz", 400)
    words = ("predict", run.path, "long.npz", "--window-step", "0.1", "--csv", "out.csv")
    code, out, err = spikeport(*words)
    assert code == 0, err
    found = sp.predict(run, tmp_path / "long.npz", window_step_us=100)
    assert "from s" in out
    rows = list(csv.DictReader(Path("out.csv").read_text().splitlines()))
    assert [int(row["start_us"]) for row in rows] == [row.start_us for row in found]
    assert [row["class"] for row in rows] == [row.predicted for row in found]
    code, out, _ = spikeport(*words[:-2], "--json")
    assert [row["start_us"] for row in json.loads(out)["recordings"]] == [row.start_us for row in found]
    _, out, _ = spikeport("predict", run.path, "long.npz", "--json")
    assert "start_us" not in out  # of a recording that is not cut


def test_no_window_step_of_nothing(spikeport, run: sp.Run, tmp_path: Path) -> None:
    long_recording(tmp_path / "long.npz", 400)
    code, _, err = spikeport("predict", run.path, "long.npz", "--window-step", "0")
    assert code == 2
    assert "--window-step: windows cannot begin every 0 us" in one_line(err)


def test_stretched_recordings_have_no_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEPORT_CACHE", str(tmp_path / "cache"))
    run = finished_folder(tmp_path, "mine", seed=1, window="whole")
    long_recording(tmp_path / "long.npz", 400)
    with pytest.raises(UserError, match="stretched to one window each"):
        sp.predict(run, tmp_path / "long.npz", window_step_us=10)
