"""Distillation of maps through a learnable spectral filter (feature part of BSD, AAAI 2026).

A reconstruction: no formula of the paper was recovered.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import DistillationLoss, Sizes, StudentMaps, TeacherMaps
from spikeport.pipeline.distillation.losses.feature_kd import ReduceTime
from spikeport.pipeline.distillation.losses.maps import both_maps, common_size, same_places
from spikeport.pipeline.distillation.losses.precision import at_least_float32, full_precision
from spikeport.pipeline.distillation.losses.reconstructions.spectral_logit import dct_basis


@full_precision
def spectral_residual(student: Tensor, teacher: Tensor, gains: Tensor) -> Tensor:
    """mean (g F(x_s) - F(x_t))^2, with the orthonormal DCT-II F over height and width of each channel.

    With all gains 1 this is the mean squared difference of the maps themselves (Parseval).

    Args:
        student: maps x_s `[N, C, H, W]`.
        teacher: maps x_t of the same shape. It gets no gradient.
        gains: g `[H, W]`, one for each frequency; row 0, column 0 is the mean.

    Returns:
        A scalar.

    Raises:
        UserError: shapes do not fit, or an axis is empty.
    """
    if student.shape != teacher.shape or student.shape[2:] != gains.shape or not student.numel():
        raise UserError(
            f"maps {tuple(student.shape)}, {tuple(teacher.shape)} and gains {tuple(gains.shape)} do not fit"
        )
    student = at_least_float32(student)
    rows, columns = (dct_basis(size).to(student) for size in gains.shape)
    spectra = [rows @ maps @ columns.mT for maps in (student, teacher.detach().to(student))]
    return (gains * spectra[0] - spectra[1]).square().mean()


class SpectralResidual(DistillationLoss):
    """`spectral_residual` of the last maps; the student's pass a 1 x 1 convolution first.

    The gains are 1 + r with a trained r, 0 at first. Larger maps are averaged down to the smaller.

    Args:
        sizes: sizes of data and networks.
        reduce_time: "mean" compares the mean over time, "per_step" each step.

    Raises:
        UserError: one of the networks has no maps.
    """

    def __init__(self, sizes: Sizes, *, reduce_time: ReduceTime = "mean") -> None:
        super().__init__(sizes)
        self.reduce_time: ReduceTime = reduce_time
        student, teacher = both_maps(sizes, "spectral_residual")
        self.projector = nn.Conv2d(student[0], teacher[0], 1)
        self.residual = nn.Parameter(torch.zeros(common_size(student, teacher)))

    def forward(self, student: StudentMaps, teacher: TeacherMaps) -> Tensor:
        student, teacher = student.float(), teacher.detach().float()
        if self.reduce_time == "mean":
            student = student.mean(0, keepdim=True)
            teacher = teacher.mean(0) if teacher.ndim == 5 else teacher
        if teacher.ndim == 4:
            teacher = teacher.expand(len(student), *teacher.shape)
        ours, targets = same_places(self.projector(student.flatten(0, 1)), teacher.flatten(0, 1))
        return spectral_residual(ours, targets, 1 + self.residual)
