"""Temporal efficient training against a loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from loss_inputs import SPEC, randn

from spikeport.pipeline.distillation.losses.tet import tet


class TestTet:
    def test_known_value(self) -> None:
        zeros = torch.zeros(3, 4, 2, dtype=torch.float64)
        value = tet(zeros, torch.tensor([0, 1, 1, 0]), mse_weight=1e-3, target=0.5)
        assert value.item() == pytest.approx(0.692704, abs=SPEC)

    def test_against_a_loop(self) -> None:
        logits, labels, weights = randn(0, 3, 4, 5), torch.tensor([4, 0, 2, 2]), torch.tensor([0.5, 1.0, 0.25])
        expected = 0.0
        for t in range(3):
            for b in range(4):
                z = logits[t, b].numpy()
                entropy = math.log(np.exp(z).sum()) - z[labels[b]]
                expected += float(weights[t]) * (0.8 * entropy + 0.2 * np.mean((z - 1.5) ** 2)) / 12
        value = tet(logits, labels, mse_weight=0.2, target=1.5, step_weights=weights.double())
        assert value.item() == pytest.approx(expected, abs=1e-12)
