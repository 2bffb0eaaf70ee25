"""Selective distillation by hand, against a loop, and what gets a gradient."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from loss_inputs import randn, row

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.logit_kd import logit_kd
from spikeport.pipeline.distillation.losses.selective_kd import confidence, selective_kd

SELECTIONS = ("all", "wrong", "uncertain", "wrong_or_uncertain")
LABEL = torch.tensor([0])
# One sample of class 0: a wrong step, then a right one, both of little confidence (0.063 and 0.054).
STEPS = torch.stack([row(0.2, 0.5, 0.3), row(0.5, 0.25, 0.25)]).log()
TEACHER = row(0.6, 0.3, 0.1).log()
# Wrong: (3, 3, 1) / 7 against (2, 2, 3) / 7. Right: the two as they are.
WRONG, RIGHT = (6 * math.log(1.5) - math.log(3)) / 7, 0.9 * math.log(1.2) + 0.1 * math.log(0.4)


def test_known_values() -> None:
    for selection, expected in (("all", WRONG + RIGHT), ("wrong", WRONG), ("wrong_or_uncertain", WRONG + RIGHT)):
        found = selective_kd(STEPS, TEACHER, LABEL, tau=1.0, selection=selection)
        assert found.item() == pytest.approx(expected / 2, rel=1e-12)
    between = selective_kd(STEPS, TEACHER, LABEL, tau=1.0, selection="uncertain", min_confidence=0.06)
    assert between.item() == pytest.approx(RIGHT / 2, rel=1e-12)


def test_confidence() -> None:
    assert confidence(torch.tensor([[3.0, 3, 3], [0, 50, 0]]).double()).tolist() == pytest.approx([0, 1], abs=1e-12)
    p = np.array([0.7, 0.2, 0.1])
    assert confidence(row(*p).log()).item() == pytest.approx(1 + (p * np.log(p)).sum() / math.log(3), rel=1e-12)
    assert confidence(torch.zeros(2, 1)).tolist() == [1, 1]


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("equalize", [False, True])
def test_against_a_loop(selection: str, equalize: bool) -> None:
    student, teacher, labels, tau = 2 * randn(1, 4, 5, 3), 2 * randn(2, 5, 3), torch.tensor([0, 1, 2, 0, 1]), 1.7
    total, counts = 0.0, set()
    for t in range(4):
        for b in range(5):
            s, z, y = student[t, b].numpy().copy(), teacher[b].numpy().copy(), int(labels[b])
            p, k = np.exp(s) / np.exp(s).sum(), int(s.argmax())
            uncertain = 1 + (p * np.log(p)).sum() / math.log(3) < 0.4
            chosen = {"all": True, "wrong": k != y, "uncertain": uncertain, "wrong_or_uncertain": k != y or uncertain}
            counts.add(chosen[selection])
            if equalize and k != y:
                s[k], z[k], z[y] = s[y], min(z[k], z[y]), min(z[k], z[y])
            p, q = np.exp(z / tau) / np.exp(z / tau).sum(), np.exp(s / tau) / np.exp(s / tau).sum()
            total += chosen[selection] * (p * np.log(p / q)).sum()
    options = {"tau": tau, "selection": selection, "min_confidence": 0.4, "equalize": equalize}
    assert selective_kd(student, teacher, labels, **options).item() == pytest.approx(tau**2 * total / 20, rel=1e-10)
    assert counts == ({True} if selection == "all" else {True, False})


def test_without_its_two_parts_it_is_logit_kd() -> None:
    student, teacher, labels = randn(3, 4, 5, 3), randn(4, 5, 3), torch.tensor([0, 1, 2, 0, 1])
    plain = logit_kd(student, teacher, tau=2.0)
    torch.testing.assert_close(selective_kd(student, teacher, labels, tau=2.0, equalize=False), plain)
    right = student.clone()
    right[:, torch.arange(5), labels] = 9.0
    torch.testing.assert_close(selective_kd(right, teacher, labels, tau=2.0), logit_kd(right, teacher, tau=2.0))


def test_steps_that_are_left_out_get_no_gradient() -> None:
    student, teacher = STEPS.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    selective_kd(student, teacher, LABEL, tau=1.0, selection="wrong").backward()
    assert not student.grad[1].any()
    # Of the wrong step: q - p of both equal logits goes to the label, nothing to the class that was confused with it.
    expected = torch.tensor([[(2 + 2 - 3 - 3) / 7, 0, (3 - 1) / 7]]).double() / 2
    torch.testing.assert_close(student.grad[0], expected)
    assert teacher.grad is None


def test_a_silent_step_is_wrong_and_confuses_no_class() -> None:
    """Whatever the label: class 0 is no answer of a student without a spike."""
    for label in range(3):
        silent = torch.zeros(2, 1, 3, dtype=torch.float64)
        found = selective_kd(silent, TEACHER, torch.tensor([label]), tau=1.0, selection="wrong")
        torch.testing.assert_close(found, logit_kd(silent, TEACHER, tau=1.0))


def test_a_spiking_teacher_has_its_own_logits_for_each_step() -> None:
    student, teacher, labels = randn(5, 4, 5, 3), randn(6, 4, 5, 3), torch.tensor([0, 1, 2, 0, 1])
    each = [selective_kd(student[t : t + 1], teacher[t], labels) for t in range(4)]
    torch.testing.assert_close(selective_kd(student, teacher, labels), torch.stack(each).mean())


def test_refusals() -> None:
    with pytest.raises(UserError, match=r"labels .* do not fit logits"):
        selective_kd(STEPS, TEACHER, torch.tensor([0, 1]))
    with pytest.raises(UserError, match="not positive"):
        selective_kd(STEPS, TEACHER, LABEL, tau=0.0)
