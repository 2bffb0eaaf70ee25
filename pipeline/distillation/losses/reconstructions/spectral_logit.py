"""Distillation of the fine structure of logits (spectral part of BSD, AAAI 2026).

A reconstruction: no formula of the paper was recovered.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from spikeport.pipeline.distillation.losses.base import DistillationLoss, Sizes, StudentLogits, TeacherLogits
from spikeport.pipeline.distillation.losses.logit_kd import KdMode, paired
from spikeport.pipeline.distillation.losses.precision import full_precision


@full_precision
def spectral_logit(student: Tensor, teacher: Tensor, *, mode: KdMode = "mean") -> Tensor:
    """Mean squared difference of the upper half of frequencies (k >= K / 2) of the logits' orthonormal DCT-II.

    Classes of both are sorted by the teacher's logits. Fewer than two classes give 0.

    Args:
        student: logits `[T, B, K]` or `[B, K]`.
        teacher: logits `[B, K]` or `[T, B, K]`. It gets no gradient.
        mode: as in `logit_kd`.

    Returns:
        A scalar.
    """
    compared, target = paired(student, teacher, 1.0, mode)
    target = target.expand_as(compared)
    classes = compared.shape[-1]
    if classes < 2:
        return compared.sum() * 0
    order = target.argsort(dim=-1, descending=True, stable=True)
    basis = dct_basis(classes).to(compared)[math.ceil(classes / 2) :]
    return ((compared.gather(-1, order) - target.gather(-1, order)) @ basis.mT).square().mean()


def dct_basis(size: int) -> Tensor:
    """The orthonormal DCT-II, `[size, size]` float64: row k is sqrt(2 / N) cos(pi (n + 1/2) k / N), row 0 sqrt(1/N).

    Args:
        size: number of points N.
    """
    n = torch.arange(size, dtype=torch.float64)
    basis = math.sqrt(2 / size) * torch.cos(math.pi * (n[None] + 0.5) * n[:, None] / size)
    basis[0] *= math.sqrt(0.5)
    return basis


class SpectralLogit(DistillationLoss):
    """`spectral_logit` on a stream.

    Args:
        sizes: sizes of data and networks.
        mode: "mean", "per_step" or "last".
    """

    def __init__(self, sizes: Sizes, *, mode: KdMode = "mean") -> None:
        super().__init__(sizes)
        self.mode: KdMode = mode

    def forward(self, student: StudentLogits, teacher: TeacherLogits) -> Tensor:
        return spectral_logit(student, teacher, mode=self.mode)
