"""The energy distance against loops, its expectation and its gradient; responses of random filters to single events."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from spikeport.pipeline.data.event_synthesis.energy_coefficient import energy_coefficient
from spikeport.pipeline.data.event_synthesis.energy_distance import (
    FILTERS,
    LENGTH,
    SCALES,
    SIDE,
    STRIDE,
    energy_distance,
    filter_responses,
    random_filters,
)

T, B, H, W = 4, 2, 19, 26


def by_loops(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Of two samples `[N, F]` and `[M, F]`."""

    def mean(pairs: list[tuple[np.ndarray, np.ndarray]]) -> float:
        return sum(float(np.sqrt(((x - y) ** 2).sum())) for x, y in pairs) / len(pairs) if pairs else 0.0

    between = mean([(x, y) for x in first for y in second])
    within = [mean([(x, y) for i, x in enumerate(s) for j, y in enumerate(s) if i != j]) for s in (first, second)]
    return 2 * between - sum(within), between


@pytest.mark.parametrize(("n", "m"), [(3, 5), (1, 4)])
def test_it_is_the_mean_over_groups_of_what_loops_find(n: int, m: int) -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(n, 4, 2)), 1 + 2 * rng.normal(size=(m, 4, 2))
    expected = np.mean([by_loops(first[:, g], second[:, g]) for g in range(4)], axis=0)
    found = energy_distance(torch.from_numpy(first), torch.from_numpy(second))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_over_twice_the_mean_distance_it_is_the_energy_coefficient() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(6, 3)), 2 + rng.normal(size=(9, 3))
    distance, between = energy_distance(torch.from_numpy(first)[:, None], torch.from_numpy(second)[:, None])
    assert float(distance / (2 * between)) == pytest.approx(energy_coefficient(first, second), rel=1e-12)


@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_its_expectation_is_that_of_two_normal_distributions(shift: float) -> None:
    """2 E|N(d, 2)| - 2 E|N(0, 2)| from samples of two and three members, so 0 without a shift: it has no bias."""
    draws = torch.Generator().manual_seed(2)
    groups = 40_000
    first = torch.randn(2, groups, 1, generator=draws, dtype=torch.float64)
    second = shift + torch.randn(3, groups, 1, generator=draws, dtype=torch.float64)
    folded = 2 / math.sqrt(math.pi) * math.exp(-(shift**2) / 4) + shift * math.erf(shift / 2)
    each = torch.stack(
        [energy_distance(first[:, g : g + 400], second[:, g : g + 400])[0] for g in range(0, groups, 400)]
    )
    sigma = float(each.std()) / math.sqrt(len(each))
    assert abs(float(each.mean()) - (2 * folded - 4 / math.sqrt(math.pi))) < 4 * sigma
    assert sigma < 0.02


def test_its_gradient_moves_a_generator_to_the_distribution() -> None:
    """From N(0, 1) and N(0, 1) to N(3, 0.5) and N(-1, 2)."""
    draws, wanted = torch.Generator().manual_seed(3), torch.tensor([[3.0, -1.0], [0.5, 2.0]])
    mean, spread = torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([mean, spread], lr=0.02)
    for _ in range(600):
        real = wanted[0] + wanted[1] * torch.randn(24, 2, generator=draws)
        made = mean + spread * torch.randn(32, 2, generator=draws)
        optimizer.zero_grad()
        energy_distance(real[..., None], made[..., None])[0].backward()
        optimizer.step()
    torch.testing.assert_close(torch.stack([mean, spread]).detach(), wanted, atol=0.3, rtol=0)


@pytest.mark.parametrize("scale", range(len(SCALES)))
def test_a_response_to_one_event_is_the_weight_that_lies_there(scale: int) -> None:
    filters = random_filters(torch.Generator().manual_seed(4))
    torch.testing.assert_close(filters.flatten(2).norm(dim=2), torch.ones(len(SCALES), FILTERS))
    frames, side = torch.zeros(T, B, 2, H, W), SCALES[scale]
    step, polarity, y, x = 2, 1, 9, 14
    frames[step, 1, polarity, y, x] = 1
    found = filter_responses(frames, filters)[scale]
    tall, wide = (math.ceil(math.ceil(pixels / side) / STRIDE) for pixels in (H, W))
    assert found.shape == (B, T * tall * wide, FILTERS)
    assert not found[0].any()
    expected = torch.zeros(T, tall, wide, FILTERS)
    for t in range(T):
        for row in range(tall):
            for column in range(wide):
                at = (
                    step - t + LENGTH // 2,
                    y // side - STRIDE * row + SIDE // 2,
                    x // side - STRIDE * column + SIDE // 2,
                )
                if all(0 <= place < size for place, size in zip(at, (LENGTH, SIDE, SIDE), strict=True)):
                    expected[t, row, column] = filters[scale, :, polarity, *at] / side
    assert expected.any()
    torch.testing.assert_close(found[1].view(T, tall, wide, FILTERS), expected)
