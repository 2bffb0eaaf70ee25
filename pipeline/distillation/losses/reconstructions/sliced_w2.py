"""Features as sets of points: sliced squared Wasserstein distance, in place of a Sinkhorn loop (KDSNN for online action
detection, TII 2025).
"""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import DistillationLoss, Options, Sizes, StepInputs, Stream
from spikeport.pipeline.distillation.losses.precision import full_precision


@full_precision
def sliced_w2(own: Tensor, said: Tensor, *, directions: int = 32, generator: torch.Generator) -> Tensor:
    """Mean over samples, random unit directions and ranks of the squared difference of sorted projections, a scalar.

    `own` `[B, P, D]`, `said` `[B, P', D]`: P points of D numbers a sample; sets of different size meet at interpolated
    quantiles. The order of points means nothing. No gradient reaches `said`. Draws come from `generator` (on the CPU).
    """
    if (
        own.ndim != 3
        or said.ndim != 3
        or own.shape[0] != said.shape[0]
        or own.shape[2] != said.shape[2]
        or not own.numel() * said.numel()
    ):
        raise UserError(f"point sets {tuple(own.shape)} and {tuple(said.shape)} do not fit [B, P, D]")
    wide = torch.float64 if own.dtype == torch.float64 else torch.float32
    axes = torch.randn(own.shape[2], directions, generator=generator, dtype=wide).to(own.device)
    axes = axes / torch.linalg.vector_norm(axes, dim=0)
    sets = [(points.to(wide) @ axes).sort(dim=1).values for points in (own, said.detach())]
    count = max(one.shape[1] for one in sets)
    ranked = [_quantiles(one, count) for one in sets]
    return (ranked[0] - ranked[1]).square().mean()


class SlicedW2(DistillationLoss):
    """`sliced_w2` between the places of student's (averaged over time) and teacher's last maps; a 1x1 convolution,
    trained along, brings the student's channels to the teacher's where they differ."""

    class Settings(Options):
        directions: int = Field(32, ge=1)

    needs = frozenset({"maps", "teacher", "teacher.maps"})

    def __init__(self, settings: Any, sizes: Sizes) -> None:
        super().__init__(settings, sizes)
        if sizes.student_map is None or sizes.teacher_map is None:
            raise UserError(
                "the loss 'sliced_w2' compares maps, which one of the networks has not",
                where="distillation.losses",
                hint="take other networks, or leave the term out",
            )
        own, said = sizes.student_map[0], sizes.teacher_map[0]
        self.adapter: nn.Module = nn.Identity() if own == said else nn.Conv2d(own, said, 1)

    def forward(self, stream: Stream, step: StepInputs) -> Tensor:
        said = None if stream.teacher is None else stream.teacher.maps
        assert said is not None
        assert stream.maps is not None
        own = self.adapter(stream.maps.float().mean(0))
        said = said.mean(0) if said.ndim == 5 else said
        points = [one.flatten(2).mT for one in (own, said.float())]
        return sliced_w2(*points, directions=self.settings.directions, generator=step.generator)


def _quantiles(ranked: Tensor, count: int) -> Tensor:
    """Sorted values `[B, P, L]` at `count` even ranks."""
    if ranked.shape[1] == count:
        return ranked
    return functional.interpolate(ranked.mT, count, mode="linear", align_corners=True).mT
