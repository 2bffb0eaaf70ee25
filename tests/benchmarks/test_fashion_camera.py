"""The camera of the benchmark of clothes: events of ramps by hand, the motion by SciPy, nothing without a cause."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from fashion_camera import SUB, Hand, Sensor, fired, path_of, recordings, sensed, warped
from fashion_world import HELD, KNOWN, split_of
from scipy.ndimage import affine_transform

STILL = Hand(
    radius=(0, 0), walk=0, turning=0, zooming=0, place=0, tilt=0, size=1, size_spread=0, floor=(0.1, 0.1)
)  # fmt: skip
QUIET = Sensor(mismatch=0, leak=0, shot=0)
IMAGE = np.arange(15, dtype=np.uint8).reshape(1, 3, 5) * 17


def events(levels: list[float], *, steps: int, start: float = 0.0, **given: float) -> list[list[int]]:
    """(OFF, ON) events by step of one pixel whose thresholds are 0.3 and 0.4."""
    track = np.array(levels, np.float32).reshape(1, -1, 1, 1)
    first, on, off = (
        np.full(shape, value, np.float32) for shape, value in (((1, 1, 1), start), ((1, 1), 0.3), ((1, 1), 0.4))
    )
    return fired(track, first, on, off, steps=steps, **given)[0, :, :, 0, 0].tolist()


def test_a_ramp_gives_an_event_for_each_threshold() -> None:
    # up by 1.0 in two steps: 0.3 (in step 1), 0.6 and 0.9 (in step 2)
    assert events([0, 0.5, 1], steps=2) == [[0, 1], [0, 2]]
    # down by 1.0: 0.4 in step 1, 0.8 in step 2
    assert events([0, -0.5, -1], steps=2) == [[1, 0], [1, 0]]
    # what is remembered at first counts: -0.25 is 0.3 below 0.05
    assert events([0, 0.06], steps=1, start=-0.25) == [[0, 1]]
    # up to 0.7 (remembers 0.6), then down: 0.2 is 0.4 below it
    assert events([0, 0.7, 0.15], steps=1) == [[1, 2]]


def test_a_pixel_is_blind_after_an_event() -> None:
    # 3.1 in one step, 0.3 up and then blind for 0.1 steps or 0.31: at 0.3 + 0.61 n, which is 5 events; 10 without
    assert events([0, 3.1], steps=1) == [[0, 10]]
    assert events([0, 3.1], steps=1, blind=0.1) == [[0, 5]]
    # blind into the next step: the level of 0.45 is remembered there, and 0.75 is above the end
    assert events([0, 0.3001, 0.6], steps=2, blind=0.5) == [[0, 1], [0, 0]]


def test_the_leak_gives_on_events_alone() -> None:
    assert events([1.0] * 41, steps=10, start=1.0, leak=0.35) == [[0, int(n in (2, 5, 8))] for n in range(10)]


def test_nothing_moves_and_nothing_is_noise() -> None:
    clothes = np.random.default_rng(0).integers(0, 256, (2, 9, 7), np.uint8)
    given = {"seed": 1, "side": (9, 7), "steps": 4}
    assert recordings(clothes, np.array([3, 4]), sensor=QUIET, hand=STILL, **given).sum() == 0
    assert (
        recordings(clothes, np.array([3, 4]), sensor=replace(QUIET, leak=0.5), hand=STILL, **given)[:, :, 0].sum() == 0
    )
    assert recordings(clothes, np.array([3, 4]), sensor=replace(QUIET, leak=0.5), hand=STILL, **given)[:, :, 1].any()
    assert recordings(clothes, np.array([3, 4]), sensor=QUIET, hand=replace(STILL, radius=(1, 1)), **given).any()


def test_a_recording_depends_on_its_number_and_the_seed_alone() -> None:
    clothes = np.random.default_rng(0).integers(0, 256, (3, 6, 8), np.uint8)
    given = {"side": (7, 9), "steps": 3}
    made = recordings(clothes, np.array([5, 6, 7]), seed=1, **given)
    assert (made.shape, made.dtype, set(np.unique(made))) == ((3, 3, 2, 7, 9), np.uint8, {0, 1})
    assert np.array_equal(made[1:2], recordings(clothes[1:2], np.array([6]), seed=1, **given))
    assert not np.array_equal(made[1:2], recordings(clothes[1:2], np.array([5]), seed=1, **given))
    assert not np.array_equal(made[1:2], recordings(clothes[1:2], np.array([6]), seed=2, **given))


def test_pictures_are_moved_turned_and_sized_as_scipy_does() -> None:
    image = IMAGE.astype(np.float32) / 255
    shift = np.array([[[0, 0, 0, 0], [1, 0, 0, 0], [0, -2, 0, 0]]], np.float32)
    still, down, left = warped(image, shift, (3, 5))[0]
    np.testing.assert_allclose(still, image[0], atol=1e-6)
    np.testing.assert_allclose(down, np.vstack([np.zeros(5), image[0, :2]]), atol=1e-6)
    np.testing.assert_allclose(left, np.hstack([image[0, :, 2:], np.zeros((3, 2))]), atol=1e-6)
    path = np.array([0.4, -0.7, 0.3, 0.2])
    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]) / np.exp(0.2)  # of (row, column)
    middle, seen = np.array([1.0, 2.0]), np.array([3.0, 2.5])  # of 3 x 5 and 7 x 6 pixels
    padded = np.pad(image[0], 4)
    expected = affine_transform(padded, turn, middle + 4 - turn @ (seen + path[:2]), (7, 6), order=1)
    np.testing.assert_allclose(warped(image, path[None, None], (7, 6))[0, 0], expected, atol=1e-5)


def test_dark_pixels_are_slower() -> None:
    light = np.ones((1, 2, 1, 2), np.float32) * np.array([1.0, 0.1], np.float32)
    light[0, 1] *= 0.5
    found = sensed(light, replace(QUIET, response=0.2))[0, 1, 0]
    shares = 1 - np.exp(-np.array([0.5, 0.05]) / (SUB * 0.2))  # of the way to log(0.5) less
    np.testing.assert_allclose(found, np.log([1.0, 0.1]) + shares * np.log(0.5), rtol=1e-5)


def test_a_hand_at_rest_moves_on_its_circle() -> None:
    path = path_of(np.random.default_rng(2), 4, replace(STILL, radius=(1.5, 1.5), period=(4.0, 4.0)))
    assert path.shape == (4 * SUB + 1, 4)
    np.testing.assert_allclose(np.hypot(path[:, 0], path[:, 1]), 1.5, rtol=1e-5)
    np.testing.assert_allclose(path[0], path[-1], atol=1e-5)
    np.testing.assert_allclose(path[:, 2:], 0, atol=1e-6)


def test_splits_are_of_equal_classes_and_leave_tests_out() -> None:
    chosen, tests = np.arange(2 * (HELD + KNOWN)).reshape(2, -1), np.array([1, 0, 0])
    rows = [line.split(",") for line in split_of(chosen, tests, 6, 0, 2).splitlines()[1:]]
    assert len(rows) == chosen.size + 3
    train = [int(name.split("/")[1]) for name, part in rows if part == "train"]
    assert sorted(row // (HELD + KNOWN) for row in train) == [0, 0, 0, 1, 1, 1]
    assert all(row % (HELD + KNOWN) >= HELD for row in train)
    assert [name for name, part in rows if part == "test"] == ["1/test-00000", "0/test-00001"]
    held = [line.split(",")[0] for line in split_of(chosen, tests, 6, 0, None).splitlines() if line.endswith(",test")]
    assert [int(name[2:]) for name in held] == [*range(HELD), *range(HELD + KNOWN, 2 * HELD + KNOWN)]
    assert split_of(chosen, tests, 6, 0, 2) != split_of(chosen, tests, 6, 1, 2)
