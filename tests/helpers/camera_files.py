"""Files of cameras as their makers define them, written bit by bit from the public descriptions of the formats."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np

HEAD = "#!AER-DAT2.0\r\n# This is a raw AE data file\r\n# AEChip: eu.seebetter.ini.chips.davis.{}\r\n"


def davis_word(x: int, y: int, p: int) -> int:
    """Bits 30 to 22 are y, 21 to 12 x, and 11 is 1 for ON; all others are 0."""
    return y << 22 | x << 12 | p << 11


def aedat2(path: Path, words: Iterable[tuple[int, int]], chip: str = "DAVIS240C", end: str = "") -> Path:
    """AEDAT 2.0 of words (address, time)."""
    path.write_bytes((HEAD.format(chip) + end).encode() + b"".join(struct.pack(">II", *word) for word in words))
    return path


def aedat3_packet(
    events: list[tuple[int, int, int, int]], *, kind: int = 1, source: int = 1, overflow: int = 0, **odd: int
) -> bytes:
    """28 bytes: kind, source, size of an event, place of its time, overflows of the clock, capacity, events, valid."""
    fields = {"size": 8, "place": 4, "count": len(events)} | odd
    head = struct.pack(
        "<hhiiiiii", kind, source, fields["size"], fields["place"], overflow, len(events), fields["count"], len(events)
    )
    return head + b"".join(struct.pack("<II", x << 17 | y << 2 | p << 1 | 1, t) for t, x, y, p in events)


def aedat3(path: Path, *packets: bytes, layout: str = "RAW", end: str = "#!END-HEADER\r\n") -> Path:
    """AEDAT 3.1 of packets."""
    head = (
        f"#!AER-DAT3.1\r\n#Format: {layout}\r\n#Source 1: DAVIS240C\r\n#Start-Time: 2017-05-04 12:00:00 (TZ+0200)\r\n"
    )
    path.write_bytes((head + end).encode() + b"".join(packets))
    return path


def evt21_clock(time: int) -> int:
    """A word of time: kind 8 in bits 63 to 60, time above 6 bits in bits 59 to 32."""
    return 0x8 << 60 | time >> 6 << 32


def evt21_vector(time: int, x: int, y: int, p: int, pixels: int) -> int:
    """A word of events: kind p; 6 bits of time from bit 54, x 11 from 43, y 11 from 32, and a bit for each pixel."""
    return p << 60 | (time & 63) << 54 | x << 43 | y << 32 | pixels


def evt21(path: Path, words: list[int], head: str) -> Path:
    """EVT 2.1 of words of 64 bits, in the order of halves that the header states."""
    legacy = "legacy" in head
    halves = [(word >> 32, word & 0xFFFFFFFF) if legacy else (word & 0xFFFFFFFF, word >> 32) for word in words]
    path.write_bytes(head.encode() + b"".join(half.to_bytes(4, "little") for pair in halves for half in pair))
    return path


def evt2(path: Path, events: Iterable[tuple[int, int, int, int]], head: str = "% evt 2.0\n") -> Path:
    """EVT 2.0 of (t, x, y, p): each event after a word with its time from bit 6 on."""
    words = [
        word
        for t, x, y, p in events
        for word in (0x8 << 28 | (t >> 6) & 0xFFFFFFF, p << 28 | (t & 63) << 22 | x << 11 | y)
    ]
    path.write_bytes(head.encode() + np.array(words, "<u4").tobytes())
    return path


def evt3(path: Path, events: Iterable[tuple[int, int, int, int]], head: str) -> Path:
    """EVT 3.0 of (t, x, y, p): each event with its row, both halves of its time, and its column."""
    words = [
        word
        for t, x, y, p in events
        for word in (0x8000 | (t >> 12) & 0xFFF, 0x6000 | t & 0xFFF, y, 0x2000 | p << 11 | x)
    ]
    path.write_bytes(head.encode() + np.array(words, "<u2").tobytes())
    return path
