"""Weights of the student on the singular vectors of the teacher's, with singular values of its own."""

from __future__ import annotations

import torch
from torch import Tensor

from spikeport.errors import UserError
from spikeport.pipeline.distillation.initialize import fitted
from spikeport.pipeline.distillation.losses.base import WHERE, DistillationLoss, Sizes, StudentLogits, WeightPairs
from spikeport.pipeline.distillation.losses.precision import full_precision

EPS = 1e-12


def singular_vectors(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Left and right singular vectors of a weight as a matrix, one row for each output.

    Args:
        weight: `[N, ...]`.

    Returns:
        `[N, R]` and `[R, M]`, without a gradient.
    """
    left, _, right = torch.linalg.svd(weight.detach().flatten(1).double(), full_matrices=False)
    return left.to(weight.dtype), right.to(weight.dtype)


@full_precision
def energy_off_vectors(weight: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """|W - U S V^T|^2 / |W|^2 with the diagonal S that makes it smallest, S_i = u_i^T W v_i.

    Args:
        weight: W, `[N, ...]`.
        left: U, `[N, R]`.
        right: V^T, `[R, M]`.

    Returns:
        A scalar of 0 to 1; 0 for weights of zero.
    """
    matrix = weight.flatten(1)
    values = (left.T @ matrix * right).sum(1)
    energy = matrix.square().sum()
    return (energy - values.square().sum()) / energy.clamp(min=EPS)


class SharedSingularVectors(DistillationLoss):
    """Mean over layers of the share of the student's weights that is off the teacher's singular vectors.

    Reconstruction of the weight factorization of Joint A-SNN (Pattern Recognition 2023, arXiv 2305.02099), whose two
    networks share singular vectors, W_ann = U S_ann V^T and W_snn = U S_snn V^T, and are trained together. Here the
    teacher is trained before, and the student's weights are drawn to its vectors; both their singular values are free.
    Layers are paired by shape, as `distillation.initialize` pairs them. Quantization-aware training is not concerned:
    batch norm is folded into its weights.

    Args:
        sizes: sizes of data and networks.

    Raises:
        UserError: no layer of the teacher has the shape of one of the student.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        if not sizes.teacher_weight_pairs:
            raise UserError(
                "the loss 'shared_singular_vectors' needs layers of one shape in student and teacher, and none fit",
                where=WHERE,
                hint="use networks of the same widths and kernels (teacher.width), or remove the loss",
            )
        self._known: dict[int, tuple[tuple[int, ...], tuple[Tensor, Tensor]]] = {}

    def forward(self, pairs: WeightPairs, logits: StudentLogits) -> Tensor:
        if not pairs:
            return logits.sum() * 0
        parts = [energy_off_vectors(ours, *self._vectors(at, ours, theirs)) for at, (ours, theirs) in enumerate(pairs)]
        return torch.stack(parts).mean()

    def _vectors(self, at: int, ours: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor]:
        """Singular vectors of a teacher's weight in pair `at`, computed once as long as it stays as it is."""
        state = theirs.data_ptr(), theirs._version
        if at not in self._known or self._known[at][0] != state:
            weight = fitted(theirs, ours)
            assert weight is not None  # as it is paired
            self._known[at] = state, singular_vectors(weight)
        return self._known[at][1]
