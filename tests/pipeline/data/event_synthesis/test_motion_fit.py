"""The fit finds the motion that made recordings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from spikeport.pipeline.data.event_synthesis.motion import Motion
from spikeport.pipeline.data.event_synthesis.motion_camera import MotionCamera
from spikeport.pipeline.data.event_synthesis.motion_fit import MotionFit, Range, ranges, starts
from spikeport.pipeline.data.event_synthesis.statistics import statistics

T, H, W = 5, 14, 17


def images(count: int, seed: int) -> torch.Tensor:
    """Bright rectangles of random sizes."""
    rng, found = np.random.default_rng(seed), np.zeros((count, 3, H, W), np.float32)
    for image in found:
        top, left = rng.integers(2, 6, 2)
        image[:, top : top + rng.integers(3, 7), left : left + rng.integers(3, 9)] = 1
    return torch.from_numpy(found)


def recordings(motion: Motion) -> np.ndarray:
    frames = MotionCamera(T, motion).render(images(24, 1), torch.Generator().manual_seed(5))
    return frames.transpose(0, 1).numpy()


def test_ranges_are_shares_of_both_scales() -> None:
    for bounds in (Range(0.5, 8.0, log=True), Range(-3.0, 2.0)):
        for share in (0.0, 0.25, 0.5, 1.0):
            assert bounds.share(bounds.value(share)) == pytest.approx(share)
        assert bounds.value(0) == bounds.low
        assert bounds.share(100.0) == 1.0
    assert Range(0.5, 8.0, log=True).value(0.5) == pytest.approx(2.0)
    assert set(ranges(T, H)) == set(Motion.__dataclass_fields__) - {"segments"}


@pytest.mark.parametrize("heading", [0.0, 0.5 * np.pi])
def test_the_first_guess_sees_the_axis_and_the_end(heading: float) -> None:
    motion = replace(
        Motion(), heading_rad=heading, spread_rad=0.05, tracked=1.0, speed=1.5, gain=4.0, least_steps=3, most_steps=3
    )
    start, _ = starts(statistics(recordings(motion)), T, H)[0]
    assert abs(np.sin(start.heading_rad - heading)) < 0.3
    assert 2.5 < start.most_steps < 4.5


def test_the_fit_comes_nearer_than_its_starts_and_finds_a_motion() -> None:
    """Up and down in a tracked window: the fitted axis is vertical, and the distance is a fraction of the start's."""
    truth = replace(Motion(), heading_rad=np.pi / 2, spread_rad=0.1, tracked=1.0, speed=1.5, gain=4.0, offset_x=2.0)
    calls: list[tuple[int, int]] = []
    fit = MotionFit(images(24, 2), recordings(truth), 6, progress=lambda done, total, what: calls.append((done, total)))
    first = min(fit.cost(motion) for motion, _ in starts(fit.real, T, H))
    found = fit.motion()
    assert fit.cost(found) < 0.8 * first
    assert abs(np.sin(found.heading_rad)) > 0.7
    assert abs(found.offset_x - 2.0) < 1.5
    assert calls[-1][0] == calls[-1][1]
    again = MotionFit(images(24, 2), recordings(truth), 6)
    assert again.motion() == found, "the same seed, the same motion"


def test_the_true_motion_costs_less_than_others() -> None:
    truth = replace(Motion(), heading_rad=np.pi / 2, spread_rad=0.1, tracked=1.0, speed=1.5, gain=4.0)
    fit = MotionFit(images(24, 2), recordings(truth))
    others = (
        replace(truth, heading_rad=0.0), replace(truth, gain=0.7), replace(truth, tracked=0.0),
        replace(truth, speed=0.3), replace(truth, least_steps=2, most_steps=3),
        replace(truth, noise=0.05), replace(truth, offset_y=4.0),
    )  # fmt: skip
    for other in others:
        assert fit.cost(truth) < fit.cost(other), other
