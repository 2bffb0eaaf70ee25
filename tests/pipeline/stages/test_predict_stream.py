"""Rows of a stream of text lines are those of the same events in frames that plain NumPy cuts, and come at once."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_inputs import one_line
from data_folders import CLASSES, WIDTH
from finished_folder import finished_folder
from long_recordings import START_US, frames_by_hand, long_columns

import spikeport as sp
from spikeport.errors import UserError
from spikeport.pipeline.stages import event_stream, event_windows
from spikeport.pipeline.stages.file_predictions import FilePrediction, UnreadFile

LONG = 50  # us of a window of the run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> sp.Run:
    monkeypatch.setenv("SPIKEPORT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return sp.open_run(finished_folder(tmp_path, "mine", seed=1, threshold=40))


class Lines(io.BytesIO):
    """Gives a line at each reading, and counts them."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines).encode())
        self.given = 0

    def read1(self, size: int | None = -1, /) -> bytes:
        self.given += 1
        return self.readline()


def lines_of(columns: dict[str, np.ndarray], order: str = "txyp", mark: str = " ") -> list[str]:
    return [mark.join(map(str, row)) for row in zip(*(columns[name].tolist() for name in order), strict=True)]


def expected(run: sp.Run, columns: dict[str, np.ndarray], begins: list[int]) -> list[list[int]]:
    frames = [frames_by_hand(columns, begin, run.recipe.data.steps, run.recipe.data.step_us) for begin in begins]
    return sp.simulate(run.network, np.stack(frames)).spikes.sum(axis=1).tolist()


def predictions(stream: object) -> list[FilePrediction]:
    rows = list(stream)  # type: ignore[call-overload]
    assert all(isinstance(row, FilePrediction) for row in rows)
    return rows


@pytest.mark.parametrize("block", [1, 13, 1 << 16])
@pytest.mark.parametrize(("step", "last"), [(None, 400), (50, 399), (20, 401), (77, 398), (15, 20), (120, 400)])
def test_windows_of_lines_are_those_of_frames(
    run: sp.Run, monkeypatch: pytest.MonkeyPatch, step: int | None, last: int, block: int
) -> None:
    monkeypatch.setattr(event_stream, "BLOCK", max(block, 13))
    columns = long_columns(last)
    text = ["# an event a line", "", *lines_of(columns)]
    stream = Lines(text) if block == 1 else io.BytesIO(("\n".join(text) + "\n").encode())
    found = predictions(
        sp.predict_stream(run, io.BufferedReader(stream) if block == 13 else stream, window_step_us=step,
                          reading={"columns": "txyp"})
    )  # fmt: skip
    begins = [begin for begin in range(0, last + 1, step or LONG) if begin + LONG <= last + 1] or [0]
    assert [row.start_us for row in found] == begins
    assert [list(row.scores) for row in found] == expected(run, columns, begins)
    assert sum(map(sum, expected(run, columns, begins))) > 0
    t = columns["t"] - START_US
    assert [row.events for row in found] == [((t >= begin) & (t < begin + LONG)).sum() for begin in begins]
    assert {row.recording for row in found} == {"-"}
    Path("same.txt").write_text("\n".join(text))
    of_file = sp.predict(run, "same.txt", window_step_us=step or LONG, reading={"columns": "txyp"})
    assert [(row.start_us, row.scores, row.margin) for row in of_file] == [
        (row.start_us, row.scores, row.margin) for row in found
    ]


def test_a_row_comes_as_soon_as_an_event_is_past_its_window(run: sp.Run) -> None:
    columns = long_columns(400)
    t = columns["t"] - START_US
    stream = Lines(lines_of(columns))
    rows = sp.predict_stream(run, stream, reading={"columns": "txyp"})
    assert stream.given == 0
    for begin in (0, 50, 100):
        row = next(rows)
        assert isinstance(row, FilePrediction)
        assert row.start_us == begin
        assert stream.given == int(np.argmax(t >= begin + LONG)) + 1


def test_the_first_line_or_a_comment_names_the_columns(run: sp.Run) -> None:
    columns = long_columns(180)
    wanted = expected(run, columns, [0, 50, 100])
    for text in (["p,t,y,x", *lines_of(columns, "ptyx", ",")], ["# y x p t", *lines_of(columns, "yxpt")]):
        found = predictions(sp.predict_stream(run, Lines(text)))
        assert [list(row.scores) for row in found] == wanted


def test_events_are_placed_as_those_of_files(run: sp.Run) -> None:
    """A sensor of 2 x 3 times as many pixels behind a border, in ms; events of the border are left out."""
    columns = long_columns(180)
    large = columns | {"x": 2 * columns["x"] + 5, "y": 3 * columns["y"] + 2}
    text = ["0.001 0 0 1", *[line.replace(" ", "e-3 ", 1) for line in lines_of(large)]]
    reading = {"columns": "txyp", "time_unit": "ms", "sensor": (25, 20), "crop": (4, 1, 18, 18)}
    found = predictions(sp.predict_stream(run, Lines(text), reading=reading))
    assert [list(row.scores) for row in found] == expected(run, columns, [0, 50, 100])


@pytest.mark.parametrize("block", [False, True])
@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("130 4 5", "has 3 columns, not 4: '130 4 5'"),
        ("130 x 5 1", "'x' is not a number"),
        (f"130 {WIDTH} 5 1", f"an event lies outside the sensor: event 0 is at x = {WIDTH}, y = 5"),
        ("130 1 5 7", "the polarities 7"),
        ("2 4 5 1", "time runs backwards: it is at 2 us, after one at"),
        ("130.5 4 5 1", "t = 130.5"),
    ],
)
def test_a_line_that_is_no_event_is_named_after_the_rows_before_it(
    run: sp.Run, line: str, cause: str, block: bool
) -> None:
    columns = long_columns(400)
    at = int(np.argmax(columns["t"] > 125))
    text = ["# comment", *lines_of(columns)[:at], line, *lines_of(columns)[at:]]
    stream = io.BytesIO("\n".join(text).encode()) if block else Lines(text)
    seen: list[object] = []
    rows = sp.predict_stream(run, stream, reading={"columns": "txyp"})
    with pytest.raises(UserError) as left:
        seen.extend(rows)
    assert f"standard input: line {at + 2} is no event: " in str(left.value)
    assert cause in str(left.value)
    assert [row.start_us for row in predictions(seen)] == [0, 50]
    assert [list(row.scores) for row in predictions(seen)] == expected(run, columns, [0, 50])


def test_columns_without_names_are_asked_for(run: sp.Run) -> None:
    with pytest.raises(UserError, match=r"line 1 is no event: .*--columns txyp"):
        list(sp.predict_stream(run, Lines(lines_of(long_columns(100)))))


def test_events_of_a_window_are_bounded(run: sp.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = long_columns(400)
    t = columns["t"] - START_US
    most = max(((t >= begin) & (t < begin + LONG)).sum() for begin in range(0, 400, LONG))
    item = event_windows.EVENT_DTYPE.itemsize
    monkeypatch.setattr(event_windows, "MOST_BYTES", item * (most + 1))
    assert len(predictions(sp.predict_stream(run, Lines(lines_of(columns)), reading={"columns": "txyp"}))) == 8
    monkeypatch.setattr(event_windows, "MOST_BYTES", item * (most - 1))
    with pytest.raises(UserError, match="a window has more than"):
        list(sp.predict_stream(run, Lines(lines_of(columns)), reading={"columns": "txyp"}))


def test_a_stream_without_an_event_has_no_row(run: sp.Run) -> None:
    assert list(sp.predict_stream(run, Lines(["# nothing", ""]))) == []
    assert list(sp.predict_stream(run, io.BytesIO())) == []


@pytest.mark.parametrize(
    ("reading", "cause"),
    [
        ({"window": "whole"}, "stretched to one window each"),
        ({"sort": True}, "a stream cannot be sorted by time"),
    ],
)
def test_runs_whose_events_are_no_stream(tmp_path: Path, reading: dict[str, object], cause: str) -> None:
    run = finished_folder(tmp_path, "other", seed=1, **reading)
    with pytest.raises(UserError, match=cause):
        sp.predict_stream(run, io.BytesIO())


class Piped:
    """Standard input with bytes."""

    def __init__(self, text: str) -> None:
        self.buffer = io.BytesIO(text.encode())


def test_the_command_reads_standard_input(spikeport, run: sp.Run, tmp_path: Path, monkeypatch) -> None:
    columns = long_columns(180)
    text = "\n".join(lines_of(columns))
    wanted = expected(run, columns, [0, 50, 100])
    words = ("predict", run.path, "-", "--columns", "txyp", "--csv", "out.csv")
    monkeypatch.setattr(sys, "stdin", Piped(text))
    code, out, err = spikeport(*words)
    assert code == 0, err
    lines = [line.split() for line in out.splitlines()]
    assert lines[0][:4] == ["recording", "from", "s", "class"]
    assert [row[:2] for row in lines[2:5]] == [["-", "0.000"], ["-", "0.000"], ["-", "0.000"]]
    assert "classified: 3 windows" in out
    table = Path("out.csv").read_text().splitlines()
    assert table[0].endswith(",start_us")
    assert len(table) == 4
    monkeypatch.setattr(sys, "stdin", Piped(f"{text}\n999 x\n"))
    code, out, err = spikeport(*words[:-2], "--jsonl")
    assert code == 2
    rows = [json.loads(line) for line in out.splitlines()]
    assert [list(row["scores"].values()) for row in rows] == wanted
    assert [list(row["scores"]) for row in rows] == 3 * [list(CLASSES)]
    assert list(rows[0]) == ["recording", "predicted", "silent", "margin", "scores", "events", "start_us"]
    assert "classified: 3 windows" in err
    assert f"standard input: line {len(columns['t']) + 1} is no event" in one_line(err)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("-", "a.npz"), "- is standard input, and files are named too"),
        (("a.npz", "--json", "--jsonl"), "--json and --jsonl are given together"),
    ],
)
def test_words_that_exclude_each_other(spikeport, run: sp.Run, words: tuple[str, ...], text: str) -> None:
    code, out, err = spikeport("predict", run.path, *words)
    assert (code, out) == (2, "")
    assert text in one_line(err)


class Interrupted(Lines):
    """Lines, and Ctrl-C in place of their end."""

    def read1(self, size: int | None = -1, /) -> bytes:
        if not (line := super().read1(size)):
            raise KeyboardInterrupt
        return line


def test_ctrl_c_ends_a_stream_with_its_summary(spikeport, run: sp.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = Piped("")
    stdin.buffer = Interrupted(lines_of(long_columns(180)))
    monkeypatch.setattr(sys, "stdin", stdin)
    code, out, _ = spikeport("predict", run.path, "-", "--columns", "txyp", "--csv", "out.csv")
    assert code == 130
    assert "classified: 3 windows" in out
    assert len(Path("out.csv").read_text().splitlines()) == 4


def test_a_row_of_a_file_comes_before_the_next_file_is_read(run: sp.Run) -> None:
    columns = long_columns(60)
    np.savez("a.npz", **columns)
    rows = sp.predict_stream(run, ["a.npz", "b.npz", "c.npz"])
    first = next(rows)
    np.savez("b.npz", **columns)
    second, third = rows
    assert isinstance(first, FilePrediction)
    assert isinstance(second, FilePrediction)
    assert second.scores == first.scores == tuple(expected(run, columns, [0])[0])
    assert isinstance(third, UnreadFile)
    found = rows.collected([first, second, third])
    assert (found.rows, found.unread) == ((first, second), (third,))
