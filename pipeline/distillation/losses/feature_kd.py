"""Feature distillation through a projector that is trained along and dropped afterwards."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import (
    WHERE,
    DistillationLoss,
    Sizes,
    Source,
    StepInputs,
    StudentEmbedding,
    TeacherEmbedding,
)
from spikeport.pipeline.distillation.losses.maps import same_places
from spikeport.pipeline.distillation.losses.precision import at_least_float32, full_precision

Features = Literal["maps", "embedding"]
Projector = Literal["identity", "affine", "conv1x1"]
Metric = Literal["mse", "cosine", "attention"]
ReduceTime = Literal["mean", "per_step"]
EPS = 1e-8


@full_precision
def feature_distance(student: Tensor, teacher: Tensor, metric: Metric = "mse") -> Tensor:
    """The distance of two sets of features.

    Args:
        student: `[N, C, ...]`.
        teacher: of the same shape (for "attention" with any C). It gets no gradient.
        metric: "mse" is the mean squared difference. "cosine" is the mean of 1 - cos over samples, features flattened,
            1 for silent samples. "attention" (Zagoruyko and Komodakis, ICLR 2017, arXiv 1612.03928) is the mean of
            |A_s - A_t|^2 over samples, with unit vectors A = sum_c F_c^2 over places, zero for silent samples.

    Returns:
        A scalar.

    Raises:
        UserError: shapes do not fit, or an axis is empty.
    """
    teacher, student = at_least_float32(teacher.detach()), at_least_float32(student)
    left_out = [1] if metric == "attention" else []  # its maps are sums over channels
    shapes = [[size for axis, size in enumerate(one.shape) if axis not in left_out] for one in (student, teacher)]
    if shapes[0] != shapes[1] or not student.numel() or not teacher.numel():
        raise UserError(f"features {tuple(student.shape)} and {tuple(teacher.shape)} do not fit")
    if metric == "mse":
        return (student - teacher).square().mean()
    if metric == "cosine":
        return (1 - (_unit(student.flatten(1)) * _unit(teacher.flatten(1))).sum(1)).mean()
    maps = [_unit(one.square().sum(1).flatten(1)) for one in (student, teacher)]
    return (maps[0] - maps[1]).square().sum(1).mean()


class FeatureKd(DistillationLoss):
    """`feature_distance` of the student's projected features and the teacher's.

    Options give the losses of FitNets (arXiv 1412.6550), SAKD (Neural Networks 2024), SpikeBERT (arXiv 2308.15122),
    LaSNN (arXiv 2304.09101) and BKDSNN (ECCV 2024, arXiv 2407.09083). Larger maps are averaged down to the smaller.

    Args:
        sizes: sizes of data and networks.
        features: the last "maps", or the "embedding" that enters the classifier.
        projector: "identity", "affine" (a dense layer; for maps a 1 x 1 convolution with bias), or "conv1x1" (for maps,
            without bias).
        reduce_time: "mean" compares the mean over time, "per_step" each step.
        metric: as in `feature_distance`.
        blur: share of channels that are zeroed in training and restored by conv3-ReLU-conv3 (BKDSNN), for maps.
        normalize_teacher: whether each channel of the teacher is scaled to mean 0 and deviation 1 over the batch.

    Raises:
        UserError: the networks lack these features, or the options contradict each other.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        features: Features = "embedding",
        projector: Projector = "affine",
        reduce_time: ReduceTime = "mean",
        metric: Metric = "mse",
        blur: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        normalize_teacher: bool = False,
    ) -> None:
        super().__init__(sizes)
        self.features, self.reduce_time = features, reduce_time
        self.metric: Metric = metric
        self.blur, self.normalize_teacher = blur, normalize_teacher
        if features == "maps":
            self.inputs = {**self.inputs, "student": Source("student", "maps"), "teacher": Source("teacher", "maps")}
        channels, wanted = _widths(features, sizes)
        self.projector: nn.Module = nn.Identity()
        if projector == "identity":
            if channels != wanted and metric != "attention":
                raise UserError(
                    f"student features of {channels} channels are compared with {wanted} of the teacher",
                    where=WHERE,
                    hint='set projector = "affine", or metric = "attention"',
                )
        elif features == "maps":
            self.projector = nn.Conv2d(channels, wanted, 1, bias=projector == "affine")
        elif projector == "conv1x1":
            raise UserError("an embedding has no places", where="projector", hint='use "affine"')
        else:
            self.projector = nn.Linear(channels, wanted)
        self.restore: nn.Module | None = None
        if blur:
            if features != "maps":
                raise UserError("blur needs maps", where="blur", hint='set features = "maps"')
            self.restore = nn.Sequential(
                nn.Conv2d(wanted, wanted, 3, padding=1), nn.ReLU(), nn.Conv2d(wanted, wanted, 3, padding=1)
            )

    def forward(self, student: StudentEmbedding, teacher: TeacherEmbedding, step: StepInputs) -> Tensor:
        student, teacher = student.float(), teacher.detach().float()
        student = student.mean(0, keepdim=True) if self.reduce_time == "mean" else student
        places = 3 if self.features == "maps" else 1  # axes of one sample
        if teacher.ndim == places + 2 and self.reduce_time == "mean":  # of a spiking teacher
            teacher = teacher.mean(0)
        steps = len(student)
        projected = self.projector(student.flatten(0, 1))
        if self.normalize_teacher:
            over = [axis for axis in range(teacher.ndim) if axis != teacher.ndim - places]
            spread = teacher.std(over, correction=0, keepdim=True).clamp(min=EPS)
            teacher = (teacher - teacher.mean(over, keepdim=True)) / spread
        if teacher.ndim == places + 1:
            teacher = teacher.expand(steps, *teacher.shape)
        teacher = teacher.flatten(0, 1)
        if self.features == "maps":
            projected, teacher = same_places(projected, teacher)
        if self.restore is not None:
            if self.training:
                mask = torch.rand(projected.shape[:2], generator=step.generator).to(projected) >= self.blur
                projected = projected * mask[:, :, None, None]
            projected = self.restore(projected)
        return feature_distance(projected, teacher, self.metric)


def _widths(features: Features, sizes: Sizes) -> tuple[int, int]:
    """Channels of student and teacher."""
    if features == "embedding":
        student, teacher = sizes.student_embedding, sizes.teacher_embedding
    else:
        student, teacher = (None if shape is None else shape[0] for shape in (sizes.student_map, sizes.teacher_map))
    if student is None or teacher is None:
        raise UserError(
            f"the loss 'feature_kd' compares {features}, and one of the networks has none",
            where=WHERE,
            hint="set its features to maps or embedding, or use other networks",
        )
    return student, teacher


def _unit(rows: Tensor) -> Tensor:
    """Rows of length 1; silent ones stay zero, with a gradient of zero."""
    return rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp(min=EPS)
