"""EVT 2.1: words of 64 bits with 32 pixels of a row, in both orders of their halves; sizes that a RAW header states."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from camera_files import evt21, evt21_clock, evt21_vector
from event_tuples import read, refusal

from spikeport.pipeline.data.readers import event_columns, evt
from spikeport.pipeline.data.readers.recordings import read_events

LITTLE = "% format EVT21;endianness=little;height=720;width=1280\n% end\n"
LEGACY = "% evt 2.1\n% format EVT21;endianness=legacy;height=720;width=1280\n% geometry 1280x720\n% end\n"
BARE = "% evt 2.1\n% date 2023-01-01\n"
WORDS = [
    evt21_vector(5, 32, 3, 1, 1),  # before the first time: left out
    evt21_clock(0x123456 << 6),
    evt21_vector(9, 1248, 700, 1, 1 << 31 | 1 << 30 | 1),
    0xA << 60 | 77 << 32,  # a trigger
    evt21_vector(63, 64, 5, 0, 1 << 17),
    evt21_clock(0x123457 << 6),
    evt21_vector(0, 0, 0, 1, 2),
]
START = 0x123456 << 6
EVENTS = [
    (START + 9, 1248, 700, 1),
    (START + 9, 1278, 700, 1),
    (START + 9, 1279, 700, 1),
    (START + 63, 81, 5, 0),
    (START + 64, 1, 0, 1),
]


@pytest.mark.parametrize("head", [LITTLE, LEGACY, BARE, BARE + "% format EVT21\n"])
def test_words_by_hand(tmp_path: Path, head: str) -> None:
    assert read(evt21(tmp_path / "a.raw", WORDS, head)) == EVENTS


def test_halves_the_other_way_round_are_found_without_a_header(tmp_path: Path) -> None:
    path = evt21(tmp_path / "a.raw", WORDS, LEGACY)
    path.write_bytes(BARE.encode() + path.read_bytes().removeprefix(LEGACY.encode()))
    assert read(path) == EVENTS
    both = [evt21_clock(64), evt21_vector(1, 0, 1, 1, 0x80000001)]  # either half may hold the kinds
    words = refusal(evt21(tmp_path / "b.raw", both, BARE))
    assert "its header does not state the order of EVT 2.1's words" in words
    assert read(evt21(tmp_path / "c.raw", both, LITTLE)) == [(65, 0, 1, 1), (65, 31, 1, 1)]
    assert "states the order 'big'" in refusal(evt21(tmp_path / "d.raw", WORDS, LITTLE.replace("little", "big")))


def test_pieces_give_what_the_whole_gives_and_the_clock_wraps(tmp_path: Path) -> None:
    for piece in (1, 2, 3):
        found = evt.decode(np.array(WORDS, "<u8"), evt.EVT21, piece)
        assert list(zip(*(found[name].tolist() for name in "txyp"), strict=True)) == EVENTS
    last = (1 << 34) - 1
    wrap = [evt21_clock(last), evt21_vector(last, 0, 1, 1, 1), evt21_clock(0), evt21_vector(2, 0, 1, 1, 1)]
    assert [event[0] for event in read(evt21(tmp_path / "a.raw", wrap, LITTLE))] == [last, last + 3]


def test_damage_is_named(tmp_path: Path) -> None:
    path = evt21(tmp_path / "a.raw", WORDS, LITTLE)
    content = path.read_bytes()
    path.write_bytes(content[:-3])
    assert "53 bytes are not a multiple of 8, the size of a word; the file is cut short" in refusal(path)
    strange = [*WORDS, 0x9 << 60]
    words = refusal(evt21(tmp_path / "b.raw", strange, LITTLE))
    assert "the word at byte 56 after the header, of type 0x9, is not a word of EVT 2.1" in words
    rng = np.random.default_rng(2)
    for _ in range(300):
        odd = bytearray(content)
        for at in rng.integers(0, len(odd), 3):
            odd[at] = int(rng.integers(256))
        path.write_bytes(odd)
        try:
            read_events(path)
        except ValueError:
            refusal(path)


def test_words_of_more_events_than_a_recording_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the size of the events, piece by piece: 40 pieces of 100 words of 32 events, 13 bytes each."""
    monkeypatch.setattr(event_columns, "FREE_BYTES", 100_000)
    words = np.full(4000, evt21_vector(1, 0, 1, 1, 0xFFFFFFFF), "<u8")
    words[0] = evt21_clock(64)
    with pytest.raises(
        event_columns.EventFileError, match=r"bytes of events in 32,000 bytes of file; at most 1,124,000"
    ):
        evt.decode(words, evt.EVT21, 100)
    assert len(evt.decode(words[:300], evt.EVT21, 100)["t"]) == 299 * 32


@pytest.mark.parametrize(
    "head",
    ["% evt 3.0\n% geometry 640x480\n", "% format EVT3;height=480;width=640\n% end\n"],
)
def test_an_event_outside_the_size_that_the_header_states_is_damage(tmp_path: Path, head: str) -> None:
    path = tmp_path / "a.raw"

    def evt3(x: int, y: int) -> Path:
        path.write_bytes(head.encode() + np.array([0x8001, 0x6002, y, 0x2000 | x], "<u2").tobytes())
        return path

    assert read(evt3(639, 479)) == [(4098, 639, 479, 0)]
    assert "event 0 is at x = 640, y = 7; its header states a sensor of 640 x 480" in refusal(evt3(640, 7))
    assert "event 0 is at x = 7, y = 480" in refusal(evt3(7, 480))
