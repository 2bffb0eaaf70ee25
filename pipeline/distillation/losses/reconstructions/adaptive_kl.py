"""Head-tail adaptive divergence (HTA-KL): forward KL weighted against reverse KL.

A reconstruction on its parent method (arXiv 2404.02657): the weighting of the SNN paper was not recovered.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, PositiveFloat
from torch import Tensor

from spikeport.pipeline.distillation.losses.base import DistillationLoss, Sizes, StudentLogits, TeacherLogits
from spikeport.pipeline.distillation.losses.logit_kd import KdMode, averaged, head_tail_kl, paired


def adaptive_kl(
    student: Tensor,
    teacher: Tensor,
    *,
    tau: float = 1.0,
    head_mass: float = 0.5,
    mode: KdMode = "per_step",
    sample_weight: Tensor | None = None,
) -> Tensor:
    """tau^2 mean_tb `head_tail_kl`(softmax(teacher / tau), softmax(student / tau)).

    Args:
        student: logits `[T, B, K]` or `[B, K]`.
        teacher: logits `[B, K]` or `[T, B, K]`. It gets no gradient.
        tau: temperature.
        head_mass: probability that the teacher's head classes hold.
        mode: as in `logit_kd`.
        sample_weight: as in `logit_kd`.

    Returns:
        A scalar.
    """
    compared, target = paired(student, teacher, tau, mode)
    log_q = torch.log_softmax(compared / tau, dim=-1)
    log_p = torch.log_softmax(target / tau, dim=-1).expand_as(log_q)
    loss = head_tail_kl(log_p, log_q, head_mass=head_mass)
    return tau**2 * averaged(loss.mean(0), sample_weight)


class AdaptiveKl(DistillationLoss):
    """`adaptive_kl` on a stream.

    Args:
        sizes: sizes of data and networks.
        tau: temperature.
        head_mass: probability that the head holds.
        mode: "mean", "per_step" or "last".
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        tau: PositiveFloat = 1.0,
        head_mass: Annotated[float, Field(gt=0, le=1)] = 0.5,
        mode: KdMode = "per_step",
    ) -> None:
        super().__init__(sizes)
        self.tau, self.head_mass = tau, head_mass
        self.mode: KdMode = mode

    def forward(self, student: StudentLogits, teacher: TeacherLogits) -> Tensor:
        return adaptive_kl(student, teacher, tau=self.tau, head_mass=self.head_mass, mode=self.mode)
