"""Reads recordings that are frames already: an array `[T, 2, H, W]` in .npy or .npz, or a folder of pictures.

Every value that is not 0 becomes 1, or stays a count where the recipe asks for counts. An array with one channel,
`[T, 1, H, W]` or `[T, H, W]`, has negative values OFF and positive ones ON; without negative values all of it is ON.
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
from spikeport.pipeline.data.readers.pictures import SUFFIXES

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
        counts: largest count of events in a pixel; 0: frames are 0 and 1.
    """

    steps: int
    step_us: int
    size: tuple[int, int]
    counts: int = 0


class NotCountsError(EventFileError):
    """Frames that are not counts of events, where `data.counts` asks for them."""


def read_frames(path: Path, counts: int = 0) -> np.ndarray:
    """The frames of one recording.

    Args:
        path: a .npy or .npz file, or a folder of pictures.
        counts: largest count; 0: frames are 0 and 1.

    Returns:
        bool `[T, 2, H, W]`, or uint8 if they are counts; channel 0 is OFF.

    Raises:
        EventFileError: it holds no frames, or what they mean is not known.
        UserError: a picture cannot be read.
    """
    if path.is_dir():
        if counts:
            hint = "store counts as arrays, or leave data.counts out"
            raise NotCountsError("pictures hold colors", message="these frames are not counts", hint=hint)
        return _pictures(path)
    if path.suffix.lower() not in ARRAYS:
        one = "a picture is one frame: name the folder of its recording"
        raise EventFileError(
            f"{path.suffix or 'a file without extension'} is not one of {', '.join(ARRAYS)}",
            message="no reader of frames for this file",
            hint=one
            if path.suffix.lower() in SUFFIXES
            else "write frames with numpy.save, or name folders of pictures",
        )
    return two_channel_counts(_array(path), counts) if counts else two_channels(_array(path))


def _pictures(folder: Path) -> np.ndarray:
    frames = read_pictures(folder)
    check_density(frames)
    return frames


def check_density(frames: np.ndarray) -> None:
    """Checks that frames are those of events, not pictures of a scene.

    Args:
        frames: bool `[T, 2, H, W]`.

    Raises:
        EventFileError: more than 90 % of the pixels have a value.
    """
    active = float(frames.any(axis=1).mean()) if frames.size else 0.0
    if active > _DENSE:
        raise EventFileError(
            f"{active:.0%} of its pixels are not 0 in a frame", message="these frames are not those of events",
            hint="store 0 where no event fell; gray pictures of a scene are no event frames",
        )  # fmt: skip


def read_frame_events(path: Path, wanted: FrameSteps) -> np.ndarray:
    """The frames of one recording as events, at the time at which their frame begins.

    There is one event for each value that is not 0, or as many as it counts.

    Args:
        path: a .npy or .npz file, or a folder of pictures.
        wanted: number, duration and size of the frames.

    Returns:
        EVENT_DTYPE `[N]`.

    Raises:
        EventFileError: it has other frames.
        UserError: a picture cannot be read.
    """
    frames = read_frames(path, wanted.counts)
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
    found = np.nonzero(frames)
    if wanted.counts:
        check_size(int(frames.sum()) * EVENT_DTYPE.itemsize, frames.nbytes)
        found = tuple(each.repeat(frames[found]) for each in found)
    step, polarity, y, x = found
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


def two_channels(values: np.ndarray) -> np.ndarray:
    """Frames of 0 and 1 of an array with two channels, one, or none.

    Args:
        values: `[T, 2, H, W]`, `[T, 1, H, W]` or `[T, H, W]`.

    Returns:
        bool `[T, 2, H, W]`, channel 0 is OFF.

    Raises:
        EventFileError: the array has another shape, or its values have no known meaning.
    """
    found = _channels(values)
    check_density(found != 0)
    if found.size and found.max() > 1:
        note("frames hold counts: every value above 0 is taken as 1; data.counts keeps them")
    return found != 0


def two_channel_counts(values: np.ndarray, most: int) -> np.ndarray:
    """Frames of counts of an array with two channels, one, or none.

    Args:
        values: whole numbers `[T, 2, H, W]`, `[T, 1, H, W]` or `[T, H, W]`.
        most: the largest count, at most 255; larger ones become it.

    Returns:
        uint8 `[T, 2, H, W]`, channel 0 is OFF.

    Raises:
        NotCountsError: the values are not whole numbers.
        EventFileError: the array has another shape, or its values have no known meaning.
    """
    if values.dtype.kind not in "iub" or (values.ndim == 4 and values.shape[1] == 2 and values.min(initial=0) < 0):
        raise NotCountsError(
            f"they are {values.dtype} from {values.min(initial=0)} to {values.max(initial=0)}",
            message="these frames are not counts", hint="store whole numbers from 0, or leave data.counts out",
        )  # fmt: skip
    return np.minimum(_channels(values), most).astype(np.uint8)


def _channels(values: np.ndarray) -> np.ndarray:
    """Values `[T, 2, H, W]` from 0 on, channel 0 is OFF."""
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
    least = values.min(initial=0)
    if values.ndim == 4 and values.shape[1] == 2:
        if least < 0:
            raise unknown_layout(
                f"two channels with negative values, down to {least:g}",
                "store how many events fell in each channel, or one channel with negative values for OFF",
                _TAKEN,
            )
        return values
    one = values if values.ndim == 3 else values[:, 0]
    if least < 0:
        return np.stack([np.where(one < 0, -one, 0), np.where(one > 0, one, 0)], axis=1)
    note("frames have one channel and no negative value: all events are taken as ON")
    return np.stack([np.zeros_like(one), one], axis=1)
