"""Distillation between all pairs of stages, weighted by a learned attention for each sample and step (SASTC)."""

from __future__ import annotations

from itertools import product

import torch
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.nn import functional

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import WHERE, DistillationLoss, Sizes, StudentStages, TeacherStages
from spikeport.pipeline.distillation.losses.maps import common_size
from spikeport.values import ImageShape

WIDTH_FACTOR = 4  # a query or key has a quarter of the numbers of a similarity row


def similarity_rows(features: Tensor, width: int) -> Tensor:
    """How similar each sample is to those of its batch, as a profile of fixed width.

    Rows of X X^T / D are sorted, largest first, and averaged down (or repeated up) to `width` numbers. So the size of
    the batch and the order of its samples do not matter.

    Args:
        features: `[T, B, ...]`, X of each step flattened to `[B, D]`.
        width: numbers in a profile.

    Returns:
        `[T, B, width]`.
    """
    flat = features.flatten(2)
    rows = (flat @ flat.mT / flat.shape[2]).sort(dim=-1, descending=True).values
    return functional.adaptive_avg_pool1d(rows, width)


class StageAttentionKd(DistillationLoss):
    """mean_tbi sum_j a_tbij MSE(reg_ij(s_i), t_j) over stages i of the student and j of the teacher, of sample b.

    a_tbij = softmax_j(q_tbi . k_bj), where queries q and keys k are unit vectors that a small network for each stage
    computes of its `similarity_rows`. reg_ij is a 3 x 3 convolution to twice the teacher's channels, group norm, ReLU
    and a 1 x 1 convolution. The student's larger maps are max-pooled, the teacher's averaged, to the smaller size. All
    networks are trained along.

    Args:
        sizes: sizes of data and networks.
        width: numbers that a similarity row is averaged to.

    Raises:
        UserError: one of the networks has fewer than two stages, or does not show them.
    """

    def __init__(self, sizes: Sizes, *, width: PositiveInt = 64) -> None:
        super().__init__(sizes)
        self.width = width
        student, teacher = _several(sizes.student_stages, "student"), _several(sizes.teacher_stages, "teacher")
        self.queries = nn.ModuleList(_embedding(width) for _ in student)
        self.keys = nn.ModuleList(_embedding(width) for _ in teacher)
        self.regressors = nn.ModuleList(_regressor(ours[0], theirs[0]) for ours, theirs in product(student, teacher))

    def forward(self, student: StudentStages, teacher: TeacherStages) -> Tensor:
        ours = [stage.float() for stage in student]
        theirs = [stage.detach().float() for stage in teacher]
        theirs = [stage if stage.ndim == 5 else stage[None] for stage in theirs]
        queries, keys = self._embedded(self.queries, ours), self._embedded(self.keys, theirs)
        attention = torch.softmax(queries @ keys.mT, dim=-1)
        pairs = zip(product(ours, theirs), self.regressors, strict=True)
        distances = torch.stack([_distance(*pair, regressor) for pair, regressor in pairs], dim=-1)
        return (attention * distances.view_as(attention)).sum(-1).mean()

    def _embedded(self, networks: nn.ModuleList, stages: list[Tensor]) -> Tensor:
        """Unit vectors `[T, B, stages, E]`."""
        found = [net(similarity_rows(one, self.width)) for net, one in zip(networks, stages, strict=True)]
        return functional.normalize(torch.stack(found, dim=2), dim=-1)


def _distance(student: Tensor, teacher: Tensor, regressor: nn.Module) -> Tensor:
    """The mean squared difference of each sample `[T, B]`; the teacher's T may be 1."""
    size = common_size(student.shape, teacher.shape)
    ours = regressor(functional.adaptive_max_pool2d(student.flatten(0, 1), size)).unflatten(0, student.shape[:2])
    theirs = functional.adaptive_avg_pool2d(teacher.flatten(0, 1), size).unflatten(0, teacher.shape[:2])
    return (ours - theirs).square().mean((2, 3, 4))


def _embedding(width: int) -> nn.Module:
    inner = max(1, width // WIDTH_FACTOR)
    return nn.Sequential(nn.Linear(width, 2 * inner), nn.ReLU(), nn.Linear(2 * inner, inner))


def _regressor(channels: int, wanted: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 2 * wanted, 3, padding=1, bias=False),
        nn.GroupNorm(1, 2 * wanted),
        nn.ReLU(),
        nn.Conv2d(2 * wanted, wanted, 1, bias=False),
    )


def _several(stages: tuple[ImageShape, ...] | None, owner: str) -> tuple[ImageShape, ...]:
    found = stages or ()
    if len(found) < 2:
        count = "one" if found else "none"
        raise UserError(
            f"the loss 'stage_attention_kd' pairs several stages of the {owner}, and this {owner} shows {count}",
            where=WHERE,
            hint=f"use a {owner} whose convolutions have maps of several sizes, or remove the loss",
        )
    return found
