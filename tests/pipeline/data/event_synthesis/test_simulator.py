"""The simulated camera against the event by event model, and its scenes by geometry."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spikeport.pipeline.data.event_synthesis.event_camera import crossings
from spikeport.pipeline.data.event_synthesis.simulator import (
    SAMPLE_US,
    Scene,
    Simulator,
    _moved,
    _path,
    _where,
    sense,
)
from spikeport.pipeline.data.images.blur import blurred

STILL = Scene(noise_hz=(0, 0), reach=(0, 0), offset=(0, 0))


def test_frames_hold_the_events_of_the_event_by_event_model() -> None:
    """The same log intensities and thresholds through `crossings`, which dates every event; binned by hand."""
    rng = np.random.default_rng(3)
    looks = np.cumsum(rng.normal(0, 0.2, (13, 2, 5, 7)), axis=0).astype(np.float32)
    on, off = (rng.uniform(0.1, 0.4, (2, 5, 7)).astype(np.float32) for _ in range(2))
    (scene, y, x, t, p), _ = crossings(looks[0], iter(looks[1:]), SAMPLE_US, on, off)
    expected = np.zeros((3, 2, 2, 5, 7), np.float32)
    # An event at a bin's very edge was seen by the sample that ends there.
    expected[np.minimum(np.maximum(t - 1, 0) // 30_000, 2), scene, p, y, x] = 1
    thresholds = torch.from_numpy(np.stack([off, on], axis=1))
    found = sense(iter(torch.from_numpy(looks)), thresholds, 3, 4)
    assert expected.mean() > 0.2
    np.testing.assert_array_equal(found.numpy(), expected)


def test_a_moving_edge_brightens_before_it_and_darkens_behind() -> None:
    """A bright bar moves right: ON events at its right side, OFF events at its left, none elsewhere."""
    image = torch.zeros(1, 3, 9, 12)
    image[:, :, 2:7, 5:7] = 1
    looks = ((0.1 + 0.9 * _moved(image.amax(1), torch.tensor([[0.0, 0.1 * n]]))).log() for n in range(11))
    frames = sense(looks, torch.full((1, 2, 9, 12), 0.3), 1, 10)[0, 0]
    assert frames[1, 2:7, 7].all()
    assert frames[1].sum() == 5
    assert frames[0, 2:7, 5].all()
    assert frames[0].sum() == 5


def test_an_image_is_dark_ink_on_light_paper() -> None:
    """A white bar in the image moves right and darkens what lies before it: OFF there, ON behind."""
    image = torch.zeros(1, 3, 15, 20)
    image[:, :, 5:10, 8:11] = 1
    scene = Scene(noise_hz=(0, 0), mismatch=(0, 0), blur=(0.1, 0.1), lag_us=(0, 0), offset=(0, 0))
    # The second saccade moves up and right; the third, left.
    frames = Simulator(3, 105_000, scene).render(image, torch.Generator().manual_seed(0))[2, 0]
    places = torch.arange(20.0)
    off, on = (float((frames[p].sum(0) * places).sum() / frames[p].sum()) for p in range(2))
    assert on > off + 2


@pytest.mark.parametrize(("steps", "step_us"), [(24, 5_000), (12, 10_000), (6, 20_000), (4, 30_000)])
def test_steps_of_any_length_get_their_share_of_events(steps: int, step_us: int) -> None:
    """An even motion whose light changes at every place sends about as many events in each step of one saccade: within
    a third of their mean (with slices of 7.5 ms, every third step of 5 ms got none)."""
    scene = Scene(
        noise_hz=(0, 0), ease=(0, 0), lag_us=(0, 0), delay_us=(0, 0), saccade_us=(130_000, 130_000), offset=(0, 0),
        edge_events=(300, 300), blur=(0.9, 0.9), mismatch=(0, 0),
    )  # fmt: skip
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(40.0), indexing="ij")
    image = (0.5 + 0.5 * torch.sin(y / 2) * torch.sin(x / 2)).expand(1, 3, 40, 40)
    counts = Simulator(steps, step_us, scene).render(image, torch.Generator().manual_seed(0)).sum((1, 2, 3, 4))
    assert counts.min() > 0.66 * counts.mean()
    assert counts.max() < 1.34 * counts.mean()


def test_blur_keeps_the_light_and_spreads_it() -> None:
    dot = torch.zeros(2, 9, 11)
    dot[:, 4, 5] = 1
    seen = blurred(dot, torch.tensor([0.1, 1.0]), 2)
    torch.testing.assert_close(seen.sum((1, 2)), torch.ones(2))
    torch.testing.assert_close(seen[0], dot[0])
    x = np.exp(-0.5 * np.arange(-2, 3) ** 2)
    np.testing.assert_allclose(seen[1, 2:7, 3:8], np.outer(x, x) / x.sum() ** 2, rtol=1e-5)


def test_nothing_that_moves_sends_nothing() -> None:
    images = torch.rand(3, 3, 9, 12, generator=torch.Generator().manual_seed(0))
    assert not Simulator(4, 20_000, STILL).render(images, torch.Generator()).any()


def test_noise_comes_at_its_rate() -> None:
    """20 Hz a pixel in bins of 20 ms, halved between the polarities: 0.2 of the places."""
    scene = Scene(noise_hz=(20, 20), reach=(0, 0), offset=(0, 0))
    frames = Simulator(5, 20_000, scene).render(torch.zeros(4, 3, 30, 31), torch.Generator().manual_seed(1))
    count = frames.numel()
    assert abs(frames.mean().item() - 0.2) < 4 * (0.2 * 0.8 / count) ** 0.5


def test_the_path_is_the_triangle() -> None:
    """Unturned and unscaled: from corner to corner, even or eased, and round to where it began."""
    one = torch.ones(1)
    corners = _path(torch.zeros(1, 2), one, 0 * one)
    np.testing.assert_allclose(corners[0], [[-3.5, -3.5], [3.5, 0], [-3.5, 3.5], [-3.5, -3.5]])
    for ease in (0 * one, one):
        for now, expected in ((0, [-3.5, -3.5]), (0.5, [0, -1.75]), (1, [3.5, 0]), (4, [-3.5, -3.5])):
            np.testing.assert_allclose(_where(corners, now * one, ease)[0], expected, atol=1e-5)
    slow, even = (_where(corners, 0.1 * one, ease)[0, 0] + 3.5 for ease in (one, 0 * one))
    assert 0 < slow < even / 5
    turned = _path(torch.zeros(1, 2), one, torch.tensor([torch.pi / 2]))
    np.testing.assert_allclose(turned[0, 1], [0, -3.5], atol=1e-6)


def test_moving_by_whole_pixels_is_a_shift() -> None:
    light = torch.rand(2, 5, 7, generator=torch.Generator().manual_seed(2))
    moved = _moved(light, torch.tensor([[1.0, -2.0], [0.0, 3.0]]))
    np.testing.assert_allclose(moved[0, 1:, :-2], light[0, :-1, 2:], atol=1e-6)
    np.testing.assert_allclose(moved[1, :, 3:], light[1, :, :-3], atol=1e-6)
    assert not moved[0, 0].any()
    assert not moved[1, :, :3].any()


@pytest.mark.parametrize("steps", [1, 10])
def test_draws_come_from_the_generator(steps: int) -> None:
    images = torch.rand(2, 3, 34, 30, generator=torch.Generator().manual_seed(0))
    camera = Simulator(steps, 30_000)
    first, again, other = (camera.render(images, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6))
    assert first.shape == (steps, 2, 2, 34, 30)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert set(first.unique().tolist()) <= {0.0, 1.0}
