"""New recordings of ready frames are classified as those of the run, whether they are arrays or folders of pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_inputs import one_line
from data_folders import CLASSES, EACH, HEIGHT, WIDTH
from finished_folder import finished_folder
from PIL import Image

import spikeport as sp

STEPS = 5


def frames_of(label: int, n: int) -> np.ndarray:
    """bool `[5, 2, 6, 9]`."""
    return np.random.default_rng([label, n]).random((STEPS, 2, HEIGHT, WIDTH)) < 0.2


def write_pictures(folder: Path, frames: np.ndarray) -> None:
    """Red is OFF, green is ON, on black; numbers without leading zeros, from 8 on."""
    folder.mkdir(parents=True)
    for step, (off, on) in enumerate(frames):
        rgb = np.stack([off, on, np.zeros_like(on)], axis=-1).astype(np.uint8) * 255
        Image.fromarray(rgb).save(folder / f"{8 + step}.png")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> sp.Run:
    """A run with recordings of ready frames: pictures, and arrays in every third."""
    monkeypatch.setenv("SPIKEPORT_CACHE", str(tmp_path / "cache"))
    for label, name in enumerate(CLASSES):
        for n in range(EACH):
            path = tmp_path / "shots" / name / f"{n:03}"
            if n % 3:
                write_pictures(path, frames_of(label, n))
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path.with_suffix(".npy"), frames_of(label, n).astype(np.uint8))
    settings = {"events": "shots", "recordings": "frames", "step_us": 2_000}
    return sp.open_run(finished_folder(tmp_path, "mine", seed=1, threshold=40, **settings))


def test_a_folder_of_classes_has_the_spikes_of_the_run(tmp_path, run):
    found = sp.predict(run, tmp_path / "shots")
    assert len(found) == 3 * EACH
    assert [row.label for row in found] == [name for name in CLASSES for _ in range(EACH)]
    assert found.accuracy is not None
    assert (found.accuracy["n"], found.unread, found.of_dataset) == (3 * EACH, (), 3 * EACH)
    scores = {"/".join(Path(row.recording).with_suffix("").parts[-2:]): row.scores for row in found}
    tested = run.dataset.test
    np.testing.assert_array_equal([scores[key] for key in tested.keys], run.trace.spikes.sum(axis=1))
    events = {(row.label, Path(row.recording).stem): row.events for row in found}
    assert events["bee", "004"] == frames_of(1, 4).sum()


def test_recordings_are_named_one_by_one_or_by_any_folder(tmp_path, run):
    everything = {row.recording: row for row in sp.predict(run, tmp_path / "shots")}
    folder, array = tmp_path / "shots" / "cat" / "002", tmp_path / "shots" / "ant" / "003.npy"
    for row in sp.predict(run, [folder, array]):
        assert row.scores == everything[row.recording].scores
    (tmp_path / "new" / "deep").mkdir(parents=True)
    folder.rename(tmp_path / "new" / "deep" / "x.1")
    (tmp_path / "new" / "notes.csv").write_text("t,x,y,p\n0,0,0,1\n")
    [row] = sp.predict(run, tmp_path / "new")
    assert (Path(row.recording).name, row.label) == ("x.1", None)
    assert row.scores == everything[str(folder)].scores


def test_what_is_no_recording_is_one_line(tmp_path, run, spikeport):
    write_pictures(tmp_path / "new" / "short", frames_of(0, 0)[:3])
    write_pictures(tmp_path / "new" / "whole", frames_of(0, 0))
    code, out, err = spikeport("predict", run.path, tmp_path / "new")
    assert code == 2
    assert "short: this recording has other frames: it has 3 frames, and data.steps is 5" in err
    assert "1 of 2 files could not be read" in one_line(err)
    assert "whole" in out
    code, _, err = spikeport("predict", run.path, tmp_path / "new" / "whole" / "8.png")
    assert code == 2
    assert (
        "8.png: no reader of frames for this file: .png is not one of .npy, .npz. Hint: a picture is one frame" in err
    )
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.csv").write_text("t,x,y,p\n0,0,0,1\n")
    code, _, err = spikeport("predict", run.path, tmp_path / "empty")
    assert code == 2
    assert "no recording of ready frames is here. Hint: the run reads <class>/<id>.npy with frames [T, 2, H, W]" in (
        one_line(err)
    )


def test_frames_have_no_windows(tmp_path, run):
    with pytest.raises(sp.UserError, match=r"data\.recordings: the recordings of this run are ready frames"):
        sp.predict(run, tmp_path / "shots", window_step_us=1000)
