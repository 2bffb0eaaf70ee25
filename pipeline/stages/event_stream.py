"""Reads events from a stream of text lines, such as standard input, block by block as they come."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np

from spikeport.errors import UserError
from spikeport.pipeline.data.events import check_events
from spikeport.pipeline.data.readers.event_columns import EventFileError, Table, from_columns
from spikeport.pipeline.data.readers.event_text import TextLines
from spikeport.pipeline.data.readers.recordings import AS_STORED, on_frame
from spikeport.pipeline.data.sources.class_folders import reading_of
from spikeport.pipeline.run.sections.data import Data

BLOCK = 1 << 16  # bytes that are read at once, and the most that a line may have
STANDARD_INPUT = "standard input"


@runtime_checkable
class ByteStream(Protocol):
    """A binary file from which the bytes that are there can be read, such as `sys.stdin.buffer`."""

    def read1(self, size: int = -1, /) -> bytes:
        """At most `size` bytes, as soon as there are some; none at the end."""
        ...


def check_streamable(data: Data) -> None:
    """Checks that the events of a run can come from a stream of text lines.

    Args:
        data: `[data]` of the run.

    Raises:
        UserError: they cannot.
    """
    why = ""
    if data.source not in ("class-folders", "digits"):
        why = f"the files of {data.source} have their own format"
    elif data.recordings == "frames":
        why = "the recordings of this run are ready frames"
    elif data.window == "whole":
        why = "the recordings of this run are stretched to one window each"
    elif data.sort:
        why = "a stream cannot be sorted by time"
    if why:
        hint = "leave it out: --no-sort" if data.sort else "name event files"
        raise UserError("events are not read from a stream for this run", cause=why, hint=hint)


def text_events(stream: ByteStream, data: Data) -> Iterator[np.ndarray]:
    """The events of text lines, on the pixels of the frame, as soon as their lines are there.

    Args:
        stream: the lines, in the columns that event files of text have.
        data: `[data]` of the run.

    Yields:
        EVENT_DTYPE `[N]`, sorted by time. Those before a damaged line come before its error.

    Raises:
        UserError: a line is no event, lies outside the sensor, or goes back in time. The message has its number.
    """
    reader = _Reader(data)
    for lines in _whole_lines(stream):
        before = copy.copy(reader)
        before.lines = copy.copy(reader.lines)
        try:
            events = reader.events(lines)
        except (EventFileError, UserError):
            yield from _line_by_line(before, lines)
            raise
        yield events


def _line_by_line(reader: _Reader, lines: bytes) -> Iterator[np.ndarray]:
    """The events before the first line with a fault, then its error."""
    for line in lines.splitlines(keepends=True):
        number = reader.lines.count + 1
        try:
            events = reader.events(line)
        except EventFileError as fault:
            cause, hint = fault.cause, fault.hint
            if "columns" in fault.settings:
                cause, hint = "its columns have no names", "state their order, for example --columns txyp"
            elif fault.message == "this event file cannot be read":
                hint = "correct what writes the events"
            raise _fault(number, cause, hint) from None
        except UserError as error:
            raise _fault(
                number, f"{error.message}: {error.cause}" if error.cause else error.message, error.hint
            ) from None
        yield events


def _fault(number: int, cause: str, hint: str) -> UserError:
    cause = cause.removeprefix(f"line {number} ").removeprefix(f"line {number}: ")
    return UserError(f"line {number} is no event", where=STANDARD_INPUT, cause=cause, hint=hint)


class _Reader:
    """Converts text lines to events; `lines` counts them."""

    def __init__(self, data: Data) -> None:
        self.lines = TextLines(Table(columns=data.columns))
        self._unit = data.time_unit
        self._sensor = (data.height, data.width)
        self._reading = reading_of(data) if data.source == "class-folders" else AS_STORED
        self._last = 0

    def events(self, lines: bytes) -> np.ndarray:
        columns = self.lines.columns(lines)
        events = from_columns(columns or {name: np.zeros(0, np.int64) for name in "txyp"}, self._unit)
        events = on_frame(events, self._sensor, self._reading, STANDARD_INPUT)
        check_events(events, *self._sensor, where=STANDARD_INPUT)
        if len(events):
            if int(events["t"][0]) < self._last:
                raise UserError(
                    "time runs backwards", cause=f"it is at {events['t'][0]} us, after one at {self._last} us",
                    hint="send the events sorted by time",
                )  # fmt: skip
            self._last = int(events["t"][-1])
        return events


def _whole_lines(stream: ByteStream) -> Iterator[bytes]:
    """What the stream gives, cut at ends of lines."""
    rest, lines = b"", 0
    first = True
    while block := stream.read1(BLOCK):
        rest += block
        if first and len(rest) >= 3:
            rest, first = rest.removeprefix(b"\xef\xbb\xbf"), False  # Excel's mark of UTF-8
        end = rest.rfind(b"\n") + 1
        if not end and len(rest) > BLOCK:
            raise _fault(lines + 1, f"it is longer than {BLOCK:,} bytes", "end each event with a line end")
        if end:
            yield rest[:end]
            lines += rest[:end].count(b"\n")
            rest = rest[end:]
    if rest:
        yield rest
