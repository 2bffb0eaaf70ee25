"""Which samples are alike: similarity matrices of a batch against the teacher's (a reconstruction of SuperSNN, IJCNN
2024, whose exact form was not recovered).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import DistillationLoss, Options, StepInputs, Stream
from spikeport.pipeline.distillation.losses.precision import full_precision

EPS = 1e-8
Kind = Literal["cosine", "gram"]


@full_precision
def relation_kd(own: Tensor, said: Tensor, *, kind: Kind = "cosine") -> Tensor:
    """mean_ij (G_s - G_t)^2 of the samples' similarities, a scalar; rows `[B, D]` and `[B, D']` of any widths.

    "cosine": G_ij = x_i x_j / (|x_i| |x_j|), zero for silent rows. "gram": products divided by the matrix's Frobenius
    norm. One sample alone is like itself: 0, or 1 where the student is silent. No gradient reaches the teacher.
    """
    if own.shape[:1] != said.shape[:1] or not own.numel() or not said.numel():
        raise UserError(f"features {tuple(own.shape)} and {tuple(said.shape)} are not of one batch")
    wide = torch.float64 if own.dtype == torch.float64 else torch.float32
    matrices = [_similar(rows.flatten(1).to(wide), kind) for rows in (own, said.detach())]
    return (matrices[0] - matrices[1]).square().mean()


class RelationKd(DistillationLoss):
    """`relation_kd` between what the heads of student (averaged over time) and teacher see."""

    class Settings(Options):
        kind: Kind = "cosine"

    needs = frozenset({"embedding", "teacher", "teacher.embedding"})

    def forward(self, stream: Stream, step: StepInputs) -> Tensor:
        said = None if stream.teacher is None else stream.teacher.embedding
        assert said is not None
        assert stream.embedding is not None
        return relation_kd(stream.embedding.mean(0), said.mean(0) if said.ndim == 3 else said, kind=self.settings.kind)


def _similar(rows: Tensor, kind: Kind) -> Tensor:
    if kind == "cosine":
        rows = rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp(min=EPS)
        return rows @ rows.mT
    gram = rows @ rows.mT
    return gram / torch.linalg.vector_norm(gram).clamp(min=EPS)
