"""Bins events into frames of 0 and 1, or of counts.

Bin k contains the events with k * step_us <= t - start < (k + 1) * step_us, where start is the first event of the
recording unless the recording states another or another window is asked for; events outside the steps are ignored, and
frames without events are empty. Channel 0 is polarity 0 (OFF, darker), channel 1 polarity 1 (ON, brighter). A pixel is
1 if at least one event fell into it; in frames of counts it is the number of events that did, up to a limit. A
one-dimensional input has channels in place of pixels, and no polarity.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from spikeport.errors import UserError
from spikeport.pipeline.data.dataset import Recording
from spikeport.pipeline.data.events import columns
from spikeport.pipeline.data.frames.facts import FACTS, tails
from spikeport.pipeline.data.frames.packed import PackedFrames, row_bytes
from spikeport.pipeline.run.sections.data import Data
from spikeport.progress import NamedProgress
from spikeport.values import Shape


@dataclass(frozen=True, kw_only=True)
class Binning:
    """Size and number of frames.

    Attributes:
        steps: number of time steps, `T`.
        step_us: duration of a time step in microseconds.
        height: rows of a frame.
        width: columns of a frame.
        window: which part of a longer recording is used: "first", "last" or "centre"; "whole": all of it, in `steps`
            equal parts, however long they are.
        windows: number of windows of a recording. If there are several, the first begins with the first event, the last
            ends with the last event, and the others begin at equal distances between; `window` is not used.
        counts: largest value of a pixel, if frames are counts; 0: frames are 0 and 1.
        one_dimensional: whether a frame is one row of `width` channels, `height` 1, without polarity.

    >>> Binning(steps=3, step_us=1000, height=4, width=5).shape
    (3, 2, 4, 5)
    >>> Binning(steps=3, step_us=1000, height=1, width=5, one_dimensional=True).shape
    (3, 5)
    """

    steps: int
    step_us: int
    height: int
    width: int
    window: str = "first"
    windows: int = 1
    counts: int = 0
    one_dimensional: bool = False

    @classmethod
    def of(cls, data: Data) -> Binning:
        """The binning that a recipe asks for, with one window of each recording.

        Args:
            data: `[data]` of the recipe.
        """
        height, width = data.frame_size
        return cls(
            steps=data.steps, step_us=data.step_us, height=height, width=width, window=data.window,
            counts=data.counts, one_dimensional=data.channels is not None,
        )  # fmt: skip

    @property
    def row_bytes(self) -> int:
        """Bytes of one window's frames in memory and in the cache: a bit a value, or a byte if they are counts."""
        return int(np.prod(self.shape)) if self.counts else row_bytes(self.shape)

    @property
    def shape(self) -> Shape:
        """Shape of one recording's frames: T, 2, H, W; or T, N of a one-dimensional input."""
        return (self.steps, self.width) if self.one_dimensional else (self.steps, 2, self.height, self.width)

    def boundaries(self, first: int, last: int, number: int = 0) -> np.ndarray:
        """Times at which the steps begin, and at which the last one ends, int64 `[steps + 1]`.

        Args:
            first: time of the first event in microseconds.
            last: time of the last event in microseconds.
            number: which of several windows, from 0.

        >>> Binning(steps=2, step_us=10, height=1, width=1, window="last").boundaries(100, 149)
        array([130, 140, 150])
        >>> Binning(steps=2, step_us=10, height=1, width=1, windows=3).boundaries(100, 149, 1)
        array([115, 125, 135])
        """
        steps = np.arange(self.steps + 1)
        if self.window == "whole":  # the last event is in the last step, so the end is one microsecond later
            return first - steps * (first - last - 1) // self.steps
        free = max(last + 1 - first - self.steps * self.step_us, 0)
        if self.windows > 1:
            start = free * number // (self.windows - 1)
        else:
            start = {"first": 0, "last": free, "centre": free // 2}[self.window]
        return first + start + self.step_us * steps


@dataclass(frozen=True, kw_only=True)
class Frames:
    """Frames of several recordings.

    Attributes:
        frames: `[N, T, 2, H, W]` or `[N, T, channels]` of 0 and 1, as bits, or counts, uint8; several windows of a
            recording follow each other.
        facts: FACTS `[N]`, properties of each recording before binning, and of the window.
    """

    frames: PackedFrames | np.ndarray
    facts: np.ndarray

    @classmethod
    def stored(cls, rows: np.ndarray, facts: np.ndarray, binning: Binning) -> Frames:
        """Frames from their bytes.

        Args:
            rows: uint8 `[N, binning.row_bytes]`.
            facts: FACTS `[N]`.
            binning: size and number of frames.
        """
        shape = (len(rows), *binning.shape)
        return cls(frames=rows.reshape(shape) if binning.counts else PackedFrames(rows, shape), facts=facts)

    @property
    def rows(self) -> np.ndarray:
        """The bytes of the frames, uint8 `[N, row_bytes]`."""
        if isinstance(self.frames, PackedFrames):
            return self.frames.bits
        return self.frames.reshape(len(self.frames), int(np.prod(self.frames.shape[1:])))

    @property
    def events(self) -> np.ndarray:
        """Number of events of each recording before binning, int64 `[N]`."""
        return np.ascontiguousarray(self.facts["events"])


def bin_recordings(
    recordings: Iterable[Recording], count: int, binning: Binning, progress: NamedProgress | None = None
) -> Frames:
    """Bins recordings.

    Args:
        recordings: yields the recordings.
        count: how many there are.
        binning: size and number of frames.
        progress: called after each recording.

    Raises:
        UserError: a sensor is larger than the frame.
    """
    found = empty_frames(count, binning)
    for row, recording in enumerate(recordings):
        fill(found, row, recording, binning)
        if progress:
            progress(row + 1, count, "binning events")
    return found


def empty_frames(count: int, binning: Binning) -> Frames:
    """Frames that `fill` fills.

    Args:
        count: number of recordings.
        binning: size and number of frames.
    """
    rows = count * binning.windows
    return Frames.stored(np.zeros((rows, binning.row_bytes), np.uint8), np.zeros(rows, FACTS), binning)


def fill(found: Frames, number: int, recording: Recording, binning: Binning) -> None:
    """Bins all windows of one recording into its rows.

    Args:
        found: all frames.
        number: number of the recording, from 0.
        recording: its events.
        binning: size and number of frames.

    Raises:
        UserError: the sensor is larger than the frame.
    """
    for window in range(binning.windows):
        row = number * binning.windows + window
        frames = bin_recording(recording, binning, found.facts[row : row + 1], window)
        found.rows[row] = frames.reshape(-1) if binning.counts else np.packbits(frames)


def bin_recording(
    recording: Recording, binning: Binning, facts: np.ndarray | None = None, number: int = 0
) -> np.ndarray:
    """Bins one recording; a sensor that is smaller than the frame fills its top left part.

    Args:
        recording: events of one recording.
        binning: size and number of frames.
        facts: FACTS `[1]`, filled if given.
        number: which of `binning.windows`, from 0.

    Returns:
        Frames uint8 `[T, 2, H, W]`, or `[T, N]` of a one-dimensional input.

    Raises:
        UserError: the sensor is larger than the frame.
    """
    height, width = recording.sensor
    if height > binning.height or width > binning.width:
        raise UserError(
            f"a sensor of {height} x {width} pixels does not fit frames of {binning.height} x {binning.width}",
            where=recording.origin or recording.key,
            hint="set data.height and data.width to the sensor's size",
        )
    out = np.zeros(binning.shape, np.uint8)
    if not len(recording.events):
        if facts is not None:
            facts["empty"] = binning.steps
        return out
    t, x, y, p = columns(recording.events)  # within the sensor and sorted: a Recording refuses to exist otherwise
    begin = int(t[0]) if recording.start_us is None else recording.start_us
    edges = np.searchsorted(t, binning.boundaries(begin, int(t[-1]), number))
    used = slice(edges[0], edges[-1])
    in_window = edges[-1] - edges[0]
    if facts is not None:
        first, last = tails(len(t))
        start, core = t[first] - t[0], t[last] - t[first]
        box = x.min(), x.max(), y.min(), y.max()
        empty = np.count_nonzero(edges[1:] == edges[:-1])
        facts[0] = (len(t), in_window, np.count_nonzero(p), t[-1] - t[0], start, core, *box, empty, recording.late_us)
    flat = np.zeros(in_window, np.int64) if binning.one_dimensional else p[used] * binning.height
    flat += y[used]
    flat *= binning.width
    flat += x[used]
    flat += np.repeat(math.prod(binning.shape[1:]) * np.arange(binning.steps), np.diff(edges))
    if binning.counts:
        counted = np.bincount(flat, minlength=out.size)
        return np.minimum(counted, binning.counts).astype(np.uint8).reshape(binning.shape)
    out.reshape(-1)[flat] = 1  # by flat index: no loop over events, and no addition that a second event would need
    return out
