"""Distillation of logits against values that are known from algebra."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_inputs import SPEC, randn
from torch import Tensor

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.logit_kd import logit_kd
from spikeport.pipeline.distillation.losses.tet import tet

LN3 = math.log(3)


def rows(*values: tuple[float, ...]) -> Tensor:
    """One batch row a step: [T, 1, K]."""
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


class TestLogitKd:
    def test_known_values(self) -> None:
        teacher = torch.tensor([[LN3, 0.0]], dtype=torch.float64)
        assert logit_kd(rows((0, 0)), teacher, tau=1).item() == pytest.approx(0.130812, abs=SPEC)
        assert logit_kd(rows((0, 0)), 2 * teacher, tau=2).item() == pytest.approx(0.523248, abs=SPEC)
        two = rows((0, 0), (LN3, 0))
        assert logit_kd(two, teacher, tau=1, mode="per_step").item() == pytest.approx(0.065406, abs=SPEC)
        assert logit_kd(two, teacher, tau=1, mode="mean").item() == pytest.approx(0.030738, abs=SPEC)
        assert logit_kd(rows((0, 0)), teacher, tau=1, divergence="rkl").item() == pytest.approx(0.143841, abs=SPEC)

    def test_known_gradient(self) -> None:
        student = rows((0, 0)).requires_grad_()
        logit_kd(student, torch.tensor([[LN3, 0.0]], dtype=torch.float64), tau=1).backward()
        torch.testing.assert_close(student.grad, rows((-0.25, 0.25)))

    def test_entropy_and_cross_entropy_as_in_tser(self) -> None:
        """(1 - a) CE + a KD - g H with a = 0.5, g = 0.1: 0.342665."""
        student, labels = rows((0, 0), (0, 0)), torch.tensor([0])
        teacher = torch.tensor([[LN3, 0.0]], dtype=torch.float64)
        distilled = logit_kd(student, teacher, tau=1, entropy_weight=0.1 / 0.5)
        total = 0.5 * tet(student, labels, mse_weight=0.0, target=0.0) + 0.5 * distilled
        assert total.item() == pytest.approx(0.342665, abs=SPEC)

    @settings(max_examples=50, deadline=None)
    @given(seed=st.integers(0, 10**6), tau=st.floats(0.5, 8), steps=st.integers(1, 5))
    def test_properties(self, seed: int, tau: float, steps: int) -> None:
        """per_step >= mean; the gradient is tau (q - p) / (T B) and sums to zero; shifts and copies change
        nothing."""
        student, teacher = 3 * randn(seed, steps, 3, 4), 3 * randn(seed + 1, 3, 4)
        student.requires_grad_()
        loss = logit_kd(student, teacher, tau=tau)
        loss.backward()
        p, q = (teacher / tau).softmax(-1), (student.detach() / tau).softmax(-1)
        torch.testing.assert_close(student.grad, tau * (q - p) / (steps * 3))
        torch.testing.assert_close(student.grad.sum(-1), torch.zeros(steps, 3, dtype=torch.float64))
        mean = logit_kd(student, teacher, tau=tau, mode="mean")
        assert loss >= mean - 1e-12
        if steps == 1:
            torch.testing.assert_close(loss, mean)
        torch.testing.assert_close(logit_kd(student + 5, teacher - 3, tau=tau), loss)
        torch.testing.assert_close(logit_kd(student[:, [2, 0, 1]], teacher[[2, 0, 1]], tau=tau), loss)
        torch.testing.assert_close(logit_kd(student.repeat(1, 2, 1), teacher.repeat(2, 1), tau=tau), loss)
        torch.testing.assert_close(logit_kd(teacher, teacher, tau=tau), torch.zeros((), dtype=torch.float64))

    def test_a_spiking_teacher_is_compared_step_by_step(self) -> None:
        student, teacher = randn(0, 3, 2, 4), randn(1, 3, 2, 4)
        steps = [logit_kd(student[t], teacher[t], tau=2) for t in range(3)]
        torch.testing.assert_close(logit_kd(student, teacher, tau=2), torch.stack(steps).mean())

    def test_sample_weights(self) -> None:
        student, teacher = randn(0, 2, 3, 4), randn(1, 3, 4)
        each = [logit_kd(student[:, [b]], teacher[[b]]) for b in range(3)]
        weighted = logit_kd(student, teacher, sample_weight=torch.tensor([1.0, 0.0, 0.5]))
        torch.testing.assert_close(weighted, (each[0] + 0.5 * each[2]) / 1.5)
        small = logit_kd(student, teacher, sample_weight=torch.tensor([0.5, 0.0, 0.0]))
        torch.testing.assert_close(small, 0.5 * each[0])  # divided by 1, not by 0.5
        assert logit_kd(student, teacher, sample_weight=torch.zeros(3)).item() == 0

    def test_edges(self) -> None:
        """One class gives nothing; a silent output layer is finite: tau^2 (ln K - H(p))."""
        student = randn(0, 2, 3, 1).requires_grad_()
        loss = logit_kd(student, randn(1, 3, 1))
        loss.backward()
        assert loss.item() == 0
        assert not student.grad.any()
        teacher = randn(2, 3, 5)
        p = (teacher / 4).softmax(-1)
        expected = 16 * (math.log(5) + (p * p.log()).sum(-1)).mean()
        torch.testing.assert_close(logit_kd(torch.zeros(2, 3, 5, dtype=torch.float64), teacher, tau=4), expected)

    def test_float32_at_least(self) -> None:
        assert logit_kd(randn(0, 2, 3, 4).half(), randn(1, 3, 4).half()).dtype == torch.float32

    def test_the_teacher_gets_no_gradient(self) -> None:
        student, teacher = randn(0, 2, 3, 4).requires_grad_(), randn(1, 3, 4).requires_grad_()
        logit_kd(student, teacher).backward()
        assert teacher.grad is None
        assert student.grad.abs().min() > 0

    @pytest.mark.parametrize(
        ("student", "teacher", "options", "words"),
        [
            ((2, 3, 4), (3, 5), {}, "do not fit"),
            ((2, 3, 4), (2, 4), {}, "do not fit"),
            ((2, 3, 4), (3, 3, 4), {}, "do not fit"),
            ((0, 3, 4), (3, 4), {}, "no empty axis"),
            ((2, 0, 4), (0, 4), {}, "no empty axis"),
            ((2, 3, 4), (3, 4), {"tau": 0.0}, "temperature 0.0 is not positive"),
            ((2, 3, 4), (3, 4), {"mode": "max"}, "use mean, per_step or last"),
            ((2, 3, 4), (3, 4), {"divergence": "js"}, "use fkl, rkl or adaptive"),
        ],
    )
    def test_refusals(self, student: tuple, teacher: tuple, options: dict, words: str) -> None:
        with pytest.raises(UserError, match=words):
            logit_kd(torch.zeros(student), torch.zeros(teacher), **options)
