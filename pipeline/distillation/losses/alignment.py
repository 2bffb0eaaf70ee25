"""Alignment of the features of the hybrid and the event stream, step by step, by linear CKA or by MMD."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import (
    DistillationLoss,
    EventFeatures,
    Sizes,
    StepInputs,
    StudentFeatures,
)
from spikeport.pipeline.distillation.losses.precision import at_least_float32, full_precision

Coefficients = NonNegativeFloat | Literal["learnable"] | None
Fraction = Annotated[float, Field(ge=0, le=1)]
EPS = 1e-7


@dataclass(frozen=True)
class Alignment:
    """Result of `CkaAlignment`.

    Attributes:
        loss: a scalar.
        alphas: coefficients of the steps `[T]`; None where there are none.
        distance: distance at each step `[T]`, without gradient.
    """

    loss: Tensor
    alphas: Tensor | None
    distance: Tensor

    @property
    def event_weights(self) -> Tensor | None:
        """1 - a_t `[T]`, weights of the event stream's steps in other losses; None where there are no coefficients."""
        return None if self.alphas is None else 1 - self.alphas


class CkaAlignment(nn.Module):
    """Domain alignment (He et al., AAAI 2024, arXiv 2303.13077): L = mean_t a_t (1 - |CKA_t|), or mean_t a_t MMD_t.

    Args:
        steps: T.
        coefficients: None is a_t = 1; a number is a_t for all steps; "learnable" trains c_t of a_t = sigmoid(c_t).
        init: first value of c_t.
        max_alpha: upper bound of a_t, since a_t = 1 would take all weight from the event stream.
        debiased: whether CKA is `cka`'s debiased form, which needs B >= 4.
        absolute: whether CKA counts by its absolute value (debiased: clamped at 0).
        detach: branch "a" or "b" that gets no gradient.
        measure: "cka" or "mmd".
        sigma: kernel width of MMD.
    """

    def __init__(
        self,
        steps: int,
        *,
        coefficients: float | Literal["learnable"] | None = None,
        init: float = 1.0,
        max_alpha: float = 0.9,
        debiased: bool = False,
        absolute: bool = True,
        detach: Literal["a", "b"] | None = None,
        measure: Literal["cka", "mmd"] = "cka",
        sigma: float = 1.0,
    ) -> None:
        super().__init__()
        self.measure, self.sigma = measure, sigma
        self.steps, self.max_alpha = steps, max_alpha
        self.debiased, self.absolute, self.detach = debiased, absolute, detach
        self.fixed = coefficients if isinstance(coefficients, (int, float)) else None
        self.logits = nn.Parameter(torch.full((steps,), init)) if coefficients == "learnable" else None
        self._warned = False

    def alphas(self) -> Tensor | None:
        """The coefficients a_t `[T]`, or None."""
        if self.logits is not None:
            return self.logits.sigmoid().clamp(max=self.max_alpha)
        return None if self.fixed is None else torch.full((self.steps,), min(self.fixed, self.max_alpha))

    def forward(self, a: Tensor, b: Tensor) -> Alignment:
        """Aligns two branches, each step by itself. Fewer than four samples warn once: two always align.

        Args:
            a: features `[T, B, ...]`.
            b: features `[T, B, ...]`, of any size after B.

        Raises:
            UserError: the branches do not have the same steps and samples.
        """
        if a.shape[:2] != b.shape[:2] or len(a) != self.steps:
            raise UserError(
                f"features {tuple(a.shape)} and {tuple(b.shape)} do not fit {self.steps} steps of one batch"
            )
        if a.shape[1] < 4 and not self._warned:
            self._warned = True
            warnings.warn(f"alignment over {a.shape[1]} samples says nothing: use batches of at least 4", stacklevel=2)
        distance = self.distance(a.detach() if self.detach == "a" else a, b.detach() if self.detach == "b" else b)
        alphas = self.alphas()
        if alphas is not None:
            alphas = alphas.to(distance)
        loss = (distance if alphas is None else alphas * distance).mean()
        return Alignment(loss, alphas, distance.detach())

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Distance of the branches at each step, 0 where they are aligned.

        Args:
            a: features of one branch, `[T, B, D]`.
            b: features of the other branch.

        Returns:
            `[T]`.
        """
        if self.measure == "mmd":
            return mmd(a, b, sigma=self.sigma)
        similarity = cka(a, b, debiased=self.debiased)
        if self.absolute:
            similarity = similarity.clamp(min=0) if self.debiased else similarity.abs()
        return 1 - similarity


class _AlignmentLoss(DistillationLoss):
    """Alignment of the hybrid with the event stream; writes the note "event_weights" where it has coefficients."""

    streams = ("hybrid",)
    early = True
    alignment: CkaAlignment

    def forward(self, hybrid: StudentFeatures, event: EventFeatures, step: StepInputs) -> Tensor:
        found: Alignment = self.alignment(hybrid, event)
        if found.event_weights is not None:
            step.notes["event_weights"] = found.event_weights
        return found.loss


class CkaAlignmentLoss(_AlignmentLoss):
    """`CkaAlignment` of the hybrid stream with the event stream, by CKA.

    Args:
        sizes: sizes of student and teacher.
        coefficients, init, max_alpha, debiased, absolute, detach: as for `CkaAlignment`.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        coefficients: Coefficients = None,
        init: float = 1.0,
        max_alpha: Fraction = 0.9,
        debiased: bool = False,
        absolute: bool = True,
        detach: Literal["a", "b"] | None = None,
    ) -> None:
        super().__init__(sizes)
        self.alignment = CkaAlignment(
            sizes.steps,
            coefficients=coefficients,
            init=init,
            max_alpha=max_alpha,
            debiased=debiased,
            absolute=absolute,
            detach=detach,
        )


class MmdAlignmentLoss(_AlignmentLoss):
    """`CkaAlignment` of the hybrid stream with the event stream, by MMD.

    Args:
        sizes: sizes of student and teacher.
        coefficients, init, max_alpha, detach, sigma: as for `CkaAlignment`.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        coefficients: Coefficients = None,
        init: float = 1.0,
        max_alpha: Fraction = 0.9,
        detach: Literal["a", "b"] | None = None,
        sigma: PositiveFloat = 1.0,
    ) -> None:
        super().__init__(sizes)
        self.alignment = CkaAlignment(
            sizes.steps,
            coefficients=coefficients,
            init=init,
            max_alpha=max_alpha,
            detach=detach,
            measure="mmd",
            sigma=sigma,
        )


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
