"""Relational distillation: similarities of the samples of a batch.

A reconstruction of SuperSNN (IJCNN 2024), whose exact form was not recovered.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import DistillationLoss, Sizes, StudentEmbedding, TeacherEmbedding
from spikeport.pipeline.distillation.losses.precision import at_least_float32, full_precision

EPS = 1e-8
Kind = Literal["cosine", "gram"]


@full_precision
def relation_kd(student: Tensor, teacher: Tensor, *, kind: Kind = "cosine") -> Tensor:
    """mean_ij (G_s - G_t)_ij^2 of the samples' similarities.

    One sample alone has similarity 1 with itself: the loss is 0, or 1 where the student is silent.

    Args:
        student: rows x `[B, D]`.
        teacher: rows `[B, D']` of any width. It gets no gradient.
        kind: "cosine" is G_ij = x_i x_j / (|x_i| |x_j|), zero for silent rows; "gram" is x_i x_j divided by the
            Frobenius norm of the matrix.

    Returns:
        A scalar.

    Raises:
        UserError: the rows are not of one batch.
    """
    if student.shape[:1] != teacher.shape[:1] or not student.numel() or not teacher.numel():
        raise UserError(f"features {tuple(student.shape)} and {tuple(teacher.shape)} are not of one batch")
    student = at_least_float32(student)
    matrices = [_similar(rows.flatten(1), kind) for rows in (student, teacher.detach().to(student.dtype))]
    return (matrices[0] - matrices[1]).square().mean()


class RelationKd(DistillationLoss):
    """`relation_kd` of the embeddings, averaged over time.

    Args:
        sizes: sizes of data and networks.
        kind: "cosine" or "gram".
    """

    def __init__(self, sizes: Sizes, *, kind: Kind = "cosine") -> None:
        super().__init__(sizes)
        self.kind: Kind = kind

    def forward(self, student: StudentEmbedding, teacher: TeacherEmbedding) -> Tensor:
        return relation_kd(student.mean(0), teacher.mean(0) if teacher.ndim == 3 else teacher, kind=self.kind)


def _similar(rows: Tensor, kind: Kind) -> Tensor:
    if kind == "cosine":
        rows = rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp(min=EPS)
        return rows @ rows.mT
    gram = rows @ rows.mT
    return gram / torch.linalg.vector_norm(gram).clamp(min=EPS)
