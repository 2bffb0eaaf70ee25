"""Reads spike trains of many recordings from one HDF5 file, in the layout of the Heidelberg spiking data sets.

    spikes/times [N]   ragged, floating point: times in seconds
    spikes/units [N]   ragged, integers: the channel of each spike
    labels [N]         classes
    extra/keys [K]     names of the classes
    extra/speaker [N]  numbers of the speakers

Source: Cramer, Stradmann, Schemmel, Zenke, IEEE TNNLS 33, 2022; tonic.datasets.hsd.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spikeport.errors import UserError
from spikeport.export.formats.ragged_hdf5 import Ragged, read_members, read_rows
from spikeport.export.formats.safe_hdf5 import Leaf, Unsupported
from spikeport.pipeline.data.events import EVENT_DTYPE, in_order
from spikeport.regular_files import check_regular

VERSION = 1  # change it whenever what comes out changes, so that cached frames are made again
LONGEST_S = 1e9  # so that microseconds fit 64 bits
_KINDS = {"spikes/times": ("f", "floating point"), "spikes/units": ("iu", "integers")}
_HINT = "copy it again from its source"


@dataclass(frozen=True, kw_only=True)
class TrainTable:
    """What a file says of its N recordings.

    Attributes:
        labels: int64 `[N]`.
        classes: names of the classes, in order of label.
        speakers: int64 `[N]`, or None if they were not asked for.
    """

    labels: np.ndarray
    classes: tuple[str, ...]
    speakers: np.ndarray | None


def read_table(path: Path, *, speakers: bool) -> TrainTable:
    """Labels, classes and speakers of a file.

    Args:
        path: the file.
        speakers: whether speakers are read; the file must then have them.

    Raises:
        UserError: the file is damaged or has another layout.
    """
    check_regular(path)
    wanted = ("labels", *(["extra/speaker"] if speakers else []), "extra/keys")
    found = read_members(path, (*_KINDS, *wanted))
    rows = _check_trains(found, path)
    labels = _numbers(found, "labels", path)
    speaker = _numbers(found, "extra/speaker", path) if speakers else None
    names = found["extra/keys"]
    if not isinstance(names, np.ndarray) or names.ndim != 1 or names.dtype.kind not in "SO":
        raise _fault(path, f"extra/keys is {_words(names)}, not a list of names")
    keys = tuple(key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key) for key in names.tolist())
    for name, values in (("labels", labels), ("extra/speaker", speaker)):
        if values is not None and len(values) != rows:
            raise _fault(path, f"spikes/times has {rows} recordings, {name} has {len(values)}")
    if len(set(keys)) < len(keys):
        raise _fault(path, "two classes in extra/keys have one name")
    wrong = np.flatnonzero((labels < 0) | (labels >= len(keys)))
    if len(wrong):
        row = int(wrong[0])
        raise _fault(path, f"recording {row} has label {labels[row]}, extra/keys names {len(keys)} classes")
    return TrainTable(labels=labels, classes=keys, speakers=speaker)


def read_trains(path: Path, channels: int, *, sort: bool = False) -> Iterator[tuple[np.ndarray, int]]:
    """The spikes of every recording of a file, in order.

    Times become microseconds as in tonic: seconds in double precision times 1e6, rounded down.

    Args:
        path: the file.
        channels: number of channels.
        sort: whether spikes may be sorted by time.

    Yields:
        EVENT_DTYPE `[spikes]`, x is the channel, y and p are 0; and the largest step back in time in microseconds
        before they were sorted.

    Raises:
        UserError: the file is damaged or has another layout; a recording has times that are no times, that run
            backwards, or a channel out of range.
    """
    check_regular(path)
    _check_trains(read_members(path, tuple(_KINDS)), path)
    for row, (seconds, units) in enumerate(read_rows(path, tuple(_KINDS))):
        events = _events(seconds, units, channels, f"{path}, recording {row}")
        yield in_order(events) if sort else (events, 0)


def _events(seconds: np.ndarray, units: np.ndarray, channels: int, where: str) -> np.ndarray:
    if len(seconds) != len(units):
        cause = f"spikes/times has {len(seconds)}, spikes/units {len(units)}"
        raise UserError("times and channels differ in number", where=where, cause=cause, hint=_HINT)
    wide = seconds.astype(np.float64)
    bad = ~((wide >= 0) & (wide < LONGEST_S))  # NaN compares as false
    if bad.any():
        at = int(np.argmax(bad))
        cause = f"spike {at} is at {wide[at]:g} s, spikes/times has seconds from 0 on"
        raise UserError("a spike has no valid time", where=where, cause=cause, hint=_HINT)
    numbers = units.astype(np.int64)
    outside = (numbers < 0) | (numbers >= channels)
    if outside.any():
        at = int(np.argmax(outside))
        cause = f"spike {at} is in channel {numbers[at]}, the channels are 0 to {channels - 1}"
        raise UserError("a spike lies outside the channels", where=where, cause=cause, hint=_HINT)
    events = np.zeros(len(wide), EVENT_DTYPE)
    events["t"], events["x"] = np.floor(wide * 1e6), numbers
    return events


def _check_trains(found: Mapping[str, Leaf | Ragged], path: Path) -> int:
    """Number of recordings, of times and channels that are ragged and of one length."""
    lengths = {}
    for name, (kinds, words) in _KINDS.items():
        item = found[name]
        if not isinstance(item, Ragged) or len(item.shape) != 1 or item.dtype.kind not in kinds:
            raise _fault(path, f"{name} is {_words(item)}, not a ragged array of {words}")
        lengths[name] = item.shape[0]
    (first, rows), (second, others) = lengths.items()
    if rows != others:
        raise _fault(path, f"{first} has {rows} recordings, {second} has {others}")
    return rows


def _numbers(found: Mapping[str, Leaf | Ragged], name: str, path: Path) -> np.ndarray:
    item = found[name]
    if not isinstance(item, np.ndarray) or item.ndim != 1 or item.dtype.kind not in "iu":
        raise _fault(path, f"{name} is {_words(item)}, not a list of whole numbers")
    return item.astype(np.int64)


def _words(item: Leaf | Ragged) -> str:
    if isinstance(item, Unsupported):
        return item.what
    return f"{'ragged ' if isinstance(item, Ragged) else ''}{item.dtype} {list(item.shape)}"


def _fault(path: Path, cause: str) -> UserError:
    return UserError("this file of spike trains cannot be read", where=str(path), cause=cause, hint=_HINT)
