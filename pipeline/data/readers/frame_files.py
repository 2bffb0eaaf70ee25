"""Reads recordings that are frames already: an array `[T, 2, H, W]` in .npy or .npz, or a folder of pictures.

Every value that is not 0 becomes 1, as in all frames here. An array with one channel, `[T, 1, H, W]` or `[T, H, W]`,
has negative values OFF and positive ones ON; without negative values all of it is ON.
"""

from __future__ import annotations

import math
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from spikeport.notes import note
from spikeport.npy_header import read_npy_header
from spikeport.pipeline.data.events import EVENT_DTYPE
from spikeport.pipeline.data.readers.event_columns import (
    EventFileError,
    check_size,
    damaged,
    describe,
    unknown_layout,
)
from spikeport.pipeline.data.readers.frame_pictures import read_pictures

ARRAYS = (".npy", ".npz")
_TAKEN = "frames [T, 2, H, W] with channel 0 OFF and 1 ON, or [T, 1, H, W] or [T, H, W]"
_DENSE = 0.9  # share of values that are not 0, above which these are no frames of events


@dataclass(frozen=True)
class FrameSteps:
    """The frames that a recipe asks for.

    Attributes:
        steps: frames of a recording.
        step_us: duration of a frame in microseconds.
        size: height and width of a frame in the file.
    """

    steps: int
    step_us: int
    size: tuple[int, int]


def read_frames(path: Path) -> np.ndarray:
    """The frames of one recording.

    Args:
        path: a .npy or .npz file, or a folder of pictures.

    Returns:
        bool `[T, 2, H, W]`, channel 0 is OFF.

    Raises:
        EventFileError: it holds no frames, or what they mean is not known.
        UserError: a picture cannot be read.
    """
    frames = read_pictures(path) if path.is_dir() else _two_channels(_array(path))
    active = float(frames.any(axis=1).mean()) if frames.size else 0.0
    if active > _DENSE:
        raise EventFileError(
            f"{active:.0%} of its pixels are not 0 in a frame", message="these frames are not those of events",
            hint="store 0 where no event fell; gray pictures of a scene are no event frames",
        )  # fmt: skip
    return frames


def read_frame_events(path: Path, wanted: FrameSteps) -> np.ndarray:
    """The frames of one recording as events: one for each value that is not 0, at the time at which its frame begins.

    Args:
        path: a .npy or .npz file, or a folder of pictures.
        wanted: number, duration and size of the frames.

    Returns:
        EVENT_DTYPE `[N]`.

    Raises:
        EventFileError: it has other frames.
        UserError: a picture cannot be read.
    """
    frames = read_frames(path)
    steps, _, height, width = frames.shape
    if steps != wanted.steps:
        raise EventFileError(
            f"it has {steps} frames, and data.steps is {wanted.steps}", message="this recording has other frames",
            hint=f"set data.steps = {steps}, or bin all recordings into {wanted.steps} frames",
        )  # fmt: skip
    if (height, width) != wanted.size:
        raise EventFileError(
            f"its frames are {height} high and {width} wide, and {wanted.size[0]} x {wanted.size[1]} are asked for",
            message="this recording has other frames",
            hint=f"set data.height = {height} and data.width = {width}, or data.sensor = [{width}, {height}] to scale "
            "them to height and width",
        )
    step, polarity, y, x = np.nonzero(frames)
    events = np.empty(len(step), EVENT_DTYPE)
    events["t"], events["p"], events["y"], events["x"] = step * wanted.step_us, polarity, y, x
    return events


def holds_frames(path: Path) -> bool:
    """Whether a file seems to hold frames, by the header of its arrays: numbers without fields of 3 or 4 axes.

    Args:
        path: a .npy or .npz file; other files hold none.
    """
    try:
        with open(path, "rb") as file:
            shape, dtype = _member(file)[1:] if path.suffix.lower() == ".npz" else _header(file)
    except (OSError, ValueError, EventFileError, zipfile.BadZipFile):
        return False
    return path.suffix.lower() in ARRAYS and len(shape) in (3, 4) and dtype.names is None and dtype.kind in "iufb"


def _array(path: Path) -> np.ndarray:
    stored = os.path.getsize(path)
    with open(path, "rb") as file:
        if path.suffix.lower() == ".npy":
            return _values(file, stored, stored)
        name = _member(file)[0]
        with zipfile.ZipFile(file) as archive, archive.open(name) as member:
            return _values(member, archive.getinfo(name).file_size, stored)


def _member(file: IO[bytes]) -> tuple[str, tuple[int, ...], np.dtype]:
    """Name, shape and type of the array `frames` of a .npz file, or of its only array."""
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if name in ("frames.npy", "frames")] or archive.namelist()
        if len(names) != 1:
            listed = ", ".join(name.removesuffix(".npy")[:40] for name in names[:8]) or "none"
            raise unknown_layout(f"the arrays {listed}", "save the frames alone, or as 'frames'", _TAKEN)
        with archive.open(names[0]) as member:
            return (names[0], *_header(member))


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    shape, _, dtype = read_npy_header(file)
    return shape, dtype


def _values(file: IO[bytes], size: int, stored: int) -> np.ndarray:
    shape, fortran, dtype = read_npy_header(file)
    if dtype.hasobject or dtype.names or dtype.kind not in "iufb":
        what = "Python objects, which are never unpickled" if dtype.hasobject else f"an array of {str(dtype)[:60]}"
        hint = 'for events, leave data.recordings = "events"' if dtype.names else "save plain arrays of numbers"
        raise unknown_layout(what, hint, _TAKEN)
    count = math.prod(shape) * dtype.itemsize
    if count != size - file.tell():
        raise damaged(f"its header states {count:,} bytes, and it holds {size - file.tell():,}")
    check_size(count, stored)
    return np.frombuffer(file.read(count), dtype).reshape(shape, order="F" if fortran else "C")


def _two_channels(values: np.ndarray) -> np.ndarray:
    """bool `[T, 2, H, W]` of an array with two channels, one, or none."""
    if values.ndim not in (3, 4) or (values.ndim == 4 and values.shape[1] not in (1, 2)):
        hint = "store frames as [T, 2, H, W]"
        if values.ndim == 4 and values.shape[3] in (1, 2):
            hint = "the channel seems to be the last axis: store numpy.moveaxis(frames, 3, 1)"
        elif values.ndim == 5:
            hint = "store one recording in each file"
        elif values.ndim == 2:
            hint += '; for events [N, 4], leave data.recordings = "events"'
        raise unknown_layout(f"an array {describe(values)}", hint, _TAKEN)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise unknown_layout("frames with values that are not finite", "store 0 where no event fell", _TAKEN)
    least, most = (values.min(), values.max()) if values.size else (0, 0)
    if most > 1:
        note("frames hold counts: every value above 0 is taken as 1")
    if values.ndim == 4 and values.shape[1] == 2:
        if least < 0:
            raise unknown_layout(
                f"two channels with negative values, down to {least:g}",
                "store how many events fell in each channel, or one channel with negative values for OFF",
                _TAKEN,
            )
        return values != 0
    one = values if values.ndim == 3 else values[:, 0]
    if least < 0:
        return np.stack([one < 0, one > 0], axis=1)
    note("frames have one channel and no negative value: all events are taken as ON")
    return np.stack([np.zeros(one.shape, bool), one > 0], axis=1)
