"""Streams of words: the clock is read as it stands, wraps told from disorder, and real files equal other decoders."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from spikeport.errors import UserError
from spikeport.pipeline.data.readers import evt
from spikeport.pipeline.data.readers.recordings import Reading, read_events, read_recording

ORDER = 1 << 32


def write_dat(path: Path, times: Iterable[int], *, version: str = "2", kind: int = 0x0C, size: int = 8) -> Path:
    """Events at `times` (of a 32-bit clock), the n-th at x = n, y = 2 n, ON where n is odd."""
    head = f"% Data file containing CD events.\n% Version {version}\n".encode() + bytes([kind, size])
    body = [struct.pack("<II", t, n | 2 * n << 14 | (n % 2) << 28) for n, t in enumerate(times)]
    path.write_bytes(head + b"".join(body))
    return path


def times_of(path: Path, **reading: bool) -> list[int]:
    found = read_recording(path, (40, 20), label=0, key="k", reading=Reading(**reading)).events
    return found["t"].tolist()


def test_dat_fields(tmp_path: Path) -> None:
    found = read_events(write_dat(tmp_path / "a.dat", [5, 9, 9]))
    assert [tuple(int(e[name]) for name in "txyp") for e in found] == [(5, 0, 0, 0), (9, 1, 2, 1), (9, 2, 4, 0)]


def test_a_true_wrap_goes_on_and_disorder_does_not(tmp_path: Path) -> None:
    wrap = write_dat(tmp_path / "wrap.dat", [ORDER - 10, ORDER - 1, 3, 8])
    assert times_of(wrap) == [ORDER - 10, ORDER - 1, ORDER + 3, ORDER + 8]
    late = write_dat(tmp_path / "late.dat", [7, 20, 19, 30])
    with pytest.raises(UserError, match=r"late\.dat: time runs backwards: event 2 is at 19 us, after one at 20 us"):
        times_of(late)
    assert times_of(late, sort=True) == [7, 19, 20, 30]
    takes = write_dat(tmp_path / "takes.dat", [100_000, 900_000, 1_000_000, 5, 99_000])
    with pytest.raises(UserError, match=r"event 3 is at 5 us, after one at 1000000 us.*cut it into its takes"):
        times_of(takes)
    straggler = write_dat(tmp_path / "straggler.dat", [ORDER - 9, 2, ORDER - 1, 4, 6])  # one from before the wrap
    with pytest.raises(UserError, match=f"event 2 is at {ORDER - 1} us, after one at {ORDER + 2} us"):
        times_of(straggler)
    assert times_of(straggler, sort=True) == [ORDER - 9, ORDER - 1, ORDER + 2, ORDER + 4, ORDER + 6]
    pause = write_dat(tmp_path / "pause.dat", [5, ORDER - 7])
    assert times_of(pause) == [5, ORDER - 7]


def test_sorting_keeps_whole_events_and_says_how_far(tmp_path: Path) -> None:
    path = write_dat(tmp_path / "late.dat", [7, 20, 12, 19, 30])
    found = read_recording(path, (40, 20), label=0, key="k", reading=Reading(sort=True))
    assert found.events["x"].tolist() == [0, 2, 3, 1, 4]
    assert found.late_us == 8


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": "1"}, "found DAT of version 1; supported are DAT of version 2"),
        ({"kind": 0x0E}, "found events of type 0x0e with 8 bytes"),
        ({"size": 6}, "found events of type 0x0c with 6 bytes"),
    ],
)
def test_dat_of_another_kind_is_named(tmp_path: Path, changes: dict, words: str) -> None:
    with pytest.raises(UserError) as caught:
        read_events(write_dat(tmp_path / "odd.dat", [1, 2, 3], **changes))
    assert words in str(caught.value)
    assert "copy it again" not in str(caught.value)


def test_one_event_late_is_refused_in_both_formats(cases: Path) -> None:
    message = []
    for name in ("one-event-late.dat", "one-event-late.npy"):
        with pytest.raises(UserError) as caught:
            read_recording(cases / name, (16, 16), label=0, key="k")
        message.append(str(caught.value).removeprefix(str(cases / name)))
    assert message[0] == message[1]
    assert "time runs backwards: event " in message[0]
    ways = [
        read_recording(cases / name, (16, 16), label=0, key="k", reading=Reading(sort=True))
        for name in ("one-event-late.dat", "one-event-late.npy")
    ]
    assert ways[0].late_us == ways[1].late_us == 1
    np.testing.assert_array_equal(ways[0].events, ways[1].events)
    assert (np.diff(ways[0].events["t"]) >= 0).all()


def test_aedat2_clock_wraps_and_disorder_is_refused(tmp_path: Path) -> None:
    def write(times: list[int]) -> Path:
        path = tmp_path / "a.aedat"
        path.write_bytes(b"#!AER-DAT2.0\r\n" + b"".join(struct.pack(">II", 2 * n + 1, t) for n, t in enumerate(times)))
        return path

    assert times_of(write([ORDER - 3, 1])) == [ORDER - 3, ORDER + 1]
    with pytest.raises(UserError, match="event 1 is at 4 us, after one at 9 us"):
        times_of(write([9, 4]))


def test_evt3_words_by_hand(tmp_path: Path) -> None:
    """Time 0x123 << 12 | 5; row 7: one OFF at x 9, then ON vectors from x 100 on: bits 0 and 11, then bit 2 of the
    next 8; then a new high word, whose low is 0 until it comes."""
    words = [0x2001, 0x8123, 0x6005, 0x0007, 0x2009, 0x3864, 0x4801, 0x5004, 0x8124, 0x2803]
    path = tmp_path / "a.raw"
    path.write_bytes(b"% format EVT3;height=720;width=1280\n% end\n" + np.array(words, "<u2").tobytes())
    start = 0x123 << 12 | 5
    expected = [(start, 9, 7, 0), (start, 100, 7, 1), (start, 111, 7, 1), (start, 114, 7, 1), (0x124 << 12, 3, 7, 1)]
    assert [tuple(int(e[name]) for name in "txyp") for e in read_events(path)] == expected


@pytest.mark.parametrize("name", ["evt2_sample.raw", "evt3_sample.raw"])
def test_pieces_of_a_stream_give_what_the_whole_gives(shared_data: Path, name: str) -> None:
    """Cut within vectors, between high and low words, and before an event's row: 1,000 words at a time and fewer."""
    encoding = {"evt2": evt.EVT2, "evt3": evt.EVT3}[name[:4]]
    content = (shared_data / "prophesee" / name).read_bytes()
    start = 0
    while content.startswith(b"% ", start):
        start = content.index(b"\n", start) + 1
    words = np.frombuffer(content[start : start + 40_000], encoding.word)
    whole = evt.decode(words, encoding)
    assert len(whole["t"]) > 5000
    for piece in (1, 7, 1000):
        part = words[:2000] if piece == 1 else words
        expected = evt.decode(part, encoding)
        found = evt.decode(part, encoding, piece)
        for field in "txyp":
            np.testing.assert_array_equal(found[field], expected[field])


def test_evt_clocks_wrap_and_strange_words_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"

    def evt3(*words: int) -> list[int]:
        path.write_bytes(b"% evt 3.0\n" + np.array(words, "<u2").tobytes())
        return read_events(path)["t"].tolist()

    last = (1 << 24) - 1
    assert evt3(0x8FFF, 0x6FFF, 0x0001, 0x2001, 0x8000, 0x6002, 0x2001) == [last, last + 3]
    assert evt3(0x8001, 0x6009, 0x0001, 0x2001, 0x6004, 0x2001) == [4105, 4100]  # seen as disorder by a Recording
    with pytest.raises(UserError, match=r"the word at byte 4 after the header, of type 0x9, is not a word of EVT 3\.0"):
        evt3(0x8FFF, 0x6FFF, 0x9001)
    path.write_bytes(b"% evt 4.0\n" + bytes(8))
    with pytest.raises(UserError, match=r"found RAW in EVT 4\.0"):
        read_events(path)


def test_the_real_evt2_and_dat_files_equal_expelliarmus(shared_data: Path) -> None:
    from expelliarmus import Wizard

    for name, encoding, count in (
        ("prophesee/evt2_sample.raw", "evt2", 539_481),
        ("samples/sample_ncars.dat", "dat", 2_009),
    ):
        found, expected = read_events(shared_data / name), Wizard(encoding=encoding).read(shared_data / name)
        assert len(found) == len(expected) == count
        for field in "txyp":
            np.testing.assert_array_equal(found[field], expected[field])


def test_the_real_evt3_file_has_the_clock_of_its_words(shared_data: Path) -> None:
    """The stored array is that of a decoder which adds 4,096 us wherever the low word of the clock falls, and there are
    low words without events that come 3 or 11 us early. The file's high words, one each 16 us, are the judge."""
    path = shared_data / "prophesee" / "evt3_sample.raw"
    found, stored = read_events(path), np.load(shared_data / "prophesee" / "evt3_sample.npy")
    assert len(found) == len(stored) == 219_596
    for field in "xyp":
        np.testing.assert_array_equal(found[field], stored[field])
    content = path.read_bytes()
    start = content.rindex(b"\n", 0, content.index(b"\x00")) + 1
    words = np.frombuffer(content[start:], "<u2")
    high = words[words >> 12 == 8] & 0xFFF
    assert len(high) == 551
    assert sorted(set(high.tolist())) == sorted(set((found["t"] >> 12).tolist())) == [2861, 2862, 2863]
    assert found["t"][-1] - found["t"][0] == pytest.approx(16 * 551, abs=16)
    np.testing.assert_array_equal((stored["t"] - found["t"]) % 4096, 0)
    np.testing.assert_array_equal(found["t"] & 0xFFF, stored["t"] & 0xFFF)
    assert (np.diff(found["t"]) >= 0).all()


def below_the_middle(events: np.ndarray) -> float:
    """How many rows the widest part of a figure lies below the middle of it."""
    counts = np.zeros((35, 33))
    np.add.at(counts, (events["y"], events["x"]), 1)
    drawn = counts >= max(2, np.percentile(counts[counts > 0], 40))
    widths = np.array([np.ptp(np.flatnonzero(row)) if row.any() else 0 for row in drawn])
    rows = np.flatnonzero(widths > 2)
    return float(np.flatnonzero(widths >= 0.8 * widths.max()).mean() - (rows[0] + rows[-1]) / 2)


def test_poker_cards_stand_upright(shared_data: Path) -> None:
    """A spade is widest below its middle (y counts downward), its tip points up; where the name ends in "i" it stands
    on its head. What a turn by 90 or 180 degrees leaves of this is none of it."""
    found: dict[bool, list[float]] = {True: [], False: []}
    for path in sorted((shared_data / "POKERDVS" / "aedat" / "spade").glob("*.aedat")):
        events = read_recording(path, (35, 33), label=0, key="k").events
        found[path.stem.endswith("i")].append(below_the_middle(events))
    assert (len(found[True]), len(found[False])) == (10, 25)
    assert min(found[False]) > 2.5
    assert max(found[True]) < 2
    assert np.median(found[True]) < -0.5


def test_orientation_turns_any_format(tmp_path: Path) -> None:
    """An event at x = 1, y = 4 of a sensor, by hand on frames of 6 rows and 9 columns."""
    path = tmp_path / "a.npz"
    np.savez(path, t=[5], x=[1], y=[4], p=[1])
    expected = {
        "as-stored": (1, 4), "mirror-x": (7, 4), "mirror-y": (1, 1), "rotate-180": (7, 1),
        "rotate-90": (4, 1), "rotate-270": (4, 4), "transpose": (4, 1),
    }  # fmt: skip
    for orientation, place in expected.items():
        found = read_recording(path, (6, 9), label=0, key="k", reading=Reading(orientation=orientation)).events[0]
        assert (found["x"], found["y"]) == place, orientation
    found = read_recording(path, (128, 128), label=0, key="k", reading=Reading(orientation="dvs128")).events[0]
    assert (found["x"], found["y"]) == (126, 123)
    np.savez(path, t=[5], x=[7], y=[2], p=[1])  # stored on 6 columns and 9 rows, if it is to be turned by 90 degrees
    with pytest.raises(UserError, match="event 0 is at x = 7, y = 2; the sensor is 6 wide and 9 high"):
        read_recording(path, (6, 9), label=0, key="k", reading=Reading(orientation="rotate-90"))


def test_a_quarter_turn_is_the_pictures(tmp_path: Path) -> None:
    picture = np.zeros((4, 7), int)
    picture[0, 1] = picture[2, 5] = picture[3, 0] = 1
    y, x = np.nonzero(picture)
    np.savez(tmp_path / "a.npz", t=np.arange(3), x=x, y=y, p=[1, 1, 0])
    for turns in (90, 270):
        reading = Reading(orientation=f"rotate-{turns}")
        found = read_recording(tmp_path / "a.npz", (7, 4), label=0, key="k", reading=reading).events
        turned = np.zeros((7, 4), int)
        turned[found["y"], found["x"]] = 1
        np.testing.assert_array_equal(turned, np.rot90(picture, -turns // 90))  # NumPy's turns are counterclockwise


def test_the_same_cards_in_npy_and_aedat_are_equal(shared_data: Path) -> None:
    """tonic's tables hold time from the first event on; every one of them is one of the recordings."""
    folder = shared_data / "POKERDVS"
    known = [read_events(path) for path in sorted((folder / "aedat").glob("*/*.aedat"))]
    tables = sorted((folder / "npy").glob("*/*/*.npy"))
    assert (len(known), len(tables)) == (131, 68)
    for path in tables:
        table = read_events(path, reading=Reading(columns="txyp"))
        same_events = [one for one in known if len(one) == len(table) and (one["x"] == table["x"]).all()]
        assert len(same_events) == 1, path
        for field in "xyp":
            np.testing.assert_array_equal(same_events[0][field], table[field])
        np.testing.assert_array_equal(same_events[0]["t"] - same_events[0]["t"][0], table["t"] - table["t"][0])
