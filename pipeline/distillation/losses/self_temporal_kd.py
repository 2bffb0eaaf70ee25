"""A student's own correct steps teach all its steps (temporal decoupling, ICML 2025, arXiv 2501.15925)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import DistillationLoss, Options, StepInputs, Stream
from spikeport.pipeline.distillation.losses.logit_kd import kl

TargetKind = Literal["correct_mean", "mean", "last"]
Fallback = Literal["skip", "uniform", "mean"]


def self_temporal_kd(
    student: Tensor,
    labels: Tensor,
    *,
    tau: float = 3.0,
    teacher: TargetKind = "correct_mean",
    fallback: Fallback = "skip",
) -> Tensor:
    """tau^2 mean KL(softmax(z* / tau) || softmax(z[t] / tau)) over steps and samples, a scalar.

    z* is the detached mean of a sample's logits over the steps that are right ("correct_mean"), over all, or its last.
    A sample without a right step has weight 0 ("skip"), a uniform teacher, or the mean. Of equal logits the first
    counts; a step of zeros alone, before the first spike, is not right. `student` `[T, B, K]`, `labels` `[B]`. Raises
    UserError where shapes do not fit or tau is not positive.
    """
    if not tau > 0:
        raise UserError(f"temperature {tau} is not positive", where="tau", hint="use a value such as 3")
    if student.ndim != 3 or not student.numel() or labels.shape != student.shape[1:2]:
        raise UserError(f"logits {tuple(student.shape)} and labels {tuple(labels.shape)} do not fit [T, B, K] and [B]")
    student = student if student.dtype == torch.float64 else student.float()
    own = student.detach()
    weight = torch.ones(own.shape[1], dtype=own.dtype, device=own.device)
    if teacher == "correct_mean":
        right = ((own.argmax(-1) == labels) & own.any(-1)).to(own)  # argmax gives the first of equals
        count = right.sum(0)
        said = (own * right[..., None]).sum(0) / count.clamp(min=1)[:, None]
        if fallback == "skip":
            weight = (count > 0).to(own)
        elif fallback == "mean":
            said = torch.where(count[:, None] > 0, said, own.mean(0))
    else:
        said = own.mean(0) if teacher == "mean" else own[-1]
    log_p = torch.log_softmax(said / tau, dim=-1).expand_as(student)
    loss = kl(log_p, torch.log_softmax(student / tau, dim=-1)).mean(0)
    return tau**2 * (weight * loss).sum() / weight.sum().clamp(min=1)


class SelfTemporalKd(DistillationLoss):
    """`self_temporal_kd` on a stream."""

    class Settings(Options):
        tau: float = Field(3.0, gt=0)
        teacher: TargetKind = "correct_mean"
        fallback: Fallback = "skip"

    def forward(self, stream: Stream, step: StepInputs) -> Tensor:
        return self_temporal_kd(stream.logits, stream.labels, **self.settings.model_dump())
