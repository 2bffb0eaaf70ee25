"""AEDAT 2.0 of DAVIS chips and AEDAT 3.1, written here bit by bit from the public description of the formats."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from camera_files import aedat2, aedat3, aedat3_packet, davis_word
from event_tuples import read, refusal

from spikeport.pipeline.data.readers.recordings import read_events

EVENTS = [(1_000_003, 239, 4, 1), (1_000_008, 6, 179, 0), (1_000_008, 0, 3, 1), (1_070_000, 5, 140, 0)]
DAVIS = [(davis_word(x, y, p), t) for t, x, y, p in EVENTS]
NO_EVENTS = [
    (1 << 31 | davis_word(7, 8, 1), 1_000_004),  # a sample of a frame
    (1 << 31 | 3 << 10 | 700, 1_000_004),  # of the IMU
    (1 << 10, 1_000_005),  # a signal at the socket
]


@pytest.mark.parametrize("chip", ["DAVIS240C", "DAVIS240B", "Davis346red", "Davis346blue"])
@pytest.mark.parametrize("end", ["", "#End Of ASCII Header\r\n"])
def test_polarity_events_of_a_davis(tmp_path: Path, chip: str, end: str) -> None:
    mixed = [DAVIS[0], *NO_EVENTS, *DAVIS[1:]]
    assert read(aedat2(tmp_path / "a.aedat", mixed, chip, end)) == EVENTS


def test_an_event_that_begins_like_a_line_of_the_header(tmp_path: Path) -> None:
    """y = 140 or 141 of a DAVIS gives a first byte of 0x23, the sign of a comment."""
    word = davis_word(5, 140, 0)
    assert word >> 24 == ord("#")
    for end in ("", "#End Of ASCII Header\r\n"):
        events = [(word, 1_000_000), (davis_word(9, 2, 1), 1_000_010)]
        assert read(aedat2(tmp_path / "a.aedat", events, end=end)) == [(1_000_000, 5, 140, 0), (1_000_010, 9, 2, 1)]


def test_the_chip_of_the_header_decides(tmp_path: Path) -> None:
    large = [(davis_word(345, 259, 1), 7)]
    assert read(aedat2(tmp_path / "a.aedat", large, "Davis346red")) == [(7, 345, 259, 1)]
    words = refusal(aedat2(tmp_path / "b.aedat", large, "DAVIS240C"))
    assert "event 0 is at x = 345, y = 259; the chip of its header has 240 x 180 pixels" in words
    small = [(42 << 8 | 3 << 1 | 1, 9)]
    path = aedat2(tmp_path / "c.aedat", small, "x")
    path.write_bytes(
        path.read_bytes().replace(b"eu.seebetter.ini.chips.davis.x", b"ch.unizh.ini.jaer.chip.retina.DVS128")
    )
    assert read(path) == [(9, 3, 42, 0)]
    for chip in ("DAVIS640", "cochlea.CochleaAMS1c"):
        words = refusal(aedat2(tmp_path / "d.aedat", small, chip))
        assert f"found AEDAT 2.0 of the chip eu.seebetter.ini.chips.davis.{chip}" in words
        assert "supported are AEDAT 2.0 of a DVS128, DAVIS240 or DAVIS346" in words
    bare = tmp_path / "e.aedat"
    bare.write_bytes(b"#!AER-DAT2.0\r\n" + struct.pack(">II", *DAVIS[0]))
    assert "addresses that are not those of a DVS128 (chip not stated)" in refusal(bare)


def test_the_header_of_a_real_davis_file_is_understood(shared_data: Path, tmp_path: Path) -> None:
    """jAER's header of 500 bytes and more, of a Davis346red; the file has no event, so some are added."""
    head = (shared_data / "samples" / "sample_aedat_header.aedat").read_bytes()
    path = tmp_path / "a.aedat"
    path.write_bytes(head.rstrip() + b"\r\n" + b"".join(struct.pack(">II", *word) for word in DAVIS))
    assert read(path) == EVENTS


def test_polarity_packets_of_one_source(tmp_path: Path) -> None:
    invalid = bytearray(aedat3_packet([(1_000_004, 9, 9, 1)]))
    invalid[28] &= 0xFE
    others = [aedat3_packet([(1, 2, 3, 1)], kind=kind) for kind in (0, 2, 3)]  # special events, frames, IMU
    path = aedat3(
        tmp_path / "a.aedat", others[0], aedat3_packet(EVENTS[:1]), *others, bytes(invalid), aedat3_packet([]),
        aedat3_packet(EVENTS[1:]), aedat3_packet([(1, 2, 3, 1)], source=2),
    )  # fmt: skip
    assert read(path) == EVENTS
    wide = [(5, 32767, 4, 1), (6, 3, 32767, 0)]
    assert read(aedat3(tmp_path / "b.aedat", aedat3_packet(wide))) == wide


def test_the_clock_of_31_bits_goes_on(tmp_path: Path) -> None:
    last = (1 << 31) - 1
    path = aedat3(tmp_path / "a.aedat", aedat3_packet([(last, 1, 2, 1)]), aedat3_packet([(3, 4, 5, 0)], overflow=1))
    assert read(path) == [(last, 1, 2, 1), (last + 4, 4, 5, 0)]


def test_other_versions_and_formats_are_named(tmp_path: Path) -> None:
    for layout in ("Serial-TS", "PNGFrames"):
        words = refusal(aedat3(tmp_path / "a.aedat", aedat3_packet(EVENTS), layout=layout))
        assert f"found AEDAT 3.1 in the format {layout}" in words
    path = tmp_path / "b.aedat"
    path.write_bytes(aedat3(path, aedat3_packet(EVENTS)).read_bytes().replace(b"DAT3.1", b"DAT3.0"))
    assert "found AEDAT 3.0; supported are AEDAT 2.0 of a DVS128 or DAVIS, and AEDAT 3.1" in refusal(path)
    path.rename(tmp_path / "b.aedat4")
    assert "its first bytes are those of .aedat. Hint: rename it" in refusal(tmp_path / "b.aedat4")
    assert "it holds no event" in refusal(aedat3(tmp_path / "c.aedat", aedat3_packet([(1, 2, 3, 1)], kind=2)))


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (aedat3_packet(EVENTS)[:-1], "states 4 events of 8 bytes, which go beyond its end"),
        (aedat3_packet(EVENTS)[:27], "the header of a packet is cut short"),
        (aedat3_packet(EVENTS, count=2_000_000_000), "states 2,000,000,000 events of 8 bytes, which go beyond its end"),
        (aedat3_packet(EVENTS, count=-1), "states -1 events"),
        (aedat3_packet(EVENTS, size=-8), "events of -8 bytes"),
        (aedat3_packet(EVENTS, size=-8, count=-4), "states -4 events of -8 bytes"),
        (aedat3_packet(EVENTS, size=4), "states polarity events of 4 bytes"),
        (aedat3_packet(EVENTS, overflow=-1), "overflow -1"),
    ],
)
def test_damaged_packets_are_named(tmp_path: Path, broken: bytes, words: str) -> None:
    assert words in refusal(aedat3(tmp_path / "a.aedat", aedat3_packet(EVENTS), broken))


def test_a_cut_or_changed_file_is_one_line(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    path = tmp_path / "a.aedat"
    assert "its header is cut short" in refusal(aedat3(path, end=""))
    for content in (
        aedat3(path, aedat3_packet(EVENTS), aedat3_packet(EVENTS)).read_bytes(),
        aedat2(path, DAVIS * 3).read_bytes(),
    ):
        refused = 0
        for at in range(len(content)):
            odd = bytearray(content)
            odd[at] = int(rng.integers(256))
            for changed in (content[:at], bytes(odd)):
                path.write_bytes(changed)
                try:
                    read_events(path)
                except ValueError:
                    refused += bool(refusal(path))
        assert refused > len(content) // 2
