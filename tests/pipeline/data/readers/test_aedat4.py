"""AEDAT 4 is read as the DV software writes it, in every packing, and damage is one line, never a lost process."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pytest
from aedat4_files import PACKINGS, lz4_frame, packet, write

from spikeport.errors import MissingDependencyError, UserError
from spikeport.pipeline.data.readers.recordings import read_events, read_recording

EVENTS = [(1605537494298340, 185, 76, 1), (1605537494298341, 3, 26, 0), (1605537494298999, 319, 239, 1)]


@pytest.mark.parametrize("packing", PACKINGS)
def test_every_packing_gives_the_events_written(tmp_path: Path, packing: int) -> None:
    pack = PACKINGS[packing]
    packets = [
        (1, pack(packet(EVENTS[:2]))),
        (0, pack(b"an image")),
        (1, pack(packet([]))),
        (1, pack(packet(EVENTS[2:]))),
    ]
    path = write(tmp_path / "a.aedat4", packets, packing, ("FRME", "EVTS"))
    found = read_recording(path, (240, 320), label=0, key="k").events
    assert [tuple(int(event[name]) for name in "txyp") for event in found] == EVENTS


def test_the_first_stream_of_events_is_read(tmp_path: Path) -> None:
    packets = [(2, packet(EVENTS[:1])), (1, packet(EVENTS[1:]))]
    path = write(tmp_path / "a.aedat4", packets, 0, ("FRME", "EVTS", "EVTS"))
    assert read_events(path)["x"].tolist() == [3, 319]


@pytest.mark.parametrize(
    ("packets", "packing", "kinds", "words"),
    [
        ([], 1, ("EVTS",), "this event file is empty: it holds no event"),
        ([(0, b"x")], 0, ("FRME", "IMUS"), "found no stream of events, only FRME, IMUS; supported are AEDAT 4"),
        ([], 1, (), "found no stream of events, only none"),
        ([(0, packet(EVENTS))], 9, ("EVTS",), "found packets packed in way 9"),
        ([(0, lz4_frame.compress(packet(EVENTS))[:-9])], 1, ("EVTS",), "this event file cannot be read"),
        ([(0, PACKINGS[3](packet(EVENTS))[:-9])], 3, ("EVTS",), "this event file cannot be read"),
        ([(0, packet(EVENTS)[:40])], 0, ("EVTS",), "this event file cannot be read"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_named(
    tmp_path: Path, packets: list[tuple[int, bytes]], packing: int, kinds: tuple[str, ...], words: str
) -> None:
    with pytest.raises(UserError) as caught:
        read_events(write(tmp_path / "a.aedat4", packets, packing, kinds))
    assert words in str(caught.value)


def test_without_a_decompressor_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lz4.frame", None)
    path = write(tmp_path / "a.aedat4", [(0, packet(EVENTS))], 1)
    with pytest.raises(MissingDependencyError, match="Hint: pip install lz4 zstandard"):
        read_events(path)
    assert len(read_events(write(path, [(0, packet(EVENTS))], 0))) == 3  # what is not packed needs none


@pytest.mark.parametrize("packing", [1, 3])
def test_a_packet_that_unpacks_to_gigabytes_is_refused(tmp_path: Path, packing: int) -> None:
    bomb = PACKINGS[packing](bytes(200_000_000))
    path = write(tmp_path / "a.aedat4", [(0, bomb)], packing)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(UserError, match="too large for one recording"):
        read_events(path)


def test_the_real_file_has_its_events(shared_data: Path) -> None:
    """Sums over all events by the decoder `aedat` 2.3.0, once."""
    found = read_recording(shared_data / "samples" / "sample.aedat4", (240, 320), label=0, key="k").events
    assert len(found) == 111_954
    assert (found["t"][0], found["t"][-1]) == (1_605_537_493_718_345, 1_605_537_494_308_262)  # Unix times
    assert int((found["t"] - found["t"][0]).sum()) == 31_685_685_498
    assert [int(found[field].sum(dtype=np.int64)) for field in "xyp"] == [18_342_405, 15_105_898, 55_023]


def test_damage_anywhere_is_one_line(tmp_path: Path, shared_data: Path) -> None:
    """Changed, cut and zeroed bytes, a third of them in the header: events or a refusal, nothing else."""
    whole = (shared_data / "samples" / "sample.aedat4").read_bytes()
    path = tmp_path / "a.aedat4"
    message: list[str] = []
    for seed in range(200):
        draw = random.Random(seed)
        content = bytearray(whole)
        kind = draw.choice(["header", "anywhere", "cut", "zeros"])
        for _ in range(draw.randint(1, 8)):
            content[draw.randrange(3000 if kind == "header" else len(content))] = draw.randrange(256)
        if kind == "cut":
            del content[draw.randrange(len(content)) :]
        elif kind == "zeros":
            at = draw.randrange(len(content))
            content[at : at + 64] = bytes(len(content[at : at + 64]))
        path.write_bytes(content)
        try:
            assert len(read_events(path))
        except UserError as error:
            message.append(str(error))
    assert len(message) > 100
    assert all(text.isprintable() for text in message)
