"""Distilling a teacher's logits (Hinton, Vinyals, Dean 2015, arXiv 1503.02531), over time."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import DistillationLoss, Options, StepInputs, Stream

KdMode = Literal["mean", "per_step", "last"]
Divergence = Literal["fkl", "rkl", "adaptive"]


def logit_kd(
    student: Tensor,
    teacher: Tensor,
    *,
    tau: float = 2.0,
    mode: KdMode = "per_step",
    divergence: Divergence = "fkl",
    entropy_weight: float = 0.0,
    sample_weight: Tensor | None = None,
    check_finite: bool = False,
) -> Tensor:
    """tau^2 KL(softmax(teacher / tau) || softmax(student / tau)), a scalar: mean over B and T, sum over
    classes.

    `student` `[T, B, K]` (`[B, K]` is read as T = 1), `teacher` `[B, K]` or, from a spiking teacher, `[T, B,
    K]`. mode "mean" compares the mean over time of the logits, "per_step" every step (never less, by
    convexity), "last" the last one. A student's logits are spikes so far, so in their mean early spikes count more;
    the last are what it decides by. divergence "rkl" swaps the two sides, "adaptive"
    weighs both (`adaptive_kl`). `entropy_weight` times the mean entropy of the student's
    steps is taken off. `sample_weight` `[B]`: sum(w l) / max(sum(w), 1). No gradient reaches the teacher.
    Raises UserError where shapes do not fit, tau is not positive or, with `check_finite`, a logit is not finite.
    """
    if check_finite:
        _finite(student, teacher)
    compared, target = paired(student, teacher, tau, mode)
    log_q = torch.log_softmax(compared / tau, dim=-1)
    log_p = torch.log_softmax(target / tau, dim=-1).expand_as(log_q)
    if divergence == "fkl":
        loss = kl(log_p, log_q)
    elif divergence == "rkl":
        loss = kl(log_q, log_p)
    elif divergence == "adaptive":
        loss = head_tail_kl(log_p, log_q)
    else:
        raise UserError(f"{divergence!r} is no divergence", where="divergence", hint="use fkl or rkl, or adaptive")
    loss = tau**2 * loss.mean(0)
    if entropy_weight:
        steps, _ = paired(student, teacher, tau, "per_step")
        log_s = torch.log_softmax(steps / tau, dim=-1)
        loss = loss + entropy_weight * (log_s.exp() * log_s).sum(-1).mean(0)
    return averaged(loss, sample_weight)


def averaged(loss: Tensor, sample_weight: Tensor | None) -> Tensor:
    """The mean of `loss` `[B]`, or sum(w l) / max(sum(w), 1)."""
    if sample_weight is None:
        return loss.mean()
    if sample_weight.shape != loss.shape:
        raise UserError(f"sample weights {tuple(sample_weight.shape)} do not fit a batch of {len(loss)}")
    weight = sample_weight.to(loss)
    return (weight * loss).sum() / weight.sum().clamp(min=1.0)


def kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) = sum_k p_k (log p_k - log q_k) over the last axis."""
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def head_tail_kl(log_p: Tensor, log_q: Tensor, *, head_mass: float = 0.5, eps: float = 1e-8) -> Tensor:
    """w KL(p || q) + (1 - w) KL(q || p) over the last axis, w = g_h / (g_h + g_t + eps) without a gradient; g: |p - q|
    summed over the head, the fewest likeliest classes of p that hold `head_mass`, and over the tail."""
    with torch.no_grad():
        p, gap = log_p.exp(), (log_p.exp() - log_q.exp()).abs()
        ordered, order = p.sort(dim=-1, descending=True, stable=True)
        exact = ordered.double() / ordered.double().sum(-1, keepdim=True)
        before = exact.cumsum(-1) - exact  # what the likelier classes hold already
        inside = (
            before < head_mass - 1e-6
        )  # equal shares that reach the mass exactly are not one class more by rounding
        head = torch.zeros_like(p).scatter(-1, order, inside.to(p))
        in_head, in_tail = (gap * head).sum(-1), (gap * (1 - head)).sum(-1)
        forward = in_head / (in_head + in_tail + eps)
    return forward * kl(log_p, log_q) + (1 - forward) * kl(log_q, log_p)


def _finite(*logits: Tensor) -> None:
    for whose, each in zip(("student", "teacher"), logits, strict=True):
        if not torch.isfinite(each).all():
            raise UserError(
                f"the {whose}'s logits are not all finite", hint="lower the learning rate, or check weights"
            )


def paired(student: Tensor, teacher: Tensor, tau: float, mode: KdMode) -> tuple[Tensor, Tensor]:
    """What is compared: `[T, B, K]` of the student and `[1 or T, B, K]` of the detached teacher, T = 1 in modes "mean"
    and "last"; float32 or wider. Raises UserError where shapes do not fit, tau is not positive or the mode is none."""
    if not tau > 0:
        raise UserError(f"temperature {tau} is not positive", where="tau", hint="use a value such as 2 or 4")
    student = student if student.ndim == 3 else student.unsqueeze(0)
    teacher = teacher.detach() if teacher.ndim == 3 else teacher.detach().unsqueeze(0)
    if student.ndim != 3 or teacher.ndim != 3 or not student.numel():
        raise UserError(f"logits need shape [T, B, K] or [B, K] and no empty axis, got {tuple(student.shape)}")
    if student.shape[1:] != teacher.shape[1:] or teacher.shape[0] not in (1, student.shape[0]):
        raise UserError(
            f"student logits {tuple(student.shape)} and teacher logits {tuple(teacher.shape)} do not fit",
            cause="[T, B, K]: samples, classes and, from a spiking teacher, steps must agree",
        )
    wide = torch.float64 if student.dtype == torch.float64 else torch.float32
    student, teacher = student.to(wide), teacher.to(wide)
    if mode == "per_step":
        return student, teacher
    if mode == "last":
        return student[-1:], teacher[-1:]
    if mode != "mean":
        raise UserError(f"{mode!r} is no way to distil over time", where="mode", hint="use mean, per_step or last")
    return student.mean(0, keepdim=True), teacher.mean(0, keepdim=True)


class LogitKd(DistillationLoss):
    """`logit_kd` on a stream. `mask_replaced`: samples count by their share of frames that are no events."""

    class Settings(Options):
        tau: float = Field(2.0, gt=0)
        mode: KdMode = "per_step"
        divergence: Divergence = "fkl"
        entropy_weight: float = 0.0
        mask_replaced: bool = False
        check_finite: bool = False

    needs = frozenset({"teacher"})

    def forward(self, stream: Stream, step: StepInputs) -> Tensor:
        settings, weight = self.settings, None
        assert stream.teacher is not None
        if settings.mask_replaced and stream.replaced is not None:
            weight = 1 - stream.replaced.to(stream.logits).mean(0)
        return logit_kd(
            stream.logits,
            stream.teacher.logits,
            tau=settings.tau,
            mode=settings.mode,
            divergence=settings.divergence,
            entropy_weight=settings.entropy_weight,
            sample_weight=weight,
            check_finite=settings.check_finite,
        )
