"""Self-distillation over time against a loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from loss_inputs import SPEC, randn

from spikeport.pipeline.distillation.losses.logit_kd import logit_kd
from spikeport.pipeline.distillation.losses.self_temporal_kd import self_temporal_kd

LN3 = math.log(3)


class TestSelfTemporal:
    def test_known_value(self) -> None:
        steps = torch.tensor([[[LN3, 0.0]], [[0.0, LN3]]], dtype=torch.float64)
        assert self_temporal_kd(steps, torch.tensor([0]), tau=1.0).item() == pytest.approx(0.274653, abs=SPEC)

    def test_equal_steps_have_nothing_to_learn(self) -> None:
        steps = randn(1, 1, 3, 4).expand(5, -1, -1)
        assert self_temporal_kd(steps, steps[0].argmax(-1)).item() == pytest.approx(0, abs=1e-12)

    def test_against_a_loop(self) -> None:
        student, labels, tau = randn(2, 4, 5, 3), torch.tensor([0, 1, 2, 0, 1]), 3.0
        for teacher in ("correct_mean", "mean", "last"):
            losses = []
            for b in range(5):
                z = student[:, b].numpy()
                right = [t for t in range(4) if z[t].argmax() == labels[b]]
                targets = {"correct_mean": z[right].mean(0) if right else None, "mean": z.mean(0), "last": z[-1]}[
                    teacher
                ]
                if targets is None:
                    continue
                p = np.exp(targets / tau) / np.exp(targets / tau).sum()
                q = np.exp(z / tau) / np.exp(z / tau).sum(1, keepdims=True)
                losses.append((p * np.log(p / q)).sum(1).mean())
            expected = tau**2 * np.mean(losses)
            assert self_temporal_kd(student, labels, teacher=teacher).item() == pytest.approx(expected, rel=1e-10)

    def test_reliable_steps_of_two_are_each_the_others_teacher(self) -> None:
        """(3/4, 1/4) and (1/2, 1/2): (ln(4/3) / 2 + 3/4 ln 1.5 - ln 2 / 4) / 2, as in specification 5.5."""
        steps = torch.tensor([[[LN3, 0.0]], [[0.0, 0.0]]], dtype=torch.float64)
        found = self_temporal_kd(steps, torch.tensor([1]), tau=1.0, teacher="reliable")
        assert found.item() == pytest.approx(0.137327, abs=SPEC)
        assert self_temporal_kd(steps[:1], torch.tensor([1]), teacher="reliable").item() == 0

    def test_reliable_steps_against_a_loop(self) -> None:
        student, tau = 2 * randn(6, 4, 5, 3), 3.0
        student[0, 1] = 0  # before the first spike
        losses = []
        for b in range(5):
            z = student[:, b].numpy()
            p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
            c, length = 1 + (p * np.log(p)).sum(1) / math.log(3), np.maximum(np.linalg.norm(z, axis=1), 1e-12)
            for t in range(4):
                others = [s for s in range(4) if s != t]
                w = np.exp([c[s] * (z[t] @ z[s]) / length[t] / length[s] for s in others])
                target = np.exp((w / w.sum()) @ z[others] / tau)
                q = np.exp(z[t] / tau) / np.exp(z[t] / tau).sum()
                losses.append((target / target.sum() * np.log(target / target.sum() / q)).sum())
        found = self_temporal_kd(student, torch.tensor([0, 1, 2, 0, 1]), teacher="reliable")
        assert found.item() == pytest.approx(tau**2 * np.mean(losses), rel=1e-10)

    def test_without_a_right_step(self) -> None:
        student = torch.tensor([[[0.0, 2.0]], [[0.0, 1.0]]], dtype=torch.float64)
        label = torch.tensor([0])
        assert self_temporal_kd(student, label).item() == 0
        uniform = logit_kd(student, torch.zeros(1, 2), tau=3.0)
        assert self_temporal_kd(student, label, fallback="uniform").item() == pytest.approx(uniform.item())
        mean = logit_kd(student, student.mean(0), tau=3.0)
        assert self_temporal_kd(student, label, fallback="mean").item() == pytest.approx(mean.item())

    def test_counts_as_rates(self) -> None:
        """By hand, T = 2: counts (1, 0) after one step are (2, 0) as a rate of two. Even firing is at rest."""
        counts, label = torch.tensor([[[1.0, 0.0]], [[1.0, 2.0]]], dtype=torch.float64), torch.tensor([0])
        p, q = (np.exp(z) / np.exp(z).sum() for z in (np.array([1.0, 2.0]), np.array([2.0, 0.0])))
        found = self_temporal_kd(counts, label, tau=1.0, teacher="last", rates=True)
        assert found.item() == pytest.approx((p * np.log(p / q)).sum() / 2)
        even = torch.arange(1, 6, dtype=torch.float64)[:, None, None] * torch.tensor([[0.5, 1.0, 0.0]])
        assert self_temporal_kd(even, label, teacher="last", rates=True).item() == pytest.approx(0, abs=1e-12)
        assert self_temporal_kd(even, label, teacher="last").item() > 0.1

    @pytest.mark.parametrize("fallback", ["skip", "uniform", "mean"])
    def test_a_silent_student(self, fallback: str) -> None:
        student = torch.zeros(3, 4, 5, requires_grad=True)
        loss = self_temporal_kd(student, torch.tensor([0, 1, 2, 0]), fallback=fallback)
        loss.backward()
        assert loss.item() == pytest.approx(0, abs=1e-6)
        assert torch.isfinite(student.grad).all()

    def test_the_gradient_is_the_students_alone(self) -> None:
        student, labels = randn(5, 3, 2, 4).requires_grad_(), torch.tensor([1, 3])
        self_temporal_kd(student, labels, teacher="mean", tau=2.0).backward()
        z = student.detach()
        p, q = (z.mean(0) / 2).softmax(-1), (z / 2).softmax(-1)
        torch.testing.assert_close(student.grad, 2 * (q - p) / 6)
