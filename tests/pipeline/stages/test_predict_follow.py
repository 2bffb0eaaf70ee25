"""A watched folder: each whole file is classified once, in the look after the one in which it stopped to change."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from cli_inputs import one_line
from data_folders import write_recording
from finished_folder import finished_folder

import spikeport as sp
from spikeport.errors import UserError
from spikeport.pipeline.stages import followed_folder
from spikeport.pipeline.stages.file_predictions import FilePrediction, UnreadFile

Step = Callable[[], object]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> sp.Run:
    monkeypatch.setenv("SPIKEPORT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    Path("new").mkdir()
    return sp.open_run(finished_folder(tmp_path, "mine", seed=1, threshold=40))


def after_looks(monkeypatch: pytest.MonkeyPatch, *steps: Step | None) -> list[int]:
    """Does a step after each look in place of a pause; gives a list that has the number of pauses."""
    pauses = [0]

    def sleep(seconds: float) -> None:
        assert seconds == followed_folder.LOOK_S
        if pauses[0] < len(steps) and (step := steps[pauses[0]]):
            step()
        pauses[0] += 1

    monkeypatch.setattr(followed_folder, "sleep", sleep)
    return pauses


def names(rows: Sequence[object]) -> list[str]:
    return [Path(row.recording).name for row in rows if isinstance(row, FilePrediction | UnreadFile)]


def grow(path: Path, content: bytes, end: int) -> Step:
    return lambda: path.write_bytes(content[:end])


def test_each_whole_file_is_classified_once(run: sp.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write_recording(Path("other/b.npz"), 5)
    content = Path("other/b.npz").read_bytes()
    write_recording(Path("new/a.npz"), 4)
    looks = after_looks(
        monkeypatch,
        grow(Path("new/b.npz"), content, 0),  # empty: not whole, however long it is so
        None,
        None,
        grow(Path("new/b.npz"), content, 300),  # in each look larger than in the one before
        grow(Path("new/b.npz"), content, 600),
        grow(Path("new/b.npz"), content, len(content)),
        lambda: Path("new/deep").mkdir(),
        lambda: shutil.copy("other/b.npz", "new/deep/c.npz"),
        None,
        lambda: Path("new/notes.md").write_text("no recording"),
    )
    rows: list[object] = []
    seen_at = []
    for row in sp.predict_stream(run, "new", follow=True, until_idle_s=4 * followed_folder.LOOK_S):
        rows.append(row)
        seen_at.append(looks[0])
    assert names(rows) == ["a.npz", "b.npz", "c.npz"]
    assert seen_at == [1, 7, 9]  # pauses before the look in which a file was as in the look before
    of_files = sp.predict(run, ["new/a.npz", "new/b.npz", "new/deep/c.npz"])
    assert [row.scores for row in rows if isinstance(row, FilePrediction)] == [row.scores for row in of_files]
    assert looks[0] == 9 + 5  # the look of the last file, and four without a change


def test_a_file_of_the_same_size_and_a_new_time_is_still_written(run: sp.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write_recording(Path("new/a.npz"), 4)
    touched = [lambda at=at: os.utime("new/a.npz", (at, at)) for at in (1_000_000, 2_000_000, 3_000_000)]
    looks = after_looks(monkeypatch, *touched)
    rows = sp.predict_stream(run, "new", follow=True)
    assert names([next(rows)]) == ["a.npz"]
    assert looks[0] == 4


def test_windows_and_damaged_files_of_a_folder(run: sp.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    t = np.arange(0, 130, 3)
    np.savez("new/long.npz", t=t, x=t % 9, y=t % 6, p=t % 2)
    Path("new/bad.npz").write_bytes(b"PK\x03\x04")
    after_looks(monkeypatch)
    rows = list(sp.predict_stream(run, Path("new"), follow=True, until_idle_s=1, window_step_us=40))
    assert isinstance(rows[0], UnreadFile)
    assert names(rows) == ["bad.npz", *["long.npz"] * 3]
    assert [row.start_us for row in rows if isinstance(row, FilePrediction)] == [0, 40, 80]


def test_files_of_class_folders_have_no_labels(run: sp.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    after_looks(monkeypatch)
    rows = list(sp.predict_stream(run, "events", follow=True, until_idle_s=1))
    assert len(rows) == 24
    assert {row.label for row in rows if isinstance(row, FilePrediction)} == {None}


def test_the_command_ends_when_idle(spikeport, run: sp.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write_recording(Path("new/a.npz"), 4)
    after_looks(monkeypatch, None, None, lambda: write_recording(Path("new/b.npz"), 5))
    words = ("predict", run.path, "--follow", "new", "--until-idle", "2")
    code, out, err = spikeport(*words, "--csv", "new/out.csv", "--jsonl")
    assert code == 0, err
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["recording"] for row in rows] == ["new/a.npz", "new/b.npz"]
    assert [list(row["scores"].values()) for row in rows] == [
        list(row.scores) for row in sp.predict(run, ["new/a.npz", "new/b.npz"])
    ]
    assert "classified: 2 recordings" in err
    assert len(Path("new/out.csv").read_text().splitlines()) == 3


def test_ctrl_c_ends_the_command_with_its_summary(spikeport, run: sp.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write_recording(Path("new/a.npz"), 4)

    def interrupt() -> None:
        raise KeyboardInterrupt

    after_looks(monkeypatch, None, None, interrupt)
    code, out, _ = spikeport("predict", run.path, "--follow", "new", "--csv", "out.csv")
    assert code == 130
    assert "new/a.npz" in out
    assert "classified: 1 recordings" in out
    assert len(Path("out.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--follow", "gone"), "gone: only a folder can be followed"),
        (("--follow", "mine/student.net"), "student.net: only a folder can be followed"),
        (("new", "--until-idle", "3"), "--until-idle is for folders that are followed"),
    ],
)
def test_what_cannot_be_followed(spikeport, run: sp.Run, words: tuple[str, ...], text: str) -> None:
    code, out, err = spikeport("predict", run.path, *words)
    assert (code, out) == (2, "")
    assert text in one_line(err)


def test_a_folder_that_vanishes_ends_with_an_error(run: sp.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    after_looks(monkeypatch, None, lambda: Path("new").rmdir())
    with pytest.raises(UserError, match="new: only a folder can be followed"):
        list(sp.predict_stream(run, "new", follow=True))


def test_a_stream_is_no_folder(run: sp.Run) -> None:
    with pytest.raises(UserError, match="standard input is no folder that can be followed"):
        sp.predict_stream(run, io.BytesIO(), follow=True)


def test_ready_frames_are_not_followed(run: sp.Run) -> None:
    recipe = Path("mine/recipe.toml")
    recipe.write_text(recipe.read_text().replace('recordings = "events"', 'recordings = "frames"'))
    with pytest.raises(UserError, match="folders of ready frames are not followed"):
        sp.predict_stream("mine", "new", follow=True)
