"""Knowledge distillation on logits, over time, and the divergences that other losses share."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import PositiveFloat
from torch import Tensor

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import (
    DistillationLoss,
    Replaced,
    Sizes,
    StudentLogits,
    TeacherLogits,
)
from spikeport.pipeline.distillation.losses.precision import at_least_float32

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
    """Knowledge distillation (Hinton, Vinyals, Dean 2015, arXiv 1503.02531), averaged over time and samples.

    L = tau^2 mean_tb KL(softmax(teacher / tau) || softmax(student / tau)) - entropy_weight mean_tb H(student_t / tau).

    Logits of a student are sums of spikes up to a step, so early spikes count more in their mean; its decision is the
    logits of the last step. "per_step" is never less than "mean", by convexity.

    Args:
        student: logits `[T, B, K]`; `[B, K]` is read as T = 1.
        teacher: logits `[B, K]`, or `[T, B, K]` of a spiking teacher. It gets no gradient.
        tau: temperature, above 0.
        mode: "mean" compares the logits' mean over time, "per_step" each step, "last" the last step.
        divergence: "fkl" is KL(teacher || student), "rkl" swaps the two, "adaptive" is `head_tail_kl`.
        entropy_weight: weight of the student's entropy, which is subtracted.
        sample_weight: w `[B]`: sum(w l) / max(sum(w), 1) in place of the mean over samples.
        check_finite: whether logits that are not finite raise an error.

    Returns:
        A scalar.

    Raises:
        UserError: shapes do not fit, tau is not positive, or a logit is not finite (with `check_finite`).
    """
    if check_finite:
        _check_finite(student, teacher)
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
        raise UserError(f"{divergence!r} is not a divergence", where="divergence", hint="use fkl, rkl or adaptive")
    loss = tau**2 * loss.mean(0)
    if entropy_weight:
        steps, _ = paired(student, teacher, tau, "per_step")
        log_s = torch.log_softmax(steps / tau, dim=-1)
        loss = loss + entropy_weight * (log_s.exp() * log_s).sum(-1).mean(0)
    return averaged(loss, sample_weight)


def averaged(loss: Tensor, sample_weight: Tensor | None) -> Tensor:
    """The mean of `loss` `[B]`, or sum(w l) / max(sum(w), 1) with weights w `[B]`.

    Args:
        loss: one value for each sample, `[B]`.
        sample_weight: weights `[B]`; None for equal weights.

    Raises:
        UserError: the weights do not fit the batch.
    """
    if sample_weight is None:
        return loss.mean()
    if sample_weight.shape != loss.shape:
        raise UserError(f"sample weights {tuple(sample_weight.shape)} do not fit a batch of {len(loss)}")
    weight = sample_weight.to(loss)
    return (weight * loss).sum() / weight.sum().clamp(min=1.0)


def kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) = sum_k p_k (log p_k - log q_k) over the last axis.

    Args:
        log_p: log probabilities `[..., K]`.
        log_q: log probabilities `[..., K]`.

    Returns:
        `[...]`.
    """
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def head_tail_kl(log_p: Tensor, log_q: Tensor, *, head_mass: float = 0.5, eps: float = 1e-8) -> Tensor:
    """Forward KL weighted against reverse KL by where the two distributions differ (after arXiv 2404.02657).

    w KL(p || q) + (1 - w) KL(q || p), w = g_h / (g_h + g_t + eps) without gradient. g_h and g_t are sums of |p - q|
    over the head and over the tail.

    Args:
        log_p: log probabilities of the teacher, classes on the last axis.
        log_q: log probabilities of the student, of the same shape.
        head_mass: probability that the head holds: the head is the fewest likeliest classes of p that reach it.
        eps: keeps w defined where p = q.

    Returns:
        The divergence, without the last axis.
    """
    with torch.no_grad():
        p, gap = log_p.exp(), (log_p.exp() - log_q.exp()).abs()
        ordered, order = p.sort(dim=-1, descending=True, stable=True)
        exact = ordered.double() / ordered.double().sum(-1, keepdim=True)
        before = exact.cumsum(-1) - exact  # mass of the likelier classes
        # 1e-6: equal shares that reach the mass exactly must not take one class more by rounding.
        inside = before < head_mass - 1e-6
        head = torch.zeros_like(p).scatter(-1, order, inside.to(p))
        in_head, in_tail = (gap * head).sum(-1), (gap * (1 - head)).sum(-1)
        forward = in_head / (in_head + in_tail + eps)
    return forward * kl(log_p, log_q) + (1 - forward) * kl(log_q, log_p)


def _check_finite(*logits: Tensor) -> None:
    for owner, each in zip(("student", "teacher"), logits, strict=True):
        if not torch.isfinite(each).all():
            raise UserError(
                f"the {owner}'s logits are not all finite", hint="lower the learning rate, or check the weights"
            )


def paired(student: Tensor, teacher: Tensor, tau: float, mode: KdMode) -> tuple[Tensor, Tensor]:
    """The logits that a loss compares, in float32 or wider.

    Args:
        student: `[T, B, K]` or `[B, K]`.
        teacher: `[B, K]` or `[T, B, K]`.
        tau: temperature, which must be positive.
        mode: as in `logit_kd`.

    Returns:
        `[T, B, K]` of the student and detached `[1 or T, B, K]` of the teacher, T = 1 in modes "mean" and "last".

    Raises:
        UserError: shapes do not fit, tau is not positive, or the mode is unknown.
    """
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
    student = at_least_float32(student)
    teacher = teacher.to(student.dtype)
    if mode == "per_step":
        return student, teacher
    if mode == "last":
        return student[-1:], teacher[-1:]
    if mode != "mean":
        raise UserError(f"{mode!r} is not a mode over time", where="mode", hint="use mean, per_step or last")
    return student.mean(0, keepdim=True), teacher.mean(0, keepdim=True)


class LogitKd(DistillationLoss):
    """`logit_kd` on a stream.

    Args:
        sizes: sizes of data and networks.
        tau: temperature.
        mode: "mean", "per_step" or "last".
        divergence: "fkl", "rkl" or "adaptive".
        entropy_weight: weight of the student's entropy.
        mask_replaced: whether samples of a hybrid stream count by their share of frames that are not events.
        check_finite: whether logits that are not finite raise an error.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        tau: PositiveFloat = 2.0,
        mode: KdMode = "per_step",
        divergence: Divergence = "fkl",
        entropy_weight: float = 0.0,
        mask_replaced: bool = False,
        check_finite: bool = False,
    ) -> None:
        super().__init__(sizes)
        self.tau = tau
        self.mode: KdMode = mode
        self.divergence: Divergence = divergence
        self.entropy_weight, self.mask_replaced, self.check_finite = entropy_weight, mask_replaced, check_finite

    def forward(self, student: StudentLogits, teacher: TeacherLogits, replaced: Replaced) -> Tensor:
        sample_weight = None
        if self.mask_replaced and replaced is not None:
            sample_weight = 1 - replaced.to(student).mean(0)
        return logit_kd(
            student,
            teacher,
            tau=self.tau,
            mode=self.mode,
            divergence=self.divergence,
            entropy_weight=self.entropy_weight,
            sample_weight=sample_weight,
            check_finite=self.check_finite,
        )
