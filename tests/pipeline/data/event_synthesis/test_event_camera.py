"""The simulated camera fires when its model says, counted by hand and by a slow loop."""

from __future__ import annotations

import math

import numpy as np

from spikeport.pipeline.data.event_synthesis.event_camera import EventCamera, crossings


def run(first: list[float], *later: list[float], on: float = 1.0, off: float = 1.0) -> list[tuple[int, int, int]]:
    """(pixel, t, p) of a row of pixels whose log intensity takes these values, 100 us apart."""
    frames = [np.array(frame, np.float32).reshape(1, 1, -1) for frame in (first, *later)]
    shape = frames[0].shape
    (_, _, x, t, p), steps = crossings(
        frames[0], frames[1:], 100, np.full(shape, on, np.float32), np.full(shape, off, np.float32)
    )
    assert steps == len(later)
    return sorted(zip(x.tolist(), t.tolist(), p.tolist(), strict=True))


def test_a_rise_of_three_and_a_half_thresholds_is_three_on_events() -> None:
    """They fall where the straight line crosses 1, 2 and 3: at 100/3.5 us times k."""
    assert run([0, 0], [3.5, 0]) == [(0, int(100 * k / 3.5), 1) for k in (1, 2, 3)]


def test_the_level_is_kept_between_steps_and_off_has_its_own_threshold() -> None:
    """0.6 and again 0.6 make one ON event at 1.0, two thirds into the second step; then down 1.0 is 2 OFF of 0.5."""
    assert run([0], [0.6], [1.2], off=0.5) == [(0, 166, 1)]
    assert run([0], [0.6], [1.2], [0.2], off=0.25) == [(0, 166, 1), (0, 245, 0), (0, 270, 0), (0, 295, 0)]


def test_no_change_is_no_event() -> None:
    assert run([0.3, 2.0], [0.3, 2.9], [0.3, 1.1]) == []


def test_equals_a_slow_loop_on_random_walks() -> None:
    generator = np.random.default_rng(7)
    walk = np.cumsum(generator.normal(0, 0.7, (12, 2, 3, 4)), axis=0).astype(np.float32)
    on, off = generator.uniform(0.2, 0.6, (2, 2, 3, 4)).astype(np.float32)
    (scene, y, x, t, p), _ = crossings(walk[0], walk[1:], 50, on, off)
    found = sorted(zip(scene.tolist(), y.tolist(), x.tolist(), (t // 50).tolist(), p.tolist(), strict=True))
    expected = []
    for place in np.ndindex(2, 3, 4):
        level = float(walk[0][place])
        for step in range(1, 12):
            moved = float(walk[step][place]) - level
            size = float(on[place] if moved > 0 else off[place])
            number = math.floor(abs(moved) / size)
            level += math.copysign(number * size, moved)
            expected += [(*place, step - 1, int(moved > 0))] * number
    assert len(expected) > 200
    assert found == sorted(expected)


def test_a_scene_is_seeded_by_its_key_alone() -> None:
    """The same scene gives the same events whoever stands beside it, and another key gives others."""
    camera = EventCamera(threshold=0.3, mismatch=0.1, noise_hz=20.0)
    walk = np.cumsum(np.random.default_rng(8).normal(0, 0.4, (9, 1, 5, 6)), axis=0).astype(np.float32)
    alone = camera.watch(walk, 1000, ("a",))[0]
    beside = camera.watch(np.repeat(walk, 3, axis=1), 1000, ("b", "a", "c"))
    np.testing.assert_array_equal(alone, beside[1])
    assert not np.array_equal(alone, beside[0])
    assert (np.diff(alone["t"]) >= 0).all()


def test_noise_alone_has_the_rate_asked() -> None:
    """60 scenes of 8 x 9 pixels for 0.1 s at 40 Hz: 17,280 events, Poisson, so within 4 times its root."""
    camera = EventCamera(threshold=0.3, mismatch=0.0, noise_hz=40.0)
    still = [np.zeros((60, 8, 9), np.float32)] * 11
    events = np.concatenate(camera.watch(still, 10_000, tuple(map(str, range(60)))))
    assert abs(len(events) - 17_280) < 4 * math.sqrt(17_280)
    assert set(events["p"].tolist()) == {0, 1}
    assert (events["x"].max(), events["y"].max()) == (8, 7)
    assert events["t"].max() < 100_000
