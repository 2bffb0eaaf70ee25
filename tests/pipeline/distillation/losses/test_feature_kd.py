"""Distances of features by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from loss_inputs import randn, seeded

from spikeport.pipeline.distillation.losses.feature_kd import feature_distance


class TestFeatures:
    def test_attention_of_different_places_is_two(self) -> None:
        ours, targets = torch.zeros(1, 2, 1, 3), torch.zeros(1, 5, 1, 3)
        ours[0, 1, 0, 0] = 3.0
        targets[0, 4, 0, 2] = 0.5
        assert feature_distance(ours, targets, "attention").item() == pytest.approx(2.0)
        assert feature_distance(targets, targets, "attention").item() == 0

    def test_cosine_and_mse_by_hand(self) -> None:
        ours, targets = randn(1, 3, 4, 5), randn(2, 3, 4, 5)
        flat = [one.flatten(1).numpy() for one in (ours, targets)]
        cosine = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(*flat, strict=True)]
        assert feature_distance(ours, targets, "cosine").item() == pytest.approx(1 - np.mean(cosine))
        assert feature_distance(ours, targets).item() == pytest.approx(((flat[0] - flat[1]) ** 2).mean())

    @pytest.mark.parametrize(("metric", "expected"), [("cosine", 1.0), ("attention", 1.0)])
    def test_silent_features(self, metric: str, expected: float) -> None:
        ours = torch.zeros(2, 3, 2, 5, requires_grad=True)
        loss = feature_distance(ours, torch.rand(2, 3, 2, 5, generator=seeded()) + 0.1, metric)
        loss.backward()
        assert loss.item() == pytest.approx(expected)
        assert torch.isfinite(ours.grad).all()
