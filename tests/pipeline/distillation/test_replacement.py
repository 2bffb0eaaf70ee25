"""Sliding replacement of static samples by events."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from spikeport.errors import UserError
from spikeport.pipeline.distillation.replacement import sliding_replacement, static_clip
from spikeport.pipeline.distillation.schedules import replacement_probability, switch_probability


def randn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class TestReplacement:
    def clips(self, batch: int = 5) -> tuple[Tensor, Tensor]:
        return randn(0, 4, batch, 2, 3, 6), randn(1, 4, batch, 2, 3, 6)

    @pytest.mark.parametrize("unit", ["clip", "suffix", "suffix_share"])
    def test_ends(self, unit: str) -> None:
        """x = 0 replaces nothing, x = 1 everything, and neither touches its input."""
        static, events = self.clips()
        before = static.clone(), events.clone()
        for x, expected in ((0.0, static), (1.0, events)):
            hybrid, mask = sliding_replacement(static, events, x, generator=torch.Generator(), unit=unit)
            assert torch.equal(hybrid, expected)
            assert mask.shape == (4, 5)
            assert bool(mask.all()) == bool(x) == bool(mask.any())
        assert torch.equal(static, before[0])
        assert torch.equal(events, before[1])

    def test_whole_clips_slot_by_slot(self) -> None:
        static, events = self.clips(40)
        hybrid, mask = sliding_replacement(static, events, 0.8, generator=torch.Generator().manual_seed(2))
        assert 0 < mask[0].sum() < 40
        for b in range(40):
            assert torch.equal(hybrid[:, b], (events if mask[0, b] else static)[:, b])
            assert len(set(mask[:, b].tolist())) == 1

    def test_probability(self) -> None:
        expected = {0.0: 0.0, 0.25: 0.015625, 0.5: 0.125, 0.75: 0.421875, 0.9: 0.729, 1.0: 1.0}
        assert {x: pytest.approx(replacement_probability(x)) for x in expected} == expected
        mean = np.mean([replacement_probability((n + 0.5) / 1000) for n in range(1000)])
        assert mean == pytest.approx(0.25, abs=1e-5)  # 1 / (power + 1)
        assert replacement_probability(0.5, power=1) == 0.5

    def test_empirical_rate(self) -> None:
        frames = torch.zeros(1, 100_000, 1, 1, 1)
        _, mask = sliding_replacement(frames, frames, 0.75, generator=torch.Generator().manual_seed(4))
        sigma = math.sqrt(0.421875 * (1 - 0.421875) / 1e5)
        assert abs(mask.float().mean().item() - 0.421875) < 4 * sigma

    @pytest.mark.parametrize("unit", ["clip", "suffix", "suffix_share"])
    def test_masks_of_one_seed_are_nested(self, unit: str) -> None:
        static, events = self.clips(50)
        masks = [
            sliding_replacement(static, events, x, generator=torch.Generator().manual_seed(7), unit=unit)[1]
            for x in (0.3, 0.6, 0.6, 0.9)
        ]
        assert torch.equal(masks[1], masks[2])
        assert not (masks[0] & ~masks[1]).any()
        assert not (masks[1] & ~masks[3]).any()
        assert masks[1].sum() < masks[3].sum()
        other = sliding_replacement(static, events, 0.6, generator=torch.Generator().manual_seed(8), unit=unit)
        assert not torch.equal(masks[1], other[1])

    def test_suffix_share(self) -> None:
        """Expected share of events: (1/T) sum_t 1 - (1 - p)^t; once events, events to the end."""
        frames, p = torch.zeros(6, 50_000, 1, 1, 1), 0.3
        generator = torch.Generator().manual_seed(1)
        _, mask = sliding_replacement(frames, frames, p, generator=generator, power=1, unit="suffix")
        assert not (mask[:-1] & ~mask[1:]).any()
        expected = np.mean([1 - (1 - p) ** t for t in range(1, 7)])
        assert mask.float().mean().item() == pytest.approx(expected, abs=4 * 0.5 / math.sqrt(50_000))

    @pytest.mark.parametrize("unit", ["suffix", "suffix_share"])
    def test_the_switch_is_the_first_draw_below_p(self, unit: str) -> None:
        """The same draws in NumPy: t* = min {t : u_t < p}, none where there is no such t."""
        x, power, frames = 0.6, 2.0, torch.zeros(5, 700, 1, 1, 1)
        p = x**power if unit == "suffix" else switch_probability(x**power, 5)
        _, mask = sliding_replacement(
            frames, frames, x, generator=torch.Generator().manual_seed(3), power=power, unit=unit
        )
        below = torch.rand(5, 700, generator=torch.Generator().manual_seed(3)).numpy() < p
        switch = np.where(below.any(0), below.argmax(0), 5)
        np.testing.assert_array_equal(mask.numpy(), np.arange(5)[:, None] >= switch)
        assert set(switch) == set(range(6))  # every case occurs

    def test_the_switch_has_the_truncated_geometric_distribution(self) -> None:
        """Events from step t on with probability p (1 - p)^(t - 1), never with (1 - p)^T; x^power is their share."""
        steps, draws, share = 5, 50_000, 0.4
        frames = torch.zeros(steps, draws, 1, 1, 1)
        generator = torch.Generator().manual_seed(6)
        _, mask = sliding_replacement(frames, frames, share, generator=generator, power=1, unit="suffix_share")
        p = switch_probability(share, steps)
        expected = np.array([p * (1 - p) ** t for t in range(steps)] + [(1 - p) ** steps])
        assert expected.sum() == pytest.approx(1)
        counts = np.bincount(steps - mask.sum(0).numpy(), minlength=steps + 1)
        assert (np.abs(counts / draws - expected) < 4 * np.sqrt(expected * (1 - expected) / draws)).all()
        of_sample = (steps - np.arange(steps + 1)) / steps
        assert expected @ of_sample == pytest.approx(share, abs=1e-9)
        sigma = math.sqrt(expected @ (of_sample - share) ** 2 / draws)
        assert mask.double().mean().item() == pytest.approx(share, abs=4 * sigma)

    def test_refusals(self) -> None:
        static, events = self.clips()
        with pytest.raises(UserError, match="different shapes"):
            sliding_replacement(static[:, :4], events, 0.5, generator=torch.Generator())
        with pytest.raises(UserError, match="use clip, suffix or suffix_share"):
            sliding_replacement(static, events, 0.5, generator=torch.Generator(), unit="pixel")
        pairs = torch.tensor([0, 1]), torch.tensor([0, 2])
        with pytest.raises(UserError, match="different classes"):
            sliding_replacement(static, events, 0.5, generator=torch.Generator(), labels=pairs)

    def test_static_clips_repeat_the_value_in_both_channels(self) -> None:
        values = randn(0, 5, 3, 6)
        clip = static_clip(values, 4)
        assert clip.shape == (4, 5, 2, 3, 6)
        for t in range(4):
            for channel in range(2):
                assert torch.equal(clip[t, :, channel], values)
