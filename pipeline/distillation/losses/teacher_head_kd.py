"""Knowledge distillation through the teacher's frozen classifier."""

from __future__ import annotations

from pydantic import PositiveFloat
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import (
    WHERE,
    DistillationLoss,
    Sizes,
    StudentEmbedding,
    TeacherHead,
    TeacherLogits,
)
from spikeport.pipeline.distillation.losses.logit_kd import KdMode, logit_kd


class TeacherHeadKd(DistillationLoss):
    """`logit_kd` of teacher_head(adapter(student's embedding)) (LAF of EnOF, NeurIPS 2024).

    The adapter is affine. It is there where the widths of the embeddings differ, or always on demand; it is trained
    along with the student.

    Args:
        sizes: sizes of data and networks.
        tau: temperature.
        mode: "mean" averages the embedding over time; "per_step" and "last" as in `logit_kd`.
        always_adapt: whether there is an adapter between equal widths too.

    Raises:
        UserError: one of the networks has no known embedding.
    """

    def __init__(
        self, sizes: Sizes, *, tau: PositiveFloat = 2.0, mode: KdMode = "mean", always_adapt: bool = False
    ) -> None:
        super().__init__(sizes)
        self.tau = tau
        self.mode: KdMode = mode
        inner, outer = sizes.student_embedding, sizes.teacher_embedding
        if inner is None or outer is None:
            raise UserError(
                "the loss 'teacher_head_kd' needs the embeddings of both networks, and one of them has none",
                where=WHERE,
                hint="use another teacher network, or remove the loss",
            )
        adapt = always_adapt or inner != outer
        self.adapter: nn.Module = nn.Linear(inner, outer) if adapt else nn.Identity()

    def forward(self, embedding: StudentEmbedding, head: TeacherHead, teacher: TeacherLogits) -> Tensor:
        embedding = embedding.float()
        if self.mode == "mean":
            embedding = embedding.mean(0, keepdim=True)
            teacher = teacher.mean(0) if teacher.ndim == 3 else teacher
        return logit_kd(head(self.adapter(embedding)), teacher, tau=self.tau, mode=self.mode)
