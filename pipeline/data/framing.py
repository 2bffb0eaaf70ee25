"""Events -> binary frames.

Time zero is the first event of the recording. Bin k holds the events with k * step_us <= t - t_first < (k +
1) * step_us; events from steps * step_us on are ignored, and a shorter recording leaves its last frames
empty. Channel 0 holds polarity 0 (OFF, darker), channel 1 polarity 1 (ON, brighter). A pixel is 1 where at
least one event fell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from hardware_profiles.errors import UserError
from pipeline.data.dataset import Recording

Progress = Callable[[int, int, str], None]  # done, total, what


@dataclass(frozen=True, kw_only=True)
class Binning:
    """How events become frames: `steps` bins of `step_us` microseconds, on `height` x `width` pixels."""

    steps: int
    step_us: int
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Axes of one recording's frames: T, 2, H, W."""
        return self.steps, 2, self.height, self.width


@dataclass(frozen=True, kw_only=True)
class Frames:
    """`frames` `[N, T, 2, H, W]` uint8 of 0 and 1, and how many events each recording had, `events` `[N]`
    int64.
    """

    frames: np.ndarray
    events: np.ndarray


def bin_recordings(
    recordings: Iterable[Recording], count: int, binning: Binning, progress: Progress | None = None
) -> Frames:
    """Frames of `count` recordings, in their order. Raises UserError naming a recording with an impossible
    event.
    """
    frames = np.zeros((count, *binning.shape), np.uint8)
    events = np.zeros(count, np.int64)
    for row, recording in enumerate(recordings):
        bin_events(recording.events, binning, out=frames[row], where=f"recording {recording.key}")
        events[row] = len(recording.events)
        if progress:
            progress(row + 1, count, "binning events")
    return Frames(frames=frames, events=events)


def bin_events(
    events: np.ndarray, binning: Binning, *, out: np.ndarray | None = None, where: str = "events"
) -> np.ndarray:
    """Frames `[T, 2, H, W]` uint8 of one recording's `events` (see `Recording`); `out`, if given, must hold
    zeros.

    Raises UserError naming `where` for an event outside the frame or time that runs backwards.
    """
    if out is None:
        out = np.zeros(binning.shape, np.uint8)
    if not len(events):
        return out
    check_events(events, binning.height, binning.width, where=where)
    t = events["t"]
    edges = np.searchsorted(t, t[0] + binning.step_us * np.arange(binning.steps + 1))
    kept = events[: edges[-1]]
    pixels = 2 * binning.height * binning.width
    flat = np.repeat(pixels * np.arange(binning.steps), np.diff(edges))
    flat += (kept["p"].astype(np.intp) * binning.height + kept["y"]) * binning.width + kept["x"]
    out.reshape(-1)[flat] = 1
    return out


def check_events(events: np.ndarray, height: int, width: int, *, where: str) -> None:
    """Raises UserError naming `where` and the first event that no sensor of `height` x `width` can have
    sent.
    """
    t, x, y, p = (events[name] for name in ("t", "x", "y", "p"))
    if not len(t):
        return
    if t[0] < 0 or (t[1:] < t[:-1]).any():
        bad = 0 if t[0] < 0 else int(np.argmax(t[1:] < t[:-1])) + 1
        before = f"after {t[bad - 1]} us" if bad else "before zero"
        raise UserError(
            "time runs backwards",
            where=where,
            why=f"event {bad} is at {t[bad]} us, {before}",
            mend="record or convert this file again, events sorted by time from 0 us on",
        )
    if x.min() < 0 or x.max() >= width or y.min() < 0 or y.max() >= height:
        bad = int(np.argmax((x < 0) | (x >= width) | (y < 0) | (y >= height)))
        raise UserError(
            "an event lies outside the sensor",
            where=where,
            why=f"event {bad} is at x = {x[bad]}, y = {y[bad]}; the recipe says {width} wide and {height} high",
            mend="set data.height and data.width to the sensor's size, or remove the damaged file",
        )
    if p.min() < 0 or p.max() > 1:
        bad = int(np.argmax((p < 0) | (p > 1)))
        raise UserError(
            "polarity must be 0 or 1", where=where, why=f"event {bad} has {p[bad]}", mend="convert the file"
        )
