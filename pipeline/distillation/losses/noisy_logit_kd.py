"""Noise-smoothed logits (NLD of CKDSNN; Liu et al., AAAI 2026, arXiv 2511.06902).

What it does, to second order: logit distillation plus (lambda std)^2 / 2 (1 - |q|^2), a small penalty on the spread of
the student's logits.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import DistillationLoss, Options, StepInputs, Stream
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
    """`logit_kd` against noisy student logits, a scalar.

    Noise is N(m, s^2) by class, m and s the mean and standard deviation (divisor K - 1) of each row of logits; `scale`
    "var" draws with s^2 in place of s. `space` "logit" (paper) adds `noise_weight` times it; "prob" (released code)
    mixes the two softmaxes, the noise's with weight `noise_weight`. With `detach_stats` the optimizer cannot lower the
    penalty through m and s. `noise_weight` 0 is `logit_kd` to the bit. Draws come from `generator` (on the CPU).
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
    # The root of a sum of squares, whose gradient at constant logits is 0 and not NaN.
    deviation = torch.linalg.vector_norm(compared - mean, dim=-1, keepdim=True) / math.sqrt(max(classes - 1, 1))
    spread = deviation if scale == "std" else deviation.square()
    if detach_stats:
        mean, spread = mean.detach(), spread.detach()
    noise = mean + spread * torch.randn(compared.shape, generator=generator).to(compared)
    log_p = torch.log_softmax(target / tau, dim=-1).expand_as(compared)
    if space == "logit":
        log_q = torch.log_softmax((compared + noise_weight * noise) / tau, dim=-1)
    else:
        own = torch.log_softmax(compared / tau, dim=-1) + math.log1p(-noise_weight)
        log_q = torch.logaddexp(own, torch.log_softmax(noise / tau, dim=-1) + math.log(noise_weight))
    return tau**2 * kl(log_p, log_q).mean()


class NoisyLogitKd(DistillationLoss):
    """`noisy_logit_kd` on a stream; in eval mode without the noise."""

    class Settings(Options):
        tau: float = Field(2.0, gt=0)
        noise_weight: float = Field(0.1, ge=0)
        space: Space = "logit"
        scale: Scale = "std"
        detach_stats: bool = True
        mode: KdMode = "mean"

    needs = frozenset({"teacher"})

    def forward(self, stream: Stream, step: StepInputs) -> Tensor:
        assert stream.teacher is not None
        options = self.settings.model_dump()
        if not self.training:
            options["noise_weight"] = 0.0
        return noisy_logit_kd(stream.logits, stream.teacher.logits, generator=step.generator, **options)
