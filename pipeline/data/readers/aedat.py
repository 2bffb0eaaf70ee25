"""Reads AEDAT 2.0 of DVS128 and DAVIS chips, and the polarity events of AEDAT 3.1."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np

from spikeport.pipeline.data.readers.event_columns import EventFileError, damaged, from_columns, unknown_layout
from spikeport.pipeline.data.readers.event_streams import content_of, unwrapped

_TAKEN = "AEDAT 2.0 of a DVS128 or DAVIS, and AEDAT 3.1"
_CONVERT = "convert it with jAER or dv-processing"
_DAVIS = {"240": (240, 180), "346": (346, 260)}  # width and height
_DVS128 = re.compile(r"(?i)dvs128|tmpdiff128")  # both have 128 x 128 pixels in the same bits
_PACKET = struct.Struct(
    "<hhiiiiii"
)  # kind, source, size of an event, place of its time, overflows, capacity, events, valid
_POLARITY = 1


def read_aedat(path: Path) -> np.ndarray:
    """Reads AEDAT 2.0 or 3.1, by the version in the file.

    Args:
        path: the file.

    Returns:
        EVENT_DTYPE `[N]`, with coordinates as stored.

    Raises:
        EventFileError: the file is damaged, of another version, or of another chip.
    """
    content = content_of(path)
    lines, start = _header(content)
    version = lines[0].removeprefix("#!AER-DAT") if lines and lines[0].startswith("#!AER-DAT") else ""
    if version.startswith("2"):
        return _version_2(content, lines, start)
    if version == "3.1":
        return _version_3(content, lines, start)
    raise unknown_layout(f"AEDAT {version[:20] or 'of no stated version'}", _CONVERT, _TAKEN)


def _header(content: bytes) -> tuple[list[str], int]:
    """The lines of the header, and the position after it.

    An event may begin with the byte of #. What is no line of text does not belong to the header.
    """
    lines: list[str] = []
    start = 0
    while content[start : start + 1] == b"#":
        end = content.find(b"\n", start)
        line = content[start : end if end >= 0 else len(content)]
        if re.search(rb"[\0-\x08\x0e-\x1f]", line):
            break
        if end < 0:
            raise damaged("its header is cut short")
        lines.append(line.decode("ascii", "replace").strip())
        start = end + 1
        if lines[-1].lower() in ("#!end-header", "#end of ascii header"):
            break
    return lines, start


def _version_2(content: bytes, lines: list[str], start: int) -> np.ndarray:
    """Big-endian words of 32 bits, address and time in microseconds alternating."""
    if (len(content) - start) % 8:
        raise damaged(f"{len(content) - start} bytes of events are not a multiple of 8, the size of an event")
    address, clock = np.frombuffer(content, ">u4", offset=start).reshape(-1, 2).T
    time = unwrapped(clock, 32)
    chip = next((line.partition(":")[2].strip() for line in lines if line.startswith("# AEChip:")), "")
    if davis := re.search(r"(?i)davis(\d*)", chip.rpartition(".")[2]):
        return _davis(address, time, davis[1], chip)
    if chip and not _DVS128.search(chip):
        raise _of_chip(f"AEDAT 2.0 of the chip {chip[:60]}")
    if (address >> 16).any():
        raise _of_chip(f"addresses that are not those of a DVS128 (chip {chip[:60] or 'not stated'})")
    selected = address >> 15 == 0  # the others are pulses of synchronization
    address, time = address[selected], time[selected]
    return from_columns({"t": time, "x": address >> 1 & 127, "y": address >> 8 & 127, "p": 1 - (address & 1)})


def _davis(address: np.ndarray, time: np.ndarray, model: str, chip: str) -> np.ndarray:
    """Bit 31 marks samples of frames and of the IMU, and bit 10 other signals; y 9 bits, x 10 bits, ON 1 bit."""
    if model not in _DAVIS:
        raise _of_chip(f"AEDAT 2.0 of the chip {chip[:60]}")
    selected = address & (1 << 31 | 1 << 10) == 0
    address, time = address[selected], time[selected]
    x, y = address >> 12 & 0x3FF, address >> 22 & 0x1FF
    width, height = _DAVIS[model]
    outside = (x >= width) | (y >= height)
    if outside.any():
        at = int(np.argmax(outside))
        raise damaged(
            f"event {at} is at x = {x[at]}, y = {y[at]}; the chip of its header has {width} x {height} pixels"
        )
    return from_columns({"t": time, "x": x, "y": y, "p": address >> 11 & 1})


def _of_chip(found: str) -> EventFileError:
    return unknown_layout(
        found, "convert it to columns with the makers' tool", "AEDAT 2.0 of a DVS128, DAVIS240 or DAVIS346"
    )


def _version_3(content: bytes, lines: list[str], start: int) -> np.ndarray:
    """Little-endian packets; those of polarity events of the first source that has any are read."""
    if lines[-1].lower() != "#!end-header":
        raise damaged("its header is cut short")
    layout = next((line.partition(":")[2].strip() for line in lines if line.lower().startswith("#format:")), "RAW")
    if layout.upper() != "RAW":
        raise unknown_layout(f"AEDAT 3.1 in the format {layout[:40]}", _CONVERT, "AEDAT 3.1 in the format RAW")
    words, times, first = [np.empty(0, "<u4")], [np.empty(0, np.int64)], None
    while start < len(content):
        if start + _PACKET.size > len(content):
            raise damaged("the header of a packet is cut short; the file is cut short")
        kind, source, size, _, overflow, _, count, _ = _PACKET.unpack_from(content, start)
        body, start = start + _PACKET.size, start + _PACKET.size + size * count
        if size < 0 or count < 0 or start > len(content):
            raise damaged(
                f"a packet at byte {body - _PACKET.size} states {count:,} events of {size:,} bytes, which go beyond "
                "its end"
            )
        if kind != _POLARITY or not count or first not in (None, source):
            continue
        if size != 8 or overflow < 0:
            raise damaged(
                f"a packet at byte {body - _PACKET.size} states polarity events of {size} bytes, overflow {overflow}"
            )
        first = source
        word, clock = np.frombuffer(content, "<u4", 2 * count, body).reshape(-1, 2).T
        words.append(word)
        times.append(clock.astype(np.int64) + (overflow << 31))
    word, time = np.concatenate(words), np.concatenate(times)
    valid = word & 1 == 1
    word = word[valid]
    return from_columns({"t": time[valid], "x": word >> 17, "y": word >> 2 & 0x7FFF, "p": word >> 1 & 1})
