"""Reads spike trains of many recordings from one HDF5 file, in the layout of the Heidelberg spiking data sets.

    spikes/times [N]   ragged, floating point: times in seconds
    spikes/units [N]   ragged, integers: the channel of each spike
    labels [N]         classes
    extra/keys [K]     names of the classes
    extra/speaker [N]  numbers of the speakers

Source: Cramer, Stradmann, Schemmel, Zenke, IEEE TNNLS 33, 2022; tonic.datasets.hsd.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.errors import UserError
from spikeport.pipeline.data.events import EVENT_DTYPE, in_order
from spikeport.pipeline.data.readers.event_columns import EventFileError
from spikeport.pipeline.data.readers.event_hdf5 import member_of
from spikeport.regular_files import check_regular

VERSION = 1  # change it whenever what comes out changes, so that cached frames are made again
LONGEST_S = 1e9  # so that microseconds fit 64 bits
_ROWS = 64  # recordings that are read at a time
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
    with _opened(path) as file:
        times, _ = _trains(file, path)
        labels = _numbers(file, "labels", path)
        found = _numbers(file, "extra/speaker", path) if speakers else None
        names = _member(file, "extra/keys", path)
        if names.ndim != 1 or names.dtype.kind not in "SO":
            raise _fault(path, f"extra/keys is {names.dtype} {list(names.shape)}, not a list of names")
        keys = tuple(
            key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key) for key in names[()].tolist()
        )
    for name, values in (("labels", labels), ("extra/speaker", found)):
        if values is not None and len(values) != len(times):
            raise _fault(path, f"spikes/times has {len(times)} recordings, {name} has {len(values)}")
    if len(set(keys)) < len(keys):
        raise _fault(path, "two classes in extra/keys have one name")
    wrong = np.flatnonzero((labels < 0) | (labels >= len(keys)))
    if len(wrong):
        row = int(wrong[0])
        raise _fault(path, f"recording {row} has label {labels[row]}, extra/keys names {len(keys)} classes")
    return TrainTable(labels=labels, classes=keys, speakers=found)


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
    with _opened(path) as file:
        times, units = _trains(file, path)
        for first in range(0, len(times), _ROWS):
            rows = slice(first, first + _ROWS)
            for row, (seconds, channel) in enumerate(zip(times[rows], units[rows], strict=True), first):
                events = _events(np.asarray(seconds), np.asarray(channel), channels, f"{path}, recording {row}")
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


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file; whatever HDF5 raises in the block becomes a UserError."""
    import h5py

    check_regular(path)
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (UserError, ImportError):
        raise
    except EventFileError as fault:
        raise _fault(path, fault.cause) from None
    except MemoryError:
        raise _fault(path, "its recordings need more memory than there is") from None
    except Exception as error:  # h5py raises a dozen kinds on damaged files
        raise _fault(path, f"{type(error).__name__}: {error}"[:300]) from error


def _trains(file: Any, path: Path) -> tuple[Any, Any]:
    """The data sets of times and channels, checked to be ragged and of one length."""
    import h5py

    found = []
    for name, kinds, words in (("times", "f", "floating point"), ("units", "iu", "integers")):
        item = _member(file, f"spikes/{name}", path)
        inner = h5py.check_vlen_dtype(item.dtype)
        if item.ndim != 1 or inner is None or np.dtype(inner).kind not in kinds:
            raise _fault(path, f"spikes/{name} is {item.dtype} {list(item.shape)}, not a ragged array of {words}")
        found.append(item)
    times, units = found
    if len(times) != len(units):
        raise _fault(path, f"spikes/times has {len(times)} recordings, spikes/units has {len(units)}")
    return times, units


def _numbers(file: Any, name: str, path: Path) -> np.ndarray:
    item = _member(file, name, path)
    if item.ndim != 1 or item.dtype.kind not in "iu":
        raise _fault(path, f"{name} is {item.dtype} {list(item.shape)}, not a list of whole numbers")
    return item[()].astype(np.int64)


def _member(file: Any, name: str, path: Path) -> Any:
    """The data set of this path, stored in the file itself."""
    import h5py

    found = file
    for part in name.split("/"):
        if not isinstance(found, h5py.Group) or part not in found:
            raise _fault(path, f"there is no {name} in it")
        found = member_of(found, part)
    if not isinstance(found, h5py.Dataset) or found.shape is None or found.is_virtual or found.external:
        raise _fault(path, f"{name} is not a data set with values in the file itself")
    return found


def _fault(path: Path, cause: str) -> UserError:
    return UserError("this file of spike trains cannot be read", where=str(path), cause=cause, hint=_HINT)
