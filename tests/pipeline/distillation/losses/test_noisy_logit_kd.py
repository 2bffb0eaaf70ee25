"""Noise-smoothed logits: expectations, gradients by formula, and edges."""

from __future__ import annotations

import pytest
import torch
from loss_inputs import SPEC, randn, row, seeded

from spikeport.pipeline.distillation.losses.logit_kd import logit_kd
from spikeport.pipeline.distillation.losses.noisy_logit_kd import noisy_logit_kd


class TestNoisyLogitKd:
    Z, TEACHER = row(3, 1, 0, -1, -2), row(1, 2, 0.5, 0, -1)

    def test_without_noise_it_is_logit_kd(self) -> None:
        student, teacher = randn(1, 3, 2, 5), randn(2, 2, 5)
        for mode in ("mean", "per_step"):
            assert torch.equal(
                noisy_logit_kd(student, teacher, generator=seeded(), noise_weight=0.0, mode=mode),
                logit_kd(student, teacher, mode=mode),
            )

    @pytest.mark.parametrize(
        ("variant", "expected"),
        [({}, 0.9133), ({"space": "prob", "scale": "var", "detach_stats": False}, 0.7998)],
        ids=["paper", "code"],
    )
    def test_expectations(self, variant: dict, expected: float) -> None:
        """Over a million draws the specification's values, to its +-0.001; plain distillation gives 0.901701."""
        many = self.Z.expand(1_000_000, 5)
        value = noisy_logit_kd(many, self.TEACHER.expand(1_000_000, 5), generator=seeded(5), **variant)
        assert value.item() == pytest.approx(expected, abs=1e-3)
        assert logit_kd(self.Z, self.TEACHER, mode="mean").item() == pytest.approx(0.901701, abs=SPEC)

    def test_it_is_a_small_penalty_on_the_spread(self) -> None:
        """E = KD + (lambda s)^2 / 2 (1 - |q|^2) to second order."""
        many, teacher = self.Z.expand(400_000, 5), self.TEACHER.expand(400_000, 5)
        q = (self.Z / 2).softmax(-1)
        predicted = (0.1 * self.Z.std()) ** 2 / 2 * (1 - q.square().sum())
        found = noisy_logit_kd(many, teacher, generator=seeded(6)) - logit_kd(self.Z, self.TEACHER, mode="mean")
        assert found.item() == pytest.approx(predicted.item(), rel=0.05)  # third order, and 400,000 draws

    def test_seeds(self) -> None:
        first, again, other = (noisy_logit_kd(self.Z, self.TEACHER, generator=seeded(s)) for s in (1, 1, 2))
        assert first == again != other

    @pytest.mark.parametrize("space", ["logit", "prob"])
    @pytest.mark.parametrize("detach", [True, False])
    @pytest.mark.parametrize("mode", ["mean", "per_step"])
    def test_gradients_sum_to_zero_over_classes(self, space: str, detach: bool, mode: str) -> None:
        student = randn(3, 3, 2, 5).requires_grad_()
        options = {"space": space, "detach_stats": detach, "mode": mode, "noise_weight": 0.3}
        noisy_logit_kd(student, randn(4, 2, 5), generator=seeded(), **options).backward()
        assert student.grad.abs().max() > 1e-3
        torch.testing.assert_close(student.grad.sum(-1), torch.zeros(3, 2, dtype=torch.float64), atol=1e-12, rtol=0)

    def test_the_direct_gradient(self) -> None:
        """Detached, in logit space: tau (q_soft - p) / B."""
        student, tau = randn(3, 1, 2, 5).requires_grad_(), 2.0
        teacher = randn(4, 2, 5)
        noisy_logit_kd(student, teacher, generator=seeded(9)).backward()
        z = student.detach()[0]
        noise = (
            z.mean(-1, keepdim=True)
            + z.std(-1, keepdim=True) * torch.randn(1, 2, 5, generator=seeded(9), dtype=torch.float32).double()
        )
        q = ((z + 0.1 * noise[0]) / tau).softmax(-1)
        expected = tau * (q - (teacher / tau).softmax(-1)) / 2
        torch.testing.assert_close(student.grad[0], expected, atol=1e-6, rtol=1e-6)

    def test_silent_students_and_single_classes_are_finite(self) -> None:
        for shape in ((2, 3, 4), (2, 3, 1)):
            student = torch.zeros(shape, requires_grad=True)
            teacher = torch.randn(shape[1:], generator=seeded())
            loss = noisy_logit_kd(student, teacher, generator=seeded(), detach_stats=False)
            loss.backward()
            torch.testing.assert_close(loss, logit_kd(torch.zeros(shape), teacher, mode="mean"))
            assert torch.isfinite(student.grad).all()
