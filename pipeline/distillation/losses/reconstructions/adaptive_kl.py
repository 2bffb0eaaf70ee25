"""Head-tail adaptive divergence: forward KL on the teacher's head classes, reverse KL on the tail.

HTA-KL style: a reconstruction on its parent method (arXiv 2404.02657); the SNN paper's own weighting was not recovered.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from spikeport.pipeline.distillation.losses.base import DistillationLoss, Options, StepInputs, Stream
from spikeport.pipeline.distillation.losses.logit_kd import KdMode, averaged, head_tail_kl, paired

EPS = 1e-8


def adaptive_kl(
    student: Tensor,
    teacher: Tensor,
    *,
    tau: float = 1.0,
    head_mass: float = 0.5,
    mode: KdMode = "per_step",
    sample_weight: Tensor | None = None,
) -> Tensor:
    """tau^2 mean [w KL(p || q) + (1 - w) KL(q || p)], a scalar, with w = g_h / (g_h + g_t + eps) and g the summed
    |p - q| over the head and the tail; w carries no gradient.

    Shapes and `mode` as in `logit_kd`. The head of a sample: the teacher's likeliest classes, fewest that hold
    `head_mass` of its probability.
    """
    compared, target = paired(student, teacher, tau, mode)
    log_q = torch.log_softmax(compared / tau, dim=-1)
    log_p = torch.log_softmax(target / tau, dim=-1).expand_as(log_q)
    loss = head_tail_kl(log_p, log_q, head_mass=head_mass, eps=EPS)
    return tau**2 * averaged(loss.mean(0), sample_weight)


class AdaptiveKl(DistillationLoss):
    """`adaptive_kl` on a stream."""

    class Settings(Options):
        tau: float = Field(1.0, gt=0)
        head_mass: float = Field(0.5, gt=0, le=1)
        mode: KdMode = "per_step"

    needs = frozenset({"teacher"})

    def forward(self, stream: Stream, step: StepInputs) -> Tensor:
        assert stream.teacher is not None
        return adaptive_kl(stream.logits, stream.teacher.logits, **self.settings.model_dump())
