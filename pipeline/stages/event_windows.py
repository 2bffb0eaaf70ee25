"""Windows of recordings, of event files and of streams: their frames, one window at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from spikeport.errors import UserError
from spikeport.pipeline.data.dataset import Recording
from spikeport.pipeline.data.events import EVENT_DTYPE
from spikeport.pipeline.data.frames.binning import Binning, bin_recording
from spikeport.pipeline.data.frames.facts import FACTS
from spikeport.pipeline.data.readers.event_columns import MOST_BYTES
from spikeport.pipeline.data.sources.event_files import EventFile


@dataclass(frozen=True)
class Window:
    """A recording or a window of one.

    Attributes:
        file: the recording.
        frames: uint8 `[T, 2, H, W]` or `[T, channels]`.
        events: events inside the window.
        start_us: its begin, in microseconds after that of the recording; None where recordings are not cut.
    """

    file: EventFile
    frames: np.ndarray
    events: int
    start_us: int | None


def windows_of(file: EventFile, recording: Recording, binning: Binning, step_us: int | None) -> Iterator[Window]:
    """The windows of a recording: whole ones, but at least one. Frames exist one window at a time.

    Args:
        file: the recording.
        recording: its events.
        binning: size and number of frames.
        step_us: microseconds from one begin to the next; None: one window, as `binning` says.
    """
    facts, events = np.zeros(1, FACTS), recording.events
    if step_us is None or not len(events):
        frames = bin_recording(recording, binning, facts)
        yield Window(file, frames, int(facts["in_window"][0]), None if step_us is None else 0)
        return
    cutter = _Cutter(file, recording, binning)
    t = np.ascontiguousarray(events["t"])
    first = int(t[0]) if recording.start_us is None else recording.start_us
    whole = max(0, int(t[-1]) + 1 - first - cutter.long) // step_us
    for begin in range(0, (whole + 1) * step_us, step_us):
        yield cutter.window(events, t, first, begin)


def windows_of_stream(
    file: EventFile, blocks: Iterable[np.ndarray], sensor: tuple[int, int], binning: Binning, step_us: int
) -> Iterator[Window | None]:
    """The windows of a stream, each as soon as an event after it is known; those of `windows_of` for the same events.

    Args:
        file: the name of the stream.
        blocks: EVENT_DTYPE `[N]`, sorted by time; events are held until no later window contains them.
        sensor: height and width of the sensor.
        binning: size and number of frames.
        step_us: microseconds from one begin to the next.

    Yields:
        A window, or None where the next one needs more events.

    Raises:
        UserError: the events of one window are too many to be held.
    """
    cutter = _Cutter(file, Recording(events=np.empty(0, EVENT_DTYPE), sensor=sensor, label=file.label, key=file.key,
                                     origin=str(file.path)), binning)  # fmt: skip
    held: list[np.ndarray] = []
    first, last, begin = -1, -1, 0  # times of the first and the last event, and the begin of the next window
    for block in blocks:
        if len(block):
            first, last = (int(block["t"][0]) if first < 0 else first), int(block["t"][-1])
            held.append(block)
            if last >= first + begin + cutter.long:
                events = np.concatenate(held)
                t = np.ascontiguousarray(events["t"])
                while last >= first + begin + cutter.long:
                    yield cutter.window(events, t, first, begin)
                    begin += step_us
                held = [events[np.searchsorted(t, first + begin) :].copy()]
            elif last < first + begin:
                held = []
            if sum(map(len, held)) * EVENT_DTYPE.itemsize > MOST_BYTES:
                raise UserError(
                    f"a window has more than {MOST_BYTES:,} bytes of events", where=str(file.path),
                    hint="send fewer events, or use a run with shorter windows",
                )  # fmt: skip
        yield None
    events = np.concatenate([np.empty(0, EVENT_DTYPE), *held])
    t = np.ascontiguousarray(events["t"])
    while first >= 0 and (begin == 0 or last + 1 - first >= begin + cutter.long):
        yield cutter.window(events, t, first, begin)
        begin += step_us


class _Cutter:
    """Cuts windows of whole steps from events.

    Args:
        file: the recording.
        recording: its sensor and names.
        binning: size and number of frames.
    """

    def __init__(self, file: EventFile, recording: Recording, binning: Binning) -> None:
        self.long = binning.steps * binning.step_us
        self._file, self._recording, self._binning = file, recording, replace(binning, window="first")

    def window(self, events: np.ndarray, t: np.ndarray, first: int, begin: int) -> Window:
        """The window from `begin` us after the time `first`, of `events` at the times `t`."""
        start, end = np.searchsorted(t, (first + begin, first + begin + self.long))
        cut = replace(self._recording, events=events[start:end], start_us=first + begin)
        return Window(self._file, bin_recording(cut, self._binning), int(end - start), begin)
