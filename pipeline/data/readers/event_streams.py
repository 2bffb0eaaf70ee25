"""Reads raw streams of Prophesee's cameras: .dat and .raw.

Clocks of few bits wrap. A step back by more than half the clock's range is a wrap; a smaller one is disorder, and stays
in the times, where `check_events` finds it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from spikeport.pipeline.data.readers import evt
from spikeport.pipeline.data.readers.event_columns import check_size, damaged, from_columns, unknown_layout

_LONGEST_LINE = 1000
_LONGEST_HEADER = 1 << 16
_DAT_EVENTS = (0x00, 0x0C)  # the older and the newer number of "contrast detected"
_EVT_CONVERT = "convert it with metavision_file_to_dat"


def content_of(path: Path) -> bytes:
    """All bytes of a file.

    Args:
        path: the file.

    Raises:
        EventFileError: the file is larger than one recording may be.
    """
    check_size(os.path.getsize(path), os.path.getsize(path))
    return path.read_bytes()


def unwrapped(clock: np.ndarray, bits: int) -> np.ndarray:
    """Times from a clock that wraps.

    Args:
        clock: stored times.
        bits: bits of the clock.

    Returns:
        int64 times that do not wrap.
    """
    time = clock.astype(np.int64)
    steps = np.diff(time)
    half = 1 << (bits - 1)
    if not (steps < -half).any():
        return time
    turns = np.cumsum((steps < -half).astype(np.int64) - (steps > half))
    if turns.min() < 0:  # a long pause, not an event from before a wrap
        turns = np.cumsum(steps < -half)
    time[1:] += turns << bits
    return time


def read_dat(path: Path) -> np.ndarray:
    """Reads Prophesee DAT version 2: 8 bytes an event; time 32 bits, then x 14, y 14 and polarity.

    Args:
        path: the file.
    """
    content = content_of(path)
    fields, start = _header(content, b"%")
    if not start or len(content) < start + 2:
        raise damaged("it has no header of % lines")
    if (version := fields.get("version", "")) != "2":
        raise unknown_layout(f"DAT of version {version or 'unknown'}", _EVT_CONVERT, "DAT of version 2")
    kind, size = content[start : start + 2]
    if kind not in _DAT_EVENTS or size != 8:
        raise unknown_layout(
            f"events of type 0x{kind:02x} with {size} bytes", _EVT_CONVERT, "type 0x00 or 0x0c (contrast) with 8 bytes"
        )
    body = len(content) - start - 2
    if body % 8:
        raise damaged(f"{body} bytes of events are not a multiple of 8, the size of an event; the file is cut short")
    time, word = np.frombuffer(content, "<u4", offset=start + 2).reshape(-1, 2).T
    return from_columns({"t": unwrapped(time, 32), "x": word & 0x3FFF, "y": word >> 14 & 0x3FFF, "p": word >> 28 & 1})


def read_raw(path: Path) -> np.ndarray:
    """Reads Prophesee RAW in EVT 2.0, 2.1 or 3.0. Events before the first time word have no time and are skipped.

    Args:
        path: the file.
    """
    content = content_of(path)
    fields, start = _header(content, b"% ")
    if not start:
        raise damaged("it has no header of % lines")
    name, stated = _format(fields)
    version = fields.get("evt") or name.strip().removeprefix("EVT")
    encoding = {"2": evt.EVT2, "2.1": evt.EVT21, "21": evt.EVT21, "3": evt.EVT3}.get(version.removesuffix(".0"))
    if encoding is None:
        raise unknown_layout(
            f"RAW in EVT {version or 'of no stated version'}", _EVT_CONVERT, "RAW in EVT 2.0, 2.1 or 3.0"
        )
    events = _decoded(content, start, encoding, stated.get("endianness", ""))
    if size := _geometry(fields, stated):
        width, height = size
        outside = (events["x"] >= width) | (events["y"] >= height)
        if outside.any():
            at = int(np.argmax(outside))
            x, y = events["x"][at], events["y"][at]
            raise damaged(f"event {at} is at x = {x}, y = {y}; its header states a sensor of {width} x {height}")
    return events


def stated_sensor(path: Path) -> tuple[int, int] | None:
    """Width and height of the sensor in the header of a .dat or .raw file; None if it states none.

    Args:
        path: the file.
    """
    with open(path, "rb") as file:
        fields, _ = _header(file.read(_LONGEST_HEADER), b"%")
    return _geometry(fields, fields if path.suffix.lower() == ".dat" else _format(fields)[1])


def _format(fields: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Name of the format, and what stands after it: `EVT3;height=720;width=1280`."""
    name, *more = fields.get("format", "").split(";")
    return name, {key.strip(): value.strip() for key, _, value in (each.partition("=") for each in more)}


def _geometry(fields: dict[str, str], stated: dict[str, str]) -> tuple[int, int] | None:
    geometry = fields.get("geometry") or f"{stated.get('width', '')}x{stated.get('height', '')}"
    size = re.fullmatch(r"(\d{1,5})x(\d{1,5})", geometry)
    return (int(size[1]), int(size[2])) if size else None


def _decoded(content: bytes, start: int, encoding: evt.Encoding, order: str) -> np.ndarray:
    size = np.dtype(encoding.word).itemsize
    if (len(content) - start) % size:
        raise damaged(
            f"{len(content) - start} bytes are not a multiple of {size}, the size of a word; the file is cut short"
        )
    words = np.frombuffer(content, encoding.word, offset=start)
    try:
        if encoding is evt.EVT21:
            words = evt.in_order(words, order)
        columns = evt.decode(words, encoding)
    except ValueError as error:
        raise damaged(str(error)) from None
    return from_columns(columns | {"t": unwrapped(columns["t"], encoding.clock)})


def _header(content: bytes, mark: bytes) -> tuple[dict[str, str], int]:
    """The header's lines `% key value` by key in lower case, and the position of the first event."""
    fields: dict[str, str] = {}
    start = 0
    while content.startswith(mark, start):
        end = content.find(b"\n", start, start + _LONGEST_LINE)
        if end < 0:
            raise damaged("its header is cut short")
        words = content[start + 1 : end].decode("utf-8", "replace").split(maxsplit=1)
        start = end + 1
        if words:
            fields[words[0].lower()] = words[1].strip() if len(words) > 1 else ""
        if words == ["end"]:
            break
    return fields, start
