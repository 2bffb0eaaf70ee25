"""How alike the features of two branches are, step by step: linear CKA, and MMD."""

from __future__ import annotations

import torch
from torch import Tensor

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.precision import at_least_float32, full_precision

EPS = 1e-7


@full_precision
def cka(a: Tensor, b: Tensor, *, debiased: bool = False, eps: float = EPS) -> Tensor:
    """Linear CKA (Kornblith et al., ICML 2019, arXiv 1905.00414): <K, L> / (|K| |L| + eps) of centered Gram matrices.

    The published form is biased: with many more features than samples even independent features look alike (near 1 at
    120 samples of 18,432 features). The debiased form takes the U-statistic of HSIC (Song et al., JMLR 2012).

    Args:
        a: features `[T, B, ...]`, samples along B.
        b: features `[T, B, ...]`.
        debiased: whether the U-statistic is taken.
        eps: keeps the quotient defined for features that do not vary; these give 0 and no gradient.

    Returns:
        `[T]`.

    Raises:
        UserError: shapes do not fit, or `debiased` with fewer than four samples.
    """
    a, b = (_flat(features) for features in (a, b))
    if a.shape[:2] != b.shape[:2]:
        raise UserError(f"features {tuple(a.shape)} and {tuple(b.shape)} are not of the same steps and samples")
    if not debiased:
        a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
        if max(a.shape[2], b.shape[2]) < a.shape[1]:  # products of D x D are the smaller ones
            return _norm(a.mT @ b).square() / (_norm(a.mT @ a) * _norm(b.mT @ b) + eps)
        k, ell = a @ a.mT, b @ b.mT
    else:
        k, ell = _u_centered(a @ a.mT), _u_centered(b @ b.mT)
    return (k * ell).sum((1, 2)) / (_norm(k) * _norm(ell) + eps)


@full_precision
def mmd(a: Tensor, b: Tensor, *, sigma: float = 1.0) -> Tensor:
    """Squared maximum mean discrepancy, biased (Gretton et al., JMLR 2012), kernel k(x, y) = exp(-|x - y|^2 / (2 s^2)).

    mean k(a, a') + mean k(b, b') - 2 mean k(a, b): 0 for equal sets of samples, in any order.

    Args:
        a: features `[T, B, ...]`, samples along B.
        b: features `[T, B', ...]`, of the same size after B.
        sigma: s, width of the kernel.

    Returns:
        `[T]`.
    """
    a, b = (_flat(features) for features in (a, b))

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        squared = x.square().sum(2)[:, :, None] + y.square().sum(2)[:, None, :] - 2 * x @ y.mT
        return torch.exp(squared.clamp(min=0) / (-2 * sigma**2)).mean((1, 2))

    return kernel(a, a) + kernel(b, b) - 2 * kernel(a, b)


def _flat(features: Tensor) -> Tensor:
    if features.ndim < 3 or not features.numel():
        raise UserError(f"features {tuple(features.shape)} are not [T, B, ...] without an empty axis")
    return at_least_float32(features.flatten(2))


def _norm(matrix: Tensor) -> Tensor:
    """Frobenius norm `[T]`; its gradient at zero is zero, not NaN."""
    return torch.linalg.vector_norm(matrix, dim=(1, 2))


def _u_centered(gram: Tensor) -> Tensor:
    """The Gram matrix without its diagonal, centered so that products of two estimate HSIC without bias."""
    count = gram.shape[1]
    if count < 4:
        raise UserError(
            f"the debiased alignment needs at least 4 samples, got {count}",
            where="debiased (cka_debiased of a method)",
            hint="use larger batches, or set it to false",
        )
    off = 1 - torch.eye(count, dtype=gram.dtype, device=gram.device)
    gram = gram * off
    rows = gram.sum(2, keepdim=True) / (count - 2)
    total = gram.sum((1, 2), keepdim=True) / ((count - 1) * (count - 2))
    return (gram - rows - rows.mT + total) * off
