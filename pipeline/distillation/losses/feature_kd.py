"""Feature distillation with a projector that is dropped afterwards (SAKD, SpikeBERT, LaSNN, BKDSNN, affine projector).

The projector belongs to the term, so it is trained along with the student.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import DistillationLoss, Options, Sizes, StepInputs, Stream
from spikeport.pipeline.distillation.losses.precision import full_precision, wide

Metric = Literal["mse", "cosine", "attention"]
Over = Literal["mean", "per_step"]
EPS = 1e-8


@full_precision
def feature_distance(own: Tensor, said: Tensor, metric: Metric = "mse") -> Tensor:
    """How far features `[N, C, ...]` are from the detached `said` of the same shape (for "attention" any C), a scalar.

    "mse": mean squared difference. "cosine": mean of 1 - cos of each sample's flattened features, 1 for silent ones.
    "attention": mean |A - A'|^2 of the unit vectors A = sum_c F^2 over places, zero for silent ones.
    """
    said, own = wide(said.detach()), wide(own)
    at = [1] if metric == "attention" else []  # its maps are summed over channels, however many
    shapes = [[size for axis, size in enumerate(one.shape) if axis not in at] for one in (own, said)]
    if shapes[0] != shapes[1] or not own.numel() or not said.numel():
        raise UserError(f"features {tuple(own.shape)} and {tuple(said.shape)} do not fit")
    if metric == "mse":
        return (own - said).square().mean()
    if metric == "cosine":
        return (1 - (_unit(own.flatten(1)) * _unit(said.flatten(1))).sum(1)).mean()
    maps = [_unit(one.square().sum(1).flatten(1)) for one in (own, said)]
    return (maps[0] - maps[1]).square().sum(1).mean()


class FeatureKd(DistillationLoss):
    """Student's last maps (or what its head sees) against the teacher's, through a projector.

    `features` "maps" or "embedding". `projector`: "identity", "conv1x1" (maps) or "affine" (any; on maps a 1x1
    convolution with bias). Places are averaged down to the smaller map. `reduce_time`: the mean over time, or each
    step. `blur`: a share of channels zeroed in training and restored by conv3-ReLU-conv3 before the comparison
    (BKDSNN). `normalize_teacher`: each teacher channel to mean 0, deviation 1 over the batch.
    """

    class Settings(Options):
        features: Literal["maps", "embedding"] = "embedding"
        projector: Literal["identity", "affine", "conv1x1"] = "affine"
        reduce_time: Over = "mean"
        metric: Metric = "mse"
        blur: float = Field(0.0, ge=0, lt=1)
        normalize_teacher: bool = False

    needs = frozenset({"teacher"})

    def __init__(self, settings: Settings, sizes: Sizes) -> None:
        super().__init__(settings, sizes)
        kind = settings.features
        self.needs = frozenset({kind, "teacher", f"teacher.{kind}"})  # type: ignore[misc]  # by instance here
        own, said = _widths(settings, sizes)
        self.projector: nn.Module = nn.Identity()
        if settings.projector == "identity":
            if own != said and settings.metric != "attention":
                raise UserError(
                    f"student features of {own} channels are compared with {said} of the teacher",
                    where="distillation.losses",
                    hint='set projector = "affine", or metric = "attention"',
                )
        elif kind == "maps":
            self.projector = nn.Conv2d(own, said, 1, bias=settings.projector == "affine")
        elif settings.projector == "conv1x1":
            raise UserError("an embedding has no places", where="projector", hint='use "affine"')
        else:
            self.projector = nn.Linear(own, said)
        self.restore: nn.Module | None = None
        if settings.blur:
            if kind != "maps":
                raise UserError("blur needs maps", where="blur", hint='set features = "maps"')
            self.restore = nn.Sequential(
                nn.Conv2d(said, said, 3, padding=1), nn.ReLU(), nn.Conv2d(said, said, 3, padding=1)
            )

    def forward(self, stream: Stream, step: StepInputs) -> Tensor:
        settings = self.settings
        own, said = getattr(stream, settings.features), getattr(stream.teacher, settings.features)
        own, said = own.float(), said.detach().float()
        own = own.mean(0, keepdim=True) if settings.reduce_time == "mean" else own
        timed = said.ndim == (5 if settings.features == "maps" else 3)
        said = said.mean(0) if timed and settings.reduce_time == "mean" else said
        steps = len(own)
        flat = self.projector(own.flatten(0, 1))
        if settings.normalize_teacher:
            over = [axis for axis in range(said.ndim) if axis != said.ndim - (3 if settings.features == "maps" else 1)]
            said = (said - said.mean(over, keepdim=True)) / said.std(over, correction=0, keepdim=True).clamp(min=EPS)
        if said.ndim == (4 if settings.features == "maps" else 2):
            said = said.expand(steps, *said.shape)
        said = said.flatten(0, 1)
        if settings.features == "maps":
            flat, said = _same_places(flat, said)
        if self.restore is not None:
            if self.training:
                kept = torch.rand(flat.shape[:2], generator=step.generator).to(flat) >= settings.blur
                flat = flat * kept[:, :, None, None]
            flat = self.restore(flat)
        return feature_distance(flat, said, settings.metric)


def _widths(settings: FeatureKd.Settings, sizes: Sizes) -> tuple[int, int]:
    if settings.features == "embedding":
        own, said = sizes.student_embedding, sizes.teacher_embedding
    else:
        own, said = (None if shape is None else shape[0] for shape in (sizes.student_map, sizes.teacher_map))
    if own is None or said is None:
        raise UserError(
            f"the loss 'feature_kd' compares {settings.features}, which one of the networks has not",
            where="distillation.losses",
            hint="set its features to maps or embedding, or take other networks",
        )
    return own, said


def _same_places(own: Tensor, said: Tensor) -> tuple[Tensor, Tensor]:
    size = (min(own.shape[2], said.shape[2]), min(own.shape[3], said.shape[3]))
    return functional.adaptive_avg_pool2d(own, size), functional.adaptive_avg_pool2d(said, size)


def _unit(rows: Tensor) -> Tensor:
    """Rows of length 1; silent ones stay zero, with a gradient of zero."""
    return rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp(min=EPS)
