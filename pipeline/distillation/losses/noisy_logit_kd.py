"""Knowledge distillation on noise-smoothed logits (NLD of CKDSNN)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import (
    DistillationLoss,
    Sizes,
    StepInputs,
    StudentLogits,
    TeacherLogits,
)
from spikeport.pipeline.distillation.losses.logit_kd import KdMode, kl, logit_kd, paired

Space = Literal["logit", "prob"]
Scale = Literal["std", "var"]


def noisy_logit_kd(
    student: Tensor,
    teacher: Tensor,
    *,
    generator: torch.Generator,
    tau: float = 2.0,
    noise_weight: float = 0.1,
    space: Space = "logit",
    scale: Scale = "std",
    detach_stats: bool = True,
    mode: KdMode = "mean",
) -> Tensor:
    """`logit_kd` with noise on the student's logits (Liu et al., AAAI 2026, arXiv 2511.06902).

    L = tau^2 mean KL(softmax(teacher / tau) || softmax((z + lambda n) / tau)), n ~ N(m, s^2), with m and s the mean and
    standard deviation (divisor K - 1) of each row of logits z, lambda = `noise_weight`. To second order this is
    `logit_kd` plus (lambda s)^2 / 2 (1 - |q|^2), a small penalty on the spread of the student's logits.

    Args:
        student: z, `[T, B, K]` or `[B, K]`.
        teacher: `[B, K]` or `[T, B, K]`.
        generator: source of the noise, on the CPU.
        tau: temperature.
        noise_weight: lambda. 0 is `logit_kd` to the bit.
        space: "logit" adds noise to logits (paper); "prob" mixes the softmax of the noise into the student's with
            weight lambda below 1 (released code).
        scale: "std" draws with s, "var" with s^2 in its place.
        detach_stats: whether m and s carry no gradient, so that the optimizer cannot lower the penalty through them.
        mode: as in `logit_kd`.

    Returns:
        A scalar.

    Raises:
        UserError: shapes do not fit, or an option is out of range.
    """
    if not 0 <= noise_weight < (1 if space == "prob" else math.inf):
        raise UserError(f"noise of weight {noise_weight}", where="noise_weight", hint="use a share such as 0.1")
    if space not in ("logit", "prob") or scale not in ("std", "var"):
        raise UserError(f"no noise in {space!r} of {scale!r}", where="space and scale", hint="logit, prob; std, var")
    if not noise_weight:
        return logit_kd(student, teacher, tau=tau, mode=mode)
    compared, target = paired(student, teacher, tau, mode)
    classes = compared.shape[-1]
    mean = compared.mean(-1, keepdim=True)
    # A vector norm, whose gradient at constant logits is 0 and not NaN.
    deviation = torch.linalg.vector_norm(compared - mean, dim=-1, keepdim=True) / math.sqrt(max(classes - 1, 1))
    spread = deviation if scale == "std" else deviation.square()
    if detach_stats:
        mean, spread = mean.detach(), spread.detach()
    noise = mean + spread * torch.randn(compared.shape, generator=generator).to(compared)
    log_p = torch.log_softmax(target / tau, dim=-1).expand_as(compared)
    if space == "logit":
        log_q = torch.log_softmax((compared + noise_weight * noise) / tau, dim=-1)
    else:
        log_s = torch.log_softmax(compared / tau, dim=-1) + math.log1p(-noise_weight)
        log_q = torch.logaddexp(log_s, torch.log_softmax(noise / tau, dim=-1) + math.log(noise_weight))
    return tau**2 * kl(log_p, log_q).mean()


class NoisyLogitKd(DistillationLoss):
    """`noisy_logit_kd` on a stream; without noise in eval mode.

    Args:
        sizes: sizes of data and networks.
        tau: temperature.
        noise_weight: lambda, 0 or more.
        space: "logit" or "prob".
        scale: "std" or "var".
        detach_stats: whether mean and deviation of the noise carry no gradient.
        mode: "mean", "per_step" or "last".
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        tau: PositiveFloat = 2.0,
        noise_weight: NonNegativeFloat = 0.1,
        space: Space = "logit",
        scale: Scale = "std",
        detach_stats: bool = True,
        mode: KdMode = "mean",
    ) -> None:
        super().__init__(sizes)
        self.tau, self.noise_weight, self.detach_stats = tau, noise_weight, detach_stats
        self.space: Space = space
        self.scale: Scale = scale
        self.mode: KdMode = mode

    def forward(self, student: StudentLogits, teacher: TeacherLogits, step: StepInputs) -> Tensor:
        return noisy_logit_kd(
            student,
            teacher,
            generator=step.generator,
            tau=self.tau,
            noise_weight=self.noise_weight if self.training else 0.0,
            space=self.space,
            scale=self.scale,
            detach_stats=self.detach_stats,
            mode=self.mode,
        )
