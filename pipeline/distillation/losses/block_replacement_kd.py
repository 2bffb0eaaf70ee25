"""Knowledge distillation through the teacher's frozen blocks behind each stage of the student."""

from __future__ import annotations

import torch
from pydantic import PositiveFloat
from torch import Tensor, nn
from torch.nn import functional

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import (
    WHERE,
    DistillationLoss,
    Labels,
    Sizes,
    StudentStages,
    TeacherLogits,
    TeacherTail,
)
from spikeport.pipeline.distillation.losses.logit_kd import logit_kd
from spikeport.pipeline.distillation.losses.stages import StageAdapter, pair_stages
from spikeport.pipeline.run.sections.fields import NotNegative


class BlockReplacementKd(DistillationLoss):
    """Cross entropy and `logit_kd` of hybrid networks: first stages of the student, last stages of the teacher.

    Hybrid block-wise replacement (CVPR 2025, arXiv 2503.16572): the firing rates behind a stage of the student pass the
    teacher's stages behind the paired one, which are frozen. A gradient reaches the student's stages in front.
    `teacher_head_kd` is the last of these hybrids.

    Args:
        sizes: sizes of data and networks.
        tau: temperature.
        ce_weight: weight of the cross entropy of a hybrid's logits with the labels, beside 1 for the teacher's logits.
        always_adapt: whether a trained 1 x 1 convolution stands between equal numbers of channels too.

    Raises:
        UserError: the student has no maps, or the teacher's stages are not known.
    """

    def __init__(
        self, sizes: Sizes, *, tau: PositiveFloat = 2.0, ce_weight: NotNegative = 1.0, always_adapt: bool = True
    ) -> None:
        super().__init__(sizes)
        self.tau, self.ce_weight = tau, ce_weight
        inner, outer = sizes.student_stages, sizes.teacher_stages
        if inner is None:
            raise UserError(
                "the loss 'block_replacement_kd' needs stages of the student, and its layers have no places",
                where=WHERE,
                hint="use a student network with convolutions, or remove the loss",
            )
        if outer is None or sizes.teacher_tail is None:
            raise UserError(
                "the loss 'block_replacement_kd' needs the teacher's stages, and this teacher does not show them",
                where=WHERE,
                hint="use a named network such as cnn-small or resnet18, or a factory of a CnnTeacher with stages",
            )
        self.pairs = pair_stages(len(inner), len(outer))
        self.adapters = nn.ModuleList(
            StageAdapter(inner[ours], outer[theirs], always=always_adapt) for ours, theirs in self.pairs
        )

    def forward(self, student: StudentStages, tail: TeacherTail, teacher: TeacherLogits, labels: Labels) -> Tensor:
        teacher = teacher.mean(0) if teacher.ndim == 3 else teacher  # of a teacher of events
        parts = []
        for adapter, (ours, theirs) in zip(self.adapters, self.pairs, strict=True):
            logits = tail(theirs, adapter(student[ours].float().mean(0)))
            cross_entropy = functional.cross_entropy(logits, labels)
            parts.append(logit_kd(logits, teacher, tau=self.tau, mode="mean") + self.ce_weight * cross_entropy)
        return torch.stack(parts).mean()
