"""Checks how recordings fit the window of steps x step_us and the sensor: wrong units, origins and sensor sizes."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from spikeport.errors import UserError
from spikeport.pipeline.data.dataset import Dataset, EventSplit
from spikeport.pipeline.data.events import reading_from_one
from spikeport.pipeline.data.frames.binning import Binning
from spikeport.values import Shape

LOST = 0.5  # share of the events in the window below which a warning is printed
USELESS = 0.01  # share below which the data set is refused
_FAR = 100  # times longer or shorter than the window: a unit is more likely than a long recording
_SLACK = 20  # how far from the window a recording in the right unit may be
_PERIODS = ((1_000_000, "s"), (1_000, "ms"), (1, "us"))


class Durations(TypedDict):
    """Shortest, median and longest duration of a recording in microseconds."""

    least: int
    median: float
    most: int


class WindowMeasures(TypedDict):
    """How all recordings together fit the window and the sensor.

    Attributes:
        window_us: duration of the window in microseconds.
        duration_us: durations of the recordings.
        inside: share of all events that lie in the window.
        empty_frames: share of frames without an event.
        box: first and last column `x` and row `y` with an event; of a one-dimensional input, `channel`.
        on: share of ON events; None for a one-dimensional input, which has no polarity.
    """

    window_us: int
    duration_us: Durations
    inside: float
    empty_frames: float
    box: dict[str, list[int]]
    on: float | None


class WindowFacts(WindowMeasures):
    """The measures, and what looks wrong.

    Attributes:
        warnings: sentences for people.
    """

    warnings: list[str]


def window_of(dataset: Dataset) -> WindowFacts | None:
    """How the recordings of a data set fit its window; None if their events were not counted.

    Args:
        dataset: the data set.
    """
    parts = [_recording_facts(part) for part in (dataset.train, dataset.validation, dataset.test)]
    counted = [part[part["events"] > 0] for part in parts if part is not None]
    steps, *frame = dataset.test.frames.shape[1:]
    plane = len(frame) > 1
    if not any(len(part) for part in counted):
        return None
    facts = np.concatenate(counted)
    events, durations = facts["events"], facts["duration_us"]
    found: WindowMeasures = {
        "window_us": round(steps * dataset.dt_s * 1e6),
        "duration_us": {
            "least": int(durations.min()), "median": float(np.median(durations)), "most": int(durations.max()),
        },
        "inside": float(facts["in_window"].sum() / events.sum()),
        "empty_frames": float(facts["empty"].mean() / steps),
        "box": {
            name: [int(facts[f"{axis}_min"].min()), int(facts[f"{axis}_max"].max())]
            for name, axis in ((("x", "x"), ("y", "y")) if plane else (("channel", "x"),))
        },
        "on": float(facts["on"].sum() / events.sum()) if plane else None,
    }  # fmt: skip
    warnings = _warnings(facts, found, steps, tuple(frame[1:] if plane else frame), dataset.ready_frames)
    return {**found, "warnings": [*warnings, *_of_cuts(dataset.train, found["window_us"])]}


def check_cuts(facts: np.ndarray, binning: Binning) -> None:
    """Checks that training recordings are long enough to be cut into windows.

    Args:
        facts: FACTS of the training recordings.
        binning: steps and their duration.

    Raises:
        UserError: events were not counted, or no recording lasts longer than one window.
    """
    window = binning.steps * binning.step_us
    cause = "its items are frames"
    if facts["events"].any():
        if (longest := int(facts["duration_us"].max())) >= window:
            return
        cause = f"the longest training recording lasts {period(longest)}, and a window {period(window)}"
    raise UserError(
        "there is no recording to cut into windows",
        where="data.train_windows",
        cause=cause,
        hint="leave data.train_windows out, or lower data.steps or data.step_us",
    )


def _recording_facts(part: EventSplit) -> np.ndarray | None:
    """One row of facts for each recording; of several windows, `in_window` is the sum and `empty` the mean."""
    if part.facts is None or part.windows == 1:
        return part.facts
    rows = part.facts.reshape(-1, part.windows)
    facts = rows[:, 0].copy()
    facts["in_window"] = np.minimum(rows["in_window"].sum(axis=1), facts["events"])  # windows may overlap
    facts["empty"] = rows["empty"].mean(axis=1)
    return facts


def check_window(dataset: Dataset) -> None:
    """Checks that the window contains events to learn from.

    Args:
        dataset: the data set.

    Raises:
        UserError: the window contains less than USELESS of the events.
    """
    found = window_of(dataset)
    if found and found["inside"] < USELESS:
        raise UserError(
            "the window contains almost no events of the recordings",
            where="data.steps, data.step_us",
            cause=found["warnings"][0],
            hint="set data.time_unit, or fit data.steps and data.step_us to the recordings; see spikeport data info",
        )


def period(us: float) -> str:
    """A time with its unit.

    Args:
        us: a time in microseconds.

    >>> period(1500)
    '1.5 ms'
    """
    size, unit = next((size, unit) for size, unit in _PERIODS if us >= size or size == 1)
    return f"{us / size:.4g} {unit}"


def _warnings(facts: np.ndarray, found: WindowMeasures, steps: int, sensor: Shape, ready_frames: bool) -> list[str]:
    window, count = found["window_us"], len(facts)
    sentences = []
    poor = int((facts["in_window"] < USELESS * facts["events"]).sum())
    if found["inside"] < LOST:
        sentences.append(
            f"the window of {period(window)} (data.steps x data.step_us) holds {found['inside']:.2%} of the events; "
            + _too_long(facts, window)
        )
    elif poor:
        sentences.append(
            f"{poor} of {count} recordings have less than {USELESS:.0%} of their events inside the window of "
            f"{period(window)}: look for noise before them, or for another unit"
        )
    elif (facts["empty"] > steps / 2).mean() > 0.5:
        sentences.append(
            f"more than half of the frames are empty in most recordings ({found['empty_frames']:.1%} of all frames); "
            + ("bin events into fewer, longer frames" if ready_frames else _too_short(facts, window))
        )
    late = facts["late_us"]
    if late.any():
        sentences.append(
            f"{int((late > 0).sum())} of {count} recordings had events out of order and were sorted (data.sort); the "
            f"largest step back was {period(late.max())}"
        )
    return [*sentences, *_of_places(found, sensor)]


def _of_cuts(train: EventSplit, window: int) -> list[str]:
    """What to say of training recordings that are too short for several windows."""
    if train.facts is None or train.windows == 1:
        return []
    durations = train.facts["duration_us"][:: train.windows]
    short = int((durations < window).sum())
    if not short:
        return []
    return [
        f"{short} of {len(durations)} training recordings are not longer than the window of {period(window)}, so that "
        f"their {train.windows} windows (data.train_windows) are equal"
    ]


def _too_long(facts: np.ndarray, window: int) -> str:
    """The likely reason why recordings last longer than the window, from the middle 98 % of their events."""
    core, start = float(np.median(facts["core_us"])), facts["core_start_us"]
    stray = start > np.maximum(window, facts["core_us"])
    if stray.mean() > 0.5:
        late, long = np.median(start[stray]), np.median(facts["core_us"][stray])
        return (
            f"in {int(stray.sum())} of {len(facts)} recordings nearly all events begin {period(late)} after the first "
            f"one and last {period(long)}: remove the stray events before them, for time zero is the first event"
        )
    if core >= _FAR * window and core / 1000 <= _SLACK * window:
        return (
            f"the median recording lasts {period(core)}: are its times in ns? "
            f"Then it lasts {period(core / 1000)} (data.time_unit)"
        )
    return f"the median recording lasts {period(core)}: raise data.steps or data.step_us, or choose data.window"


def _too_short(facts: np.ndarray, window: int) -> str:
    core = float(np.median(facts["core_us"]))
    if core * _FAR <= window:
        for factor, unit in ((1_000, "ms"), (1_000_000, "s")):
            if window / _SLACK <= max(core, 1) * factor <= _SLACK * window:
                return (
                    f"the median recording lasts {period(core)}: are its times in {unit}? "
                    f"Then it lasts {period(max(core, 1) * factor)} (data.time_unit)"
                )
    return f"the median recording lasts {period(core)}: lower data.step_us, or data.steps"


def _of_places(found: WindowMeasures, sensor: Shape) -> list[str]:
    if len(sensor) == 1:
        first, last = found["box"]["channel"]
        if last - first + 1 >= sensor[0] / 4:
            return []
        return [f"all events lie in channels {first} to {last} of {sensor[0]}: are there fewer (data.channels)?"]
    (left, right), (top, bottom) = found["box"]["x"], found["box"]["y"]
    height, width = sensor
    sentences, where = [], f"all events lie in x {left} to {right}, y {top} to {bottom} of {width} x {height} pixels"
    if (right - left + 1) * (bottom - top + 1) < width * height / 4:
        sentences.append(f"{where}: is the sensor smaller (data.width, data.height), or are x and y swapped?")
    elif left == top == 1:
        sentences.append(
            f"{where}: do the coordinates count from 1? Then {reading_from_one(height, width)}, or subtract 1"
        )
    if found["on"] in (0, 1):
        sentences.append(f"all events are {'ON' if found['on'] else 'OFF'}: is polarity lost?")
    return sentences
