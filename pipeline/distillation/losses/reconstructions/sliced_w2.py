"""Feature maps as sets of points, compared by the sliced Wasserstein distance.

A reconstruction of KDSNN for online action detection (TII 2025), with this distance in place of a Sinkhorn loop.
"""

from __future__ import annotations

import torch
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.nn import functional

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import (
    DistillationLoss,
    Sizes,
    StepInputs,
    StudentMaps,
    TeacherMaps,
)
from spikeport.pipeline.distillation.losses.maps import both_maps
from spikeport.pipeline.distillation.losses.precision import at_least_float32, full_precision


@full_precision
def sliced_w2(student: Tensor, teacher: Tensor, *, directions: int = 32, generator: torch.Generator) -> Tensor:
    """Sliced squared 2-Wasserstein distance (Bonneel et al., JMIV 2015), averaged over samples.

    Points are projected on random unit directions and sorted; the loss is the mean squared difference over directions
    and ranks. Sets of different size meet at interpolated quantiles. The order of points has no effect.

    Args:
        student: `[B, P, D]`: P points of D numbers a sample.
        teacher: `[B, P', D]`. It gets no gradient.
        directions: number of projections.
        generator: source of the directions, on the CPU.

    Returns:
        A scalar.

    Raises:
        UserError: shapes do not fit, or an axis is empty.
    """
    if (
        student.ndim != 3
        or teacher.ndim != 3
        or student.shape[0] != teacher.shape[0]
        or student.shape[2] != teacher.shape[2]
        or not student.numel() * teacher.numel()
    ):
        raise UserError(f"point sets {tuple(student.shape)} and {tuple(teacher.shape)} do not fit [B, P, D]")
    student = at_least_float32(student)
    axes = torch.randn(student.shape[2], directions, generator=generator, dtype=student.dtype).to(student.device)
    axes = axes / torch.linalg.vector_norm(axes, dim=0)
    sets = [(points @ axes).sort(dim=1).values for points in (student, teacher.detach().to(student.dtype))]
    count = max(one.shape[1] for one in sets)
    ranked = [_quantiles(one, count) for one in sets]
    return (ranked[0] - ranked[1]).square().mean()


class SlicedW2(DistillationLoss):
    """`sliced_w2` between the places of the last maps of student (averaged over time) and teacher.

    Where the channels differ, a 1 x 1 convolution, trained along, maps the student's to the teacher's.

    Args:
        sizes: sizes of data and networks.
        directions: number of projections.

    Raises:
        UserError: one of the networks has no maps.
    """

    def __init__(self, sizes: Sizes, *, directions: PositiveInt = 32) -> None:
        super().__init__(sizes)
        self.directions = directions
        (channels, *_), (wanted, *_) = both_maps(sizes, "sliced_w2")
        self.adapter: nn.Module = nn.Identity() if channels == wanted else nn.Conv2d(channels, wanted, 1)

    def forward(self, student: StudentMaps, teacher: TeacherMaps, step: StepInputs) -> Tensor:
        adapted = self.adapter(student.float().mean(0))
        teacher = teacher.mean(0) if teacher.ndim == 5 else teacher
        points = [maps.flatten(2).mT for maps in (adapted, teacher.float())]
        return sliced_w2(*points, directions=self.directions, generator=step.generator)


def _quantiles(ranked: Tensor, count: int) -> Tensor:
    """Sorted values `[B, P, L]` at `count` even ranks."""
    if ranked.shape[1] == count:
        return ranked
    return functional.interpolate(ranked.mT, count, mode="linear", align_corners=True).mT
