"""The motion camera: where its events are is worked out by hand or in NumPy from the motion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from spikeport.errors import UserError
from spikeport.pipeline.data.event_synthesis.motion import Motion
from spikeport.pipeline.data.event_synthesis.motion_camera import MEMORY, PARTS, MotionCamera, _lagging, _walk

T, B, H, W = 4, 3, 11, 15
STILL = Motion(
    heading_rad=0.0, spread_rad=0.0, reverse=0.0, speed=0.0, speed_spread=0.0, ease=0.0, drift_spread=0.0,
    offset_spread=0.0, size_spread=0.0, blur=0.05, gain=1.0, gain_spread=0.0, mismatch=0.0, noise=0.0,
)  # fmt: skip
RIGHT = replace(STILL, speed=2.0)


def bar(row: int = 5, column: int = 7) -> torch.Tensor:
    """A bright pixel in each of B images."""
    images = torch.zeros(B, 3, H, W)
    images[:, :, row, column] = 1.0
    return images


def render(motion: Motion, images: torch.Tensor | None = None, seed: int = 0) -> np.ndarray:
    """Frames `[T, B, 2, H, W]`."""
    return (
        MotionCamera(T, motion).render(bar() if images is None else images, torch.Generator().manual_seed(seed)).numpy()
    )


def places(frames: np.ndarray) -> set[tuple[int, ...]]:
    """Step, polarity, row and column of all events of the first image."""
    return set(map(tuple, np.argwhere(frames[:, 0]).tolist()))


def test_a_bright_dot_sends_on_events_ahead_and_off_events_behind() -> None:
    """2 pixels a step in parts of one pixel. The path's middle is the image's place, so it starts 4 pixels left."""
    expected = set()
    for part in range(2 * T):
        column, step = 7 - 4 + part, part // 2
        expected |= {(step, 1, 5, column + 1), (step, 0, 5, column)}
    assert places(render(RIGHT)) == expected


def test_a_dark_dot_sends_the_opposite() -> None:
    dark = places(render(replace(RIGHT, bright=0)))
    assert dark == {(step, 1 - polarity, row, column) for step, polarity, row, column in places(render(RIGHT))}


def test_a_tracked_window_keeps_the_edges_where_they_are() -> None:
    """Each part moves by one pixel about the middle: half a pixel to each side, so that each side fires by half."""
    frames = render(replace(RIGHT, tracked=1.0, gain=2.0))
    assert places(frames) == {(step, p, 5, 7 + side) for step in range(T) for p, side in ((0, -1), (1, 1))}


@pytest.mark.parametrize(("heading", "row", "column"), [(0.0, 0, 1), (np.pi / 2, 1, 0), (np.pi, 0, -1)])
def test_headings_are_from_right_to_down(heading: float, row: int, column: int) -> None:
    frames = render(replace(RIGHT, heading_rad=heading))
    first, last = (np.argwhere(frames[step, 0, 1]).mean(0) for step in (0, T - 1))
    assert np.allclose(last - first, 2.0 * (T - 1) * np.array([row, column]), atol=1e-6), "ON events lead the dot"


def test_segments_turn_and_a_drift_above_one_turns_back() -> None:
    triangle = replace(RIGHT, segments=2, turn_2_rad=np.pi / 2, gain=4.0)
    dots = [np.argwhere(render(triangle)[step, 0, 1]).mean(0) for step in range(T)]
    ways = np.diff(dots, axis=0)
    assert ways[0][1] > 1 > abs(ways[0][0]), "to the right"
    assert ways[2][0] > 1 > abs(ways[2][1]), "down"
    back = render(replace(RIGHT, drift=-2.0, gain=6.0))  # from 3 times the speed to the right to as fast to the left
    ahead = [np.argwhere(back[step, 0, 1])[:, 1].mean() - np.argwhere(back[step, 0, 0])[:, 1].mean() for step in (0, 3)]
    assert ahead[0] > 0 > ahead[1], "ON events lead a bright dot, first on its right and then on its left"


def test_nothing_moves_without_motion_and_a_recording_ends() -> None:
    assert not render(STILL).any()
    short = render(replace(RIGHT, least_steps=2, most_steps=2))
    assert (short[:2].sum((1, 2, 3, 4)) > 0).all()
    assert not short[2:].any()


def test_slow_pixels_send_late_and_a_tracked_window_leaves_it_behind() -> None:
    """The filter in NumPy: one row down, then two columns right, so that what is held moves up, then left."""
    change = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(1))
    window = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]]).repeat(2, 1, 1)
    found = _lagging(change, window, 1.6).numpy()
    lasting, values = np.exp(-1 / 1.6), change.numpy().astype(np.float64)
    held = values[:, 0]
    assert found[:, 0] == pytest.approx(held * (1 - lasting), abs=1e-5)
    held = lasting * np.pad(held[:, 1:], ((0, 0), (0, 1), (0, 0))) + values[:, 1]
    assert found[:, 1] == pytest.approx(held * (1 - lasting), abs=1e-5)
    held = lasting * np.pad(held[:, :, 2:], ((0, 0), (0, 0), (0, 2))) + values[:, 2]
    assert found[:, 2] == pytest.approx(held * (1 - lasting), abs=1e-5)


def test_a_trail_follows_a_dot_that_a_window_tracks() -> None:
    """A dot that moves down: without a lag all events are at its edges, with one some are above it."""
    sharp, slow = (
        render(replace(RIGHT, heading_rad=0.5 * np.pi, tracked=1.0, gain=2.0, lag_steps=lag)) for lag in (0.0, 1.0)
    )
    above = slice(0, 4)
    assert sharp[..., above, :].sum() == 0
    assert slow[..., above, :].sum() > 0


def test_flicker_fires_where_there_is_light() -> None:
    frames = render(replace(STILL, flicker=0.9, flicker_cycles=1.0, gain=20.0))
    assert {place[2:] for place in places(frames)} == {(5, 7)}
    assert {place[1] for place in places(frames)} == {0, 1}


def test_shakes_of_recordings_differ_by_their_spread() -> None:
    """Amplitudes and cycles in NumPy from the draws, in the motion of the path."""
    motion = replace(STILL, shake=1.5, shake_cycles=0.8, shake_spread=0.4)
    edges, drawn = torch.linspace(0, 1, 9), torch.tensor([[0.5, -1.0], [2.0, 0.3]])
    normal, uniform = torch.zeros(2, 3), torch.tensor([[0.9, 0.1, 0.35], [0.9, 0.6, 0.2]])
    path = MotionCamera(T, motion)._path(edges, normal, uniform, drawn).numpy()
    for row, (far, often) in enumerate(np.exp(0.4 * drawn.numpy())):
        for axis in (0, 1):
            turns = 0.8 * often * edges.numpy() + uniform[row, 1 + axis].item()
            assert path[row, :, axis] == pytest.approx(1.5 * far * np.sin(2 * np.pi * turns), abs=1e-5)


def test_a_random_walk_keeps_its_velocity_for_a_while() -> None:
    """The recursion in NumPy; velocities have standard deviation 1 at all times and the stated correlation."""
    pushes = torch.randn(4000, 7, 2, generator=torch.Generator().manual_seed(3))
    found, lasting = _walk(pushes).numpy(), np.exp(-1 / (PARTS * MEMORY))
    velocity, place = pushes[:, 0].numpy(), np.zeros((4000, 2))
    for part in range(7):
        if part:
            velocity = lasting * velocity + np.sqrt(1 - lasting**2) * pushes[:, part].numpy()
        assert found[:, part] == pytest.approx(place, abs=1e-4)
        place = place + velocity / PARTS
    speeds = np.diff(found, axis=1) * PARTS
    assert speeds.std((0, 2)) == pytest.approx(np.ones(7), abs=0.05)  # 8,000 draws: 0.008 standard errors
    assert np.mean(speeds[:, 0] * speeds[:, 4]) == pytest.approx(lasting**4, abs=0.06)


def test_rotation_and_zoom_fire_away_from_the_middle() -> None:
    images = bar(1, 7)
    for motion in (replace(STILL, rotation_rad=0.3, gain=5.0), replace(STILL, zoom_rate=0.3, gain=5.0)):
        assert render(motion, images).any()
        assert not render(motion, torch.zeros(B, 3, H, W)).any()
        middle = render(motion, bar(5, 7))[:, :, :, 5, 7]
        assert middle.sum() <= render(motion, images).sum()


def test_the_noise_is_the_probability_that_it_says() -> None:
    """Binomial: 200 x 4 x 2 x 165 draws of 0.03 have a standard deviation of 0.00033."""
    frames = MotionCamera(T, replace(STILL, noise=0.03)).render(
        torch.zeros(200, 3, H, W), torch.Generator().manual_seed(1)
    )
    assert abs(frames.mean().item() - 0.03) < 5 * 0.00034


def test_one_seed_gives_the_same_events_and_another_others() -> None:
    wild = replace(Motion(), shake=1.0)
    assert np.array_equal(render(wild, seed=3), render(wild, seed=3))
    assert not np.array_equal(render(wild, seed=3), render(wild, seed=4))
    assert MotionCamera(T, wild).identity != MotionCamera(T, RIGHT).identity


def test_few_recordings_leave_room_for_motions_that_they_do_not_show() -> None:
    """By hand: the least spreads with 20 recordings, half of them with 80; what is wider stays."""
    narrow = replace(STILL, speed_spread=0.1, size_spread=0.7, reverse=0.0)
    few, more = narrow.widened(20, 48), narrow.widened(80, 48)
    assert (few.speed_spread, few.size_spread, few.reverse, few.offset_spread) == (0.8, 0.7, 0.2, 2.0)
    assert (more.speed_spread, more.size_spread, more.reverse, more.offset_spread) == (0.4, 0.7, 0.1, 1.0)
    assert replace(narrow, reverse=0.95).widened(20, 48).reverse == 0.8
    assert narrow.widened(3, 48) == few
    unchanged = {"speed", "drift", "heading_rad", "size", "gain", "tracked", "noise", "lag_steps", "least_steps"}
    assert all(getattr(few, name) == getattr(narrow, name) for name in unchanged)


def test_a_motion_is_kept_as_text() -> None:
    motion = replace(Motion(), segments=3, bright=0, speed=1.25)
    assert Motion.from_text(motion.to_text(), "m.json") == motion
    for text in ("{", "[]", '{"speed": 1}', motion.to_text().replace("1.25", '"fast"')):
        with pytest.raises(UserError, match=r"m\.json: is not a fitted motion"):
            Motion.from_text(text, "m.json")
