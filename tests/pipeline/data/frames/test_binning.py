"""Events become the frames that a plain loop, a hand-made table and tonic give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tonic.transforms import ToFrame

from spikeport.errors import UserError
from spikeport.pipeline.data.dataset import Recording
from spikeport.pipeline.data.events import EVENT_DTYPE
from spikeport.pipeline.data.frames.binning import Binning, bin_recording, bin_recordings
from spikeport.pipeline.data.frames.facts import FACTS
from spikeport.pipeline.data.readers.recordings import read_recording

BINNING = Binning(steps=3, step_us=10, height=4, width=5)


def recording(rows: list[tuple[int, int, int, int]], sensor: tuple[int, int] = (4, 5), key: str = "r") -> Recording:
    """`rows`: (t, x, y, p)."""
    events = np.array([(x, y, t, p) for t, x, y, p in rows], EVENT_DTYPE)
    return Recording(events=events, sensor=sensor, label=0, key=key)


def test_hand_example() -> None:
    """Time zero is the first event, a bin's end belongs to the next bin, and what comes after the last is ignored."""
    rows = [(100, 4, 3, 1), (100, 0, 0, 0), (109, 1, 2, 0), (110, 1, 2, 1), (110, 1, 2, 1), (129, 3, 0, 0)]
    frames = bin_recording(recording([*rows, (130, 2, 2, 1), (999, 2, 2, 0)]), BINNING)
    expected = np.zeros((3, 2, 4, 5), np.uint8)
    for t, p, y, x in [(0, 1, 3, 4), (0, 0, 0, 0), (0, 0, 2, 1), (1, 1, 2, 1), (2, 0, 0, 3)]:
        expected[t, p, y, x] = 1
    assert frames.dtype == np.uint8
    np.testing.assert_array_equal(frames, expected)


def test_short_and_empty_recordings_leave_frames_empty() -> None:
    assert not bin_recording(recording([(7, 1, 1, 1)]), BINNING)[1:].any()
    assert not bin_recording(recording([]), BINNING).any()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 70), st.integers(0, 4), st.integers(0, 3), st.integers(0, 1)), min_size=1, max_size=40
    ),
    st.integers(1, 17),
)
def test_equals_a_plain_loop(rows: list[tuple[int, int, int, int]], step_us: int) -> None:
    rows = sorted(rows, key=lambda row: row[0])
    binning = Binning(steps=3, step_us=step_us, height=4, width=5)
    expected = np.zeros((3, 2, 4, 5), np.uint8)
    for t, x, y, p in rows:
        step = (t - rows[0][0]) // step_us
        if step < 3:
            expected[step, p, y, x] = 1
    np.testing.assert_array_equal(bin_recording(recording(rows), binning), expected)


def test_equals_tonic_on_random_events() -> None:
    generator = np.random.default_rng(3)
    for count in (1, 2, 50, 4000):
        events = np.zeros(count, EVENT_DTYPE)
        events["t"] = np.sort(generator.integers(500, 5000, count))
        events["x"], events["y"] = generator.integers(0, 13, count), generator.integers(0, 7, count)
        events["p"] = generator.integers(0, 2, count)
        binning = Binning(steps=6, step_us=611, height=7, width=13)
        one = Recording(events=events, sensor=(7, 13), label=0, key="r")
        np.testing.assert_array_equal(bin_recording(one, binning), with_tonic(events, binning))


def test_equals_tonic_on_real_recordings(shared_data) -> None:
    binning = Binning(steps=10, step_us=30_000, height=34, width=34)
    files = sorted((shared_data / "NMNIST" / "Train").glob("*/*.bin"))[::20]
    assert len(files) == 50
    found = [read_recording(path, (34, 34), label=0, key=path.stem) for path in files]
    binned = bin_recordings(found, len(found), binning)
    expected = np.stack([with_tonic(one.events, binning) for one in found])
    np.testing.assert_array_equal(binned.frames, expected)
    assert binned.events.tolist() == [path.stat().st_size // 5 for path in files]


def with_tonic(events: np.ndarray, binning: Binning) -> np.ndarray:
    end = events["t"][0] + binning.steps * binning.step_us
    to_frame = ToFrame(sensor_size=(binning.width, binning.height, 2), time_window=binning.step_us, end_time=end)
    return (to_frame(events) > 0).astype(np.uint8)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(0, 1, 1, 1), (5, 5, 1, 0)], "event 1 is at x = 5, y = 1; the sensor is 5 wide and 4 high"),
        ([(0, 1, 4, 1)], "event 0 is at x = 1, y = 4"),
        ([(0, -1, 2, 1)], "event 0 is at x = -1, y = 2"),
        ([(0, 1, 1, 1), (9, 1, 1, 1), (8, 1, 1, 1)], "event 2 is at 8 us, after one at 9 us"),
        ([(-3, 1, 1, 1)], "event 0 is at -3 us, before zero"),
        ([(0, 1, 1, 2)], "polarity must be 0 or 1: event 0 has 2"),
        ([(0, 1, 1, -1)], "polarity must be 0 or 1"),
    ],
)
def test_impossible_events_are_refused_by_name(rows: list[tuple[int, int, int, int]], words: str) -> None:
    with pytest.raises(UserError, match="recording odd") as caught:
        recording(rows, key="odd")
    assert words in str(caught.value)
    assert "Hint:" in str(caught.value)


def test_a_larger_sensor_is_refused_and_a_smaller_one_fits() -> None:
    with pytest.raises(UserError, match="a sensor of 4 x 6 pixels does not fit frames of 4 x 5"):
        bin_recording(recording([(0, 1, 1, 1)], sensor=(4, 6)), BINNING)
    assert bin_recording(recording([(0, 2, 1, 1)], sensor=(2, 3)), BINNING)[0, 1, 1, 2] == 1


def test_progress_counts_recordings() -> None:
    calls: list[tuple[int, int, str]] = []
    bin_recordings([recording([(0, 1, 1, 1)])] * 3, 3, BINNING, lambda *call: calls.append(call))
    assert [(done, total) for done, total, _ in calls] == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("window", "times", "steps"),
    [
        ("first", [100, 109, 110, 129, 130, 200], [0, 0, 1, 2, None, None]),
        ("last", [100, 170, 171, 180, 181, 190, 191, 200], [None, None, 0, 0, 1, 1, 2, 2]),
        ("centre", [100, 134, 135, 144, 145, 154, 155, 164, 165, 200], [None, None, 0, 0, 1, 1, 2, 2, None, None]),
        ("whole", [100, 133, 134, 167, 168, 200], [0, 0, 1, 1, 2, 2]),
        ("last", [100, 105, 110], [0, 0, 1]),
        ("centre", [100, 105, 110], [0, 0, 1]),
        ("whole", [100, 100, 101], [0, 0, 1]),
    ],
)
def test_windows_by_hand(window: str, times: list[int], steps: list[int | None]) -> None:
    """Three steps of 10 us; `steps`: that of each event. A short recording begins with its first event in all windows;
    "whole" divides [first, last + 1) into three: 100 to 200 at 133 2/3 and 167 1/3."""
    binning = Binning(steps=3, step_us=10, height=4, width=20, window=window)
    one = recording([(t, column, 1, column % 2) for column, t in enumerate(times)], sensor=(4, 20))
    expected = np.zeros((3, 2, 4, 20), np.uint8)
    for column, step in enumerate(steps):
        if step is not None:
            expected[step, column % 2, 1, column] = 1
    facts = np.zeros(1, FACTS)
    np.testing.assert_array_equal(bin_recording(one, binning, facts), expected)
    assert facts["in_window"] == sum(step is not None for step in steps)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 400), min_size=1, max_size=30), st.integers(1, 40), st.integers(1, 9))
def test_no_event_is_lost_in_the_whole_recording(times: list[int], step_us: int, steps: int) -> None:
    one = recording([(t, number % 5, number // 5 % 4, 1) for number, t in enumerate(sorted(times))])
    facts = np.zeros(1, FACTS)
    frames = bin_recording(one, Binning(steps=steps, step_us=step_us, height=4, width=5, window="whole"), facts)
    assert facts["in_window"] == len(times)
    assert frames.any(axis=0).sum() == min(len(times), 20)


def test_channels_are_binned_as_by_a_plain_loop() -> None:
    """Polarity is not used: both polarities of a channel are one bit."""
    generator = np.random.default_rng(8)
    events = np.zeros(90, EVENT_DTYPE)
    events["t"], events["x"] = np.sort(generator.integers(40, 900, 90)), generator.integers(0, 13, 90)
    events["p"] = generator.integers(0, 2, 90)
    binning = Binning(steps=6, step_us=101, height=1, width=13, one_dimensional=True)
    expected = np.zeros((6, 13), np.uint8)
    for event in events:
        step = (event["t"] - events["t"][0]) // 101
        if step < 6:
            expected[step, event["x"]] = 1
    one = Recording(events=events, sensor=(1, 13), label=0, key="r")
    np.testing.assert_array_equal(bin_recording(one, binning), expected)
    binned = bin_recordings([one, one], 2, binning)
    assert binned.frames.shape == (2, 6, 13)
    np.testing.assert_array_equal(binned.frames[1], expected)
