"""The teacher's frozen classifier on the student's features (LAF of EnOF, NeurIPS 2024)."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import DistillationLoss, Options, Sizes, StepInputs, Stream
from spikeport.pipeline.distillation.losses.logit_kd import KdMode, logit_kd


class TeacherHeadKd(DistillationLoss):
    """`logit_kd` on teacher_head(adapter(what the student's head sees)), averaged over time ("mean") or step by step.

    The adapter is affine and there where widths differ, or always; it is trained along and dropped later.
    """

    class Settings(Options):
        tau: float = Field(2.0, gt=0)
        mode: KdMode = "mean"
        always_adapt: bool = False

    needs = frozenset({"embedding", "teacher", "teacher.head"})

    def __init__(self, settings: Any, sizes: Sizes) -> None:
        super().__init__(settings, sizes)
        own, said = sizes.student_embedding, sizes.teacher_embedding
        if own is None or said is None:
            raise UserError(
                "the loss 'teacher_head_kd' needs what both heads see, which one of the networks has not",
                where="distillation.losses",
                hint="take another teacher network, or leave the term out",
            )
        adapt = settings.always_adapt or own != said
        self.adapter: nn.Module = nn.Linear(own, said) if adapt else nn.Identity()

    def forward(self, stream: Stream, step: StepInputs) -> Tensor:
        said = stream.teacher
        assert said is not None
        assert said.head is not None
        assert stream.embedding is not None
        embedding = stream.embedding.float()
        if self.settings.mode == "mean":
            embedding = embedding.mean(0, keepdim=True)
        wanted = said.logits.mean(0) if said.logits.ndim == 3 and self.settings.mode == "mean" else said.logits
        return logit_kd(said.head(self.adapter(embedding)), wanted, tau=self.settings.tau, mode=self.settings.mode)
