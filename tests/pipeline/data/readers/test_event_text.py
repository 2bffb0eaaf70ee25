"""Text files: columns are named, never guessed; a damaged line is said with its number."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from event_tuples import read, refusal

from spikeport.pipeline.data.readers import event_text
from spikeport.pipeline.data.readers.recordings import Reading, read_recording

EVENTS = [(1_700_000_000_000_003, 301, 4, 1), (1_700_000_000_000_008, 6, 219, 0), (1_700_000_000_070_000, 0, 3, 1)]


def write(path: Path, rows: Iterable[tuple], mark: str = " ", head: str = "", end: str = "\n") -> Path:
    lines = [*([head] if head else []), *(mark.join(map(str, row)) for row in rows)]
    path.write_bytes("".join(line + end for line in lines).encode())
    return path


@pytest.mark.parametrize("suffix", [".csv", ".txt", ".CSV"])
@pytest.mark.parametrize("mark", [" ", "\t", "  ", ",", ", ", ";", " ; "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_columns_without_names_are_what_the_recipe_says(tmp_path: Path, suffix: str, mark: str, end: str) -> None:
    for order in ("txyp", "xytp", "pytx"):
        rows = [tuple(event["txyp".index(name)] for name in order) for event in EVENTS]
        path = write(tmp_path / f"a{suffix}", rows, mark, end=end)
        assert read(path, order) == EVENTS
        words = refusal(path, "")
        assert "found an array without fields, int64 [3, 4]" in words
        assert "data.columns = " in words


@pytest.mark.parametrize(
    "head",
    ["{}", "# {}", "% {}", "\ufeff{}", "\n\n{}", "# recorded by hand, 346 x 260\n{}", "# {}\n# 3 events\n\n"],
)
@pytest.mark.parametrize("names", ["x,y,p,t", "x, Y, pol, timestamp", '"x","y","polarity","ts"'])
def test_a_header_names_the_columns(tmp_path: Path, head: str, names: str) -> None:
    rows = [(x, y, p, t) for t, x, y, p in EVENTS]
    path = write(tmp_path / "a.csv", rows, ",", head.format(names))
    assert read(path) == read(path, "txyp") == EVENTS  # names in a file come first


def test_what_a_table_of_other_tools_has_beside_events_is_left_out(tmp_path: Path) -> None:
    """As pandas writes a frame: an index without a name, texts, True and False, floats that are whole."""
    rows = [(n, f"{t}", "a b", float(x), y, bool(p)) for n, (t, x, y, p) in enumerate(EVENTS)]
    path = write(tmp_path / "a.csv", rows, ",", ",timestamp,take,x,y,polarity")
    assert read(path) == EVENTS
    path = write(tmp_path / "b.csv", rows, ",", ",timestamp,take,x,y,on")
    path.write_text(path.read_text().replace("6.0,219,False", "6.0,219,False,5"))
    assert "line 3 has 7 columns, not 6" in refusal(path, "txyp")
    signed = [(f'"{t}"', x, y, 2 * p - 1) for t, x, y, p in EVENTS]
    assert read(write(tmp_path / "c.csv", signed, ";", "t;x;y;p")) == EVENTS


def test_numpys_text_files_are_read(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "a.txt", np.array(EVENTS), "%d", header="t x y p")
    assert read(tmp_path / "a.txt") == EVENTS
    np.savetxt(tmp_path / "b.txt", np.array(EVENTS))  # doubles of 18 decimals
    assert read(tmp_path / "b.txt", "txyp") == EVENTS


def test_a_header_with_other_names_agrees_with_the_recipe(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", EVENTS, ",", "time,x,y,sign")
    assert read(path, "txyp") == EVENTS
    assert "found the first line 'time,x,y,sign'; supported are columns that" in refusal(path, "")
    assert "the first line 'time,x,y,sign'" in refusal(path, "tyxp")  # the file says that x is the second
    assert "the first line" in refusal(write(tmp_path / "b.csv", EVENTS, ",", "t,x,y,y"), "txyp")
    five = [(*event, 0) for event in EVENTS]
    assert "5 columns without names" in refusal(write(tmp_path / "c.csv", five, ","), "txyp")
    sensor = write(tmp_path / "d.txt", EVENTS, head="346 260")
    assert "2 columns without names, '346 260'" in refusal(sensor, "txyp")
    assert "if it is the width and height of the sensor, remove it, or begin it with #" in refusal(sensor, "txyp")


def test_times_are_whole_microseconds(tmp_path: Path) -> None:
    whole = [(f"{t % 1000}.000", x, y, p) for t, x, y, p in EVENTS]
    assert [event[0] for event in read(write(tmp_path / "a.txt", whole), "txyp")] == [3, 8, 0]
    seconds = [("0.003811000", 96, 133, 0), ("0.003820001", 6, 219, 1)]
    words = refusal(write(tmp_path / "b.txt", seconds), "txyp")
    assert "t = 0.003811 at event 0" in words
    assert "times must be whole microseconds: t spans 9.001e-06" in words
    assert "t = nan at event 1" in refusal(write(tmp_path / "c.txt", [(1, 2, 3, 1), ("nan", 2, 3, 1)]), "txyp")
    assert "t = inf at event 0" in refusal(write(tmp_path / "d.txt", [("1e400", 2, 3, 1)]), "txyp")


def test_large_times_are_exact_or_refused(tmp_path: Path) -> None:
    """In ns, times since 1970 need 61 bits; a double has 53."""
    large = (1 << 62) + 1
    assert read(write(tmp_path / "a.txt", [(large, 1, 2, 1)]), "txyp") == [(large, 1, 2, 1)]
    assert "does not hold exactly" in refusal(write(tmp_path / "b.txt", [(f"{large}.0", 1, 2, 1)]), "txyp")
    assert "line 2: '9223372036854775808' does not fit 64 bits" in refusal(
        write(tmp_path / "c.txt", [(1, 2, 3, 1), (1 << 63, 1, 2, 1)]), "txyp"
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("17,5,abc,1", "line 5: 'abc' is not a number"),
        ("17,5,6", "line 5 has 3 columns, not 4: '17,5,6'"),
        ("17,5,6,", "line 5: '' is not a number"),
        ("17,5,6,1,0", "line 5 has 5 columns, not 4"),
        ("17 5 6 1", "line 5 has 1 columns, not 4"),
        ("17,5;6,1", "line 5 has 3 columns, not 4"),
        ("17,0x5,6,1", "line 5: '0x5' is not a number"),
        ("17,1_0,6,1", "line 5: '1_0' is not a number"),
        ('17,"5,6,1', "line 5: '\"5' is not a number"),
        ("17,5,6,\x1b[31m", "is not a number"),
        ("17,5,6,1\r18,5,6,1", "line 5 has 7 columns"),
        ("99999999999999999999,5,6,1", "line 5: '99999999999999999999' does not fit 64 bits"),
        ("9" * 5000 + ",5,6,1", "does not fit 64 bits"),
        ("17,5,6,1\0", "it has bytes of value 0, so it is not text"),
        ("17,70000,6,1", "x = 70000 at event 1: x has values that do not fit int16"),
        ("17,5,6,2", "found the polarities 0, 1, 2"),
    ],
)
@pytest.mark.parametrize("piece", [event_text.PIECE, 32])
def test_a_damaged_line_is_said_with_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, words: str, piece: int
) -> None:
    """Comments and empty lines are counted; so are lines of earlier pieces of the file."""
    monkeypatch.setattr(event_text, "PIECE", piece)
    path = tmp_path / "a.csv"
    path.write_bytes(f"# by hand\nt,x,y,p\n3,1,4,1\n  \t\n{line}\n18,1,2,0\n".encode())
    if len(line) > piece == 32:
        words = "a line of it is longer than 32 bytes"
    assert words in refusal(path, "txyp")


@pytest.mark.parametrize("mark", [",", " "])
@pytest.mark.parametrize("piece", [event_text.PIECE, 40])
def test_comments_and_blank_lines_among_events_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: str, piece: int
) -> None:
    monkeypatch.setattr(event_text, "PIECE", piece)
    rows = [mark.join(map(str, (3 * n, n, 2 * n, n % 2))) for n in range(9)]
    rows[2:2] = ["# a comment", "", "  % an indented one"]
    rows[8:8] = ["  \t", "\t\r"]  # after the last comment
    path = tmp_path / "a.txt"
    path.write_text("\n".join(rows), newline="")
    assert read(path, "txyp") == [(3 * n, n, 2 * n, n % 2) for n in range(9)]
    path.write_text("\n".join([*rows, mark.join("12x4")]), newline="")
    assert f"line {len(rows) + 1}: 'x' is not a number" in refusal(path, "txyp")


def test_a_file_cut_within_a_line_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", [(t, x, y, 2 * p - 1) for t, x, y, p in EVENTS], ",")
    content = path.read_bytes()
    last = content.rstrip().rfind(b"\n") + 1
    for length in range(last + 1, content.rfind(b",") + 1):
        path.write_bytes(content[:length])
        assert "this event file cannot be read: line 3" in refusal(path, "txyp")
    for text in (b"", b"\n \n", b"# only a comment\n", b"t,x,y,p\n", b"t x y p"):
        path.write_bytes(text)
        assert "this event file" in refusal(path, "txyp")


def test_pieces_of_a_file_give_what_the_whole_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(3)
    table = np.stack([np.arange(500) * 7, *(generator.integers(0, high, 500) for high in (346, 260, 2))], axis=1)
    path = tmp_path / "a.txt"
    np.savetxt(path, table, "%d", header="t x y p")
    for piece in (31, 100, 1000):
        monkeypatch.setattr(event_text, "PIECE", piece)
        np.testing.assert_array_equal(np.array(read(path)), table)


def test_what_is_no_text_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(5)
    path = tmp_path / "a.txt"
    monkeypatch.setattr(event_text, "PIECE", 256)
    for length in (3, 200, 5000):
        path.write_bytes(generator.integers(1, 256, length, dtype=np.uint8).tobytes())
        assert str(path) in refusal(path, "txyp")
    path.write_text("t,x,y,p\n1,2,3,1\n", encoding="utf-16")
    assert "found text in UTF-16" in refusal(path, "txyp")


def test_a_long_file_needs_little_beside_its_events(tmp_path: Path) -> None:
    count = 600_000
    path = tmp_path / "a.txt"
    path.write_bytes(b"".join(b"%d 345 259 1\n" % n for n in range(count)))
    tracemalloc.start()
    found = read_recording(path, (260, 346), label=0, key="k", reading=Reading(columns="txyp")).events
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == count
    assert peak < 80 * count + (10 + 8) * event_text.PIECE
