"""Self-distillation over time: a student's steps learn from its other steps."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import PositiveFloat
from torch import Tensor
from torch.nn import functional

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import DistillationLoss, Labels, Sizes, StudentLogits
from spikeport.pipeline.distillation.losses.logit_kd import kl
from spikeport.pipeline.distillation.losses.precision import at_least_float32
from spikeport.pipeline.distillation.losses.selective_kd import confidence

TargetKind = Literal["correct_mean", "mean", "last", "reliable"]
Fallback = Literal["skip", "uniform", "mean"]


def self_temporal_kd(
    student: Tensor,
    labels: Tensor,
    *,
    tau: float = 3.0,
    teacher: TargetKind = "correct_mean",
    fallback: Fallback = "skip",
    rates: bool = False,
) -> Tensor:
    """Temporal decoupling (ICML 2025, arXiv 2501.15925): the student's own logits as its teacher.

    L = tau^2 mean_tb KL(softmax(z* / tau) || softmax(z_t / tau)), with z* detached logits of the same sample.

    Args:
        student: logits z `[T, B, K]`.
        labels: int64 `[B]`.
        tau: temperature.
        teacher: z*: "correct_mean" is the mean over the steps that are right, "mean" over all steps, "last" the last
            step. "reliable" (SeAl-KD, arXiv 2605.14252) is for step t the mean of all other steps s with the weights
            softmax_s(c_s cos(z_t, z_s)), with the `confidence` c of a step; the loss is 0 for T = 1. Of equal logits
            the first class counts; a step of zeros, before the first spike, is not right.
        fallback: what samples without a right step get: "skip" weight 0, "uniform" a uniform teacher, "mean" the mean.
        rates: whether the logits z_t, spike counts so far, are compared as rates, T / t z_t.

    Returns:
        A scalar.

    Raises:
        UserError: shapes do not fit, or tau is not positive.
    """
    if not tau > 0:
        raise UserError(f"temperature {tau} is not positive", where="tau", hint="use a value such as 3")
    if student.ndim != 3 or not student.numel() or labels.shape != student.shape[1:2]:
        raise UserError(f"logits {tuple(student.shape)} and labels {tuple(labels.shape)} do not fit [T, B, K] and [B]")
    student = at_least_float32(student)
    if rates:
        steps = torch.arange(1, len(student) + 1, dtype=student.dtype, device=student.device)
        student = student * (len(student) / steps)[:, None, None]
    detached = student.detach()
    weight = torch.ones(detached.shape[1], dtype=detached.dtype, device=detached.device)
    if teacher == "correct_mean":
        right = ((detached.argmax(-1) == labels) & detached.any(-1)).to(detached)  # argmax gives the first of equals
        count = right.sum(0)
        target = (detached * right[..., None]).sum(0) / count.clamp(min=1)[:, None]
        if fallback == "skip":
            weight = (count > 0).to(detached)
        elif fallback == "mean":
            target = torch.where(count[:, None] > 0, target, detached.mean(0))
    elif teacher == "reliable":
        target = _reliable(detached)
    else:
        target = detached.mean(0) if teacher == "mean" else detached[-1]
    log_p = torch.log_softmax(target / tau, dim=-1).expand_as(student)
    loss = kl(log_p, torch.log_softmax(student / tau, dim=-1)).mean(0)
    return tau**2 * (weight * loss).sum() / weight.sum().clamp(min=1)


def _reliable(logits: Tensor) -> Tensor:
    """For each step `[T, B, K]` the weighted mean of the others; for a single step itself."""
    if len(logits) == 1:
        return logits
    rows = functional.normalize(logits.transpose(0, 1), dim=-1)
    scores = confidence(logits).T[:, None, :] * (rows @ rows.mT)  # [B, T, T]: for step t of steps s
    scores = scores.masked_fill(torch.eye(len(logits), dtype=torch.bool, device=logits.device), -torch.inf)
    return (scores.softmax(-1) @ logits.transpose(0, 1)).transpose(0, 1)


class SelfTemporalKd(DistillationLoss):
    """`self_temporal_kd` on a stream.

    Args:
        sizes: sizes of data and networks.
        tau: temperature.
        teacher: "correct_mean", "mean", "last" or "reliable".
        fallback: "skip", "uniform" or "mean".
        rates: whether spike counts are compared as rates.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        tau: PositiveFloat = 3.0,
        teacher: TargetKind = "correct_mean",
        fallback: Fallback = "skip",
        rates: bool = False,
    ) -> None:
        super().__init__(sizes)
        self.tau, self.rates = tau, rates
        self.teacher: TargetKind = teacher
        self.fallback: Fallback = fallback

    def forward(self, student: StudentLogits, labels: Labels) -> Tensor:
        return self_temporal_kd(
            student, labels, tau=self.tau, teacher=self.teacher, fallback=self.fallback, rates=self.rates
        )
