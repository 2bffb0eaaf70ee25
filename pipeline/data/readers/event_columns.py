"""Converts the columns of an event file to EVENT_DTYPE; no value is rounded, wrapped or guessed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.pipeline.data.events import EVENT_DTYPE

# Field names that other tools write for ours, in the order in which they are preferred.
ALIASES = {
    "t": ("t", "ts", "timestamp", "timestamps", "time", "times"),
    "x": ("x", "xs"),
    "y": ("y", "ys"),
    "p": ("p", "ps", "pol", "polarity", "on", "polarities"),
}
KNOWN = frozenset(name for names in ALIASES.values() for name in names)
TAKEN = "columns of whole numbers named t, x, y and p, t in us"
UNITS_US = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": 1}  # microseconds of a unit; a ns is a thousandth of one
FREE_BYTES, EXPANSION = 64 << 20, 32  # a file may unpack to this many bytes, plus this factor times its size
MOST_BYTES = 512 << 20  # a recording is one sample of a classifier, and this holds 40 million events of 13 bytes
_SECONDS = (
    10_000  # times with fractions that span less than this are not in us; recordings in s are hardly longer than hours
)

_CODES: ContextVar[set[int] | None] = ContextVar("polarity codes", default=None)


@dataclass(frozen=True)
class Table:
    """What a recipe says of event files that do not say it themselves.

    Attributes:
        columns: order of the columns of arrays without names, for example "txyp".
        time_unit: unit of the times, one of UNITS_US.
    """

    columns: str = ""
    time_unit: str = "us"


class EventFileError(Exception):
    """A file that does not give events.

    Args:
        cause: the reason.
        message: what is wrong, in short.
        hint: what to do.
        settings: keys of `[data]` with which the file may be readable.
    """

    def __init__(self, cause: str, *, message: str, hint: str, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(cause)
        self.cause, self.message, self.hint, self.settings = cause, message, hint, dict(settings or {})


@contextmanager
def polarity_codes() -> Iterator[set[int]]:
    """Collects the codes of polarity, as files store them, of all events that are read in the block."""
    codes: set[int] = set()
    token = _CODES.set(codes)
    try:
        yield codes
    finally:
        _CODES.reset(token)


def damaged(cause: str) -> EventFileError:
    """The error for a damaged file.

    Args:
        cause: what is wrong with the file.
    """
    return EventFileError(
        cause, message="this event file cannot be read", hint="copy it again from its source, or remove it"
    )


def unknown_layout(
    found: str, convert: str, taken: str = TAKEN, settings: Mapping[str, str] | None = None
) -> EventFileError:
    """The error for a layout that is not supported.

    Args:
        found: what the file contains.
        convert: how to convert it.
        taken: supported layouts.
        settings: keys of `[data]` with which the file may be readable.
    """
    return EventFileError(
        f"found {found}; supported are {taken}",
        message="this event file has a layout that is not read",
        hint=convert,
        settings=settings,
    )


def check_size(declared: int, stored: int) -> None:
    """Checks that a file does not declare more bytes than a recording may have.

    Args:
        declared: unpacked size in bytes.
        stored: size of the file in bytes.

    Raises:
        EventFileError: it declares more.
    """
    most = min(FREE_BYTES + EXPANSION * stored, MOST_BYTES)
    if declared > most:
        raise EventFileError(
            f"it declares {declared:,} bytes of events in {stored:,} bytes of file; at most {most:,} are read",
            message="this event file is too large for one recording",
            hint="cut it into recordings, or remove it",
        )


def from_columns(source: Any, time_unit: str = "us") -> np.ndarray:
    """Converts a structured array, or arrays by name, to EVENT_DTYPE.

    Args:
        source: columns named t, x, y and p, or as in ALIASES.
        time_unit: unit of t. Other units than "us" are rounded to whole microseconds, ns downwards.

    Raises:
        EventFileError: a column is missing, values are not integers that fit, or polarity has other codes than 0 and
            1, or -1 and 1.
    """
    names = source.dtype.names if isinstance(source, np.ndarray) else tuple(source)
    if names is None:
        raise unknown_layout(f"an array without fields, {describe(source)}", "convert it to a structured array")
    columns = {}
    numbers = column_numbers(names)
    for field in ALIASES:
        if field not in numbers:
            raise unknown_layout(
                f"no field {field!r}, only {_listed(names)}", f"rename the field that holds {field} to {field!r}"
            )
        columns[field] = np.asarray(source[names[numbers[field]]])
    if len({column.shape for column in columns.values()}) > 1 or columns["t"].ndim != 1:
        shapes = ", ".join(f"{field} {list(column.shape)}" for field, column in columns.items())
        raise unknown_layout(f"{shapes}, so t, x, y and p are not columns of one length", "convert them to such")
    columns["t"] = _in_us(columns["t"], time_unit)
    columns = {field: _whole(field, column) for field, column in columns.items()}
    columns["p"] = _polarity(columns["p"])
    events = np.empty(len(columns["t"]), EVENT_DTYPE)
    for field, column in columns.items():
        events[field] = column
        if not np.array_equal(events[field], column):
            at = int(np.argmax(events[field] != column))
            raise unknown_layout(
                f"{field} = {column[at]} at event {at}: {field} has values that do not fit {events[field].dtype}",
                f"correct {field}, or remove the file",
            )
    return events


def column_numbers(names: Sequence[str]) -> dict[str, int]:
    """Which of the names are those of t, x, y and p; of several, the one that ALIASES has first.

    Args:
        names: names of columns, in the order of the file.

    >>> column_numbers(("time", "Y", "x", "t", "label"))
    {'t': 3, 'x': 2, 'y': 1}
    """
    found = {}
    for field, aliases in ALIASES.items():
        known = [(aliases.index(name.lower()), at) for at, name in enumerate(names) if name.lower() in aliases]
        if known:
            found[field] = min(known)[1]
    return found


def describe(array: np.ndarray) -> str:
    """Type and shape of an array.

    Args:
        array: any array.
    """
    return f"{str(array.dtype)[:60]} {list(array.shape)}"


def event_names(names: Sequence[str]) -> list[str]:
    """The names that may be a column of events.

    Args:
        names: names of columns.
    """
    return [name for name in names if name.lower() in KNOWN]


def list_members(members: Mapping[str, str]) -> str:
    """The members of a file as a text.

    Args:
        members: descriptions by name.
    """
    return _listed([f"{name} ({message})" for name, message in members.items()])


def _listed(names: Sequence[str]) -> str:
    return ", ".join(name[:60] for name in names[:8]) + (" and more" if len(names) > 8 else "") if names else "none"


def _in_us(times: np.ndarray, unit: str) -> np.ndarray:
    """Times in microseconds."""
    if unit == "us" or times.dtype.kind not in "iuf":
        return times
    if unit == "ns" and times.dtype.kind in "iu":
        return times // 1_000
    if times.dtype.kind in "iu":
        low, high = (int(times.min()), int(times.max())) if len(times) else (0, 0)
        if max(-low, high) * UNITS_US[unit] >= 2**63:
            raise unknown_layout(f"t = {high} {unit}", "correct data.time_unit", f"times in {unit} that fit 64 bits")
        return times.astype(np.int64) * UNITS_US[unit]
    scaled = times.astype(np.float64) * UNITS_US[unit]
    return np.floor(scaled / 1_000) if unit == "ns" else np.rint(scaled)


def _whole(field: str, column: np.ndarray) -> np.ndarray:
    """The column as integers or bool; floats with integer values, as MATLAB writes them, are converted exactly."""
    if column.dtype.kind in "iub":
        return column
    if column.dtype.kind != "f":
        raise unknown_layout(f"{field} of type {str(column.dtype)[:40]}", f"convert {field} to whole numbers")
    with np.errstate(invalid="ignore"):
        odd = ~((column == np.rint(column)) & (np.abs(column) < 2.0**63))
    if not odd.any():
        return column.astype(np.int64)
    at = int(np.argmax(odd))
    hint, settings = f"convert {field} to whole numbers", {}
    if field == "t" and np.isfinite(column).all():
        span = float(column.max() - column.min())
        hint = "times must be whole microseconds: convert t to whole us, for example numpy.rint(t).astype(numpy.int64)"
        if span < _SECONDS:
            hint = f"times must be whole microseconds: t spans {span:.6g}: if it is in s, convert it with "
            hint += "numpy.rint(t * 1e6).astype(numpy.int64), or set data.time_unit"
            settings = {"time_unit": "s"}
    raise unknown_layout(f"{field} = {column[at]:.9g} at event {at}, of type {column.dtype}", hint, settings=settings)


def _polarity(column: np.ndarray) -> np.ndarray:
    """Polarity 0 and 1, from these codes or from -1 and 1; other codes are an error."""
    if (seen := _CODES.get()) is not None:
        seen.update(map(int, np.unique(column)))
    if column.dtype.kind == "b" or not len(column):
        return column
    low, high = column.min(), column.max()
    if low >= 0 and high <= 1:
        return column
    if low == -1 and high <= 1 and not (column == 0).any():
        return column > 0
    codes = np.unique(column)
    named = ", ".join(map(str, codes[:6])) + (" and more" if len(codes) > 6 else "")
    raise unknown_layout(
        f"the polarities {named}",
        "decide which of them is ON, and convert p to 0 (OFF) and 1 (ON)",
        "0 and 1 (or False and True), or -1 and 1",
    )
