"""Logit distillation that treats the steps where the student is wrong or uncertain apart."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveFloat
from torch import Tensor
from torch.nn import functional

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import DistillationLoss, Labels, Sizes, StudentLogits, TeacherLogits
from spikeport.pipeline.distillation.losses.logit_kd import kl, paired

Selection = Literal["all", "wrong", "uncertain", "wrong_or_uncertain"]


def selective_kd(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    *,
    tau: float = 3.0,
    selection: Selection = "all",
    min_confidence: float = 0.5,
    equalize: bool = True,
) -> Tensor:
    """Error-aware logit distillation (SeAl-KD, arXiv 2605.14252).

    L = tau^2 mean_tb m_tb KL(softmax(teacher / tau) || softmax(student / tau)), m = 1 for selected steps and 0 for
    others, which get no gradient. At a wrong step, `equalize` takes the choice between the label and the class that the
    student confuses with it out of the comparison: the student's logit of that class becomes that of the label, and
    both logits of the teacher become the smaller of the two.

    Args:
        student: logits `[T, B, K]`. Of equal logits the first class counts. A step of zeros, before the first spike,
            counts as wrong, and confuses no class.
        teacher: logits `[B, K]`, or `[T, B, K]` of a spiking teacher. It gets no gradient.
        labels: int64 `[B]`.
        tau: temperature.
        selection: "all" steps, the "wrong" ones, the "uncertain" ones, or "wrong_or_uncertain".
        min_confidence: steps whose `confidence` is below it are uncertain.
        equalize: whether logits are equalized at wrong steps.

    Returns:
        A scalar.

    Raises:
        UserError: shapes do not fit, or tau is not positive.
    """
    steps, target = paired(student, teacher, tau, "per_step")
    if labels.shape != steps.shape[1:2]:
        raise UserError(f"labels {tuple(labels.shape)} do not fit logits {tuple(steps.shape)}")
    found = steps.detach().argmax(-1)  # the first of equals
    silent, missed = ~steps.detach().any(-1), found != labels
    if selection == "all":
        selected = torch.ones_like(missed)
    else:
        selected = torch.zeros_like(missed)
        if selection != "uncertain":
            selected = selected | missed | silent
        if selection != "wrong":
            selected = selected | (confidence(steps.detach()) < min_confidence)
    if equalize:
        confused = (missed & ~silent)[..., None]
        right = functional.one_hot(labels, steps.shape[-1]).bool()
        confusion = functional.one_hot(found, steps.shape[-1]).bool()
        target = target.expand_as(steps)
        lower = torch.minimum(_of(target, right), _of(target, confusion))
        target = torch.where(confused & (right | confusion), lower, target)
        steps = torch.where(confused & confusion, _of(steps, right), steps)
    log_p = torch.log_softmax(target / tau, dim=-1).expand_as(steps)
    divergence = kl(log_p, torch.log_softmax(steps / tau, dim=-1))
    return tau**2 * torch.where(selected, divergence, 0.0).mean()


def confidence(logits: Tensor) -> Tensor:
    """1 - H / ln K, with the entropy H of softmax(logits): 0 for equal logits, 1 for a certain class (or one class).

    Args:
        logits: `[..., K]`.

    Returns:
        `[...]`.
    """
    log_p = torch.log_softmax(logits, dim=-1)
    return 1 + (log_p.exp() * log_p).sum(-1) / math.log(max(logits.shape[-1], 2))


def _of(logits: Tensor, chosen: Tensor) -> Tensor:
    """The logit of one class `[T, B, 1]`, of a mask `[..., K]` of one class each."""
    return torch.where(chosen, logits, 0.0).sum(-1, keepdim=True)


class SelectiveKd(DistillationLoss):
    """`selective_kd` on a stream.

    Args:
        sizes: sizes of data and networks.
        tau: temperature.
        selection: "all", "wrong", "uncertain" or "wrong_or_uncertain".
        min_confidence: steps whose confidence is below it are uncertain.
        equalize: whether logits are equalized at wrong steps.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        tau: PositiveFloat = 3.0,
        selection: Selection = "all",
        min_confidence: Annotated[float, Field(ge=0, le=1)] = 0.5,
        equalize: bool = True,
    ) -> None:
        super().__init__(sizes)
        self.tau, self.min_confidence, self.equalize = tau, min_confidence, equalize
        self.selection: Selection = selection

    def forward(self, student: StudentLogits, teacher: TeacherLogits, labels: Labels) -> Tensor:
        return selective_kd(
            student,
            teacher,
            labels,
            tau=self.tau,
            selection=self.selection,
            min_confidence=self.min_confidence,
            equalize=self.equalize,
        )
