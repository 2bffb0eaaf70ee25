"""Alignment of two branches' features by linear CKA (Kornblith et al. 2019, arXiv 1905.00414), step by step.

The published form is biased: with many more features than samples even independent features look alike (near
1 at 120 samples of 18,432 features). `debiased=True` takes the U-statistic instead (Song et al. 2012), near 0
there.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import DistillationLoss, Options, Sizes, StepInputs, Stream
from spikeport.pipeline.distillation.losses.precision import full_precision

EPS = 1e-7


@dataclass(frozen=True)
class Alignment:
    """`loss`: a scalar. `alphas`: the steps' coefficients `[T]`, or None. `distance`: the steps' distance, detached
    `[T]`."""

    loss: Tensor
    alphas: Tensor | None
    distance: Tensor

    @property
    def event_weights(self) -> Tensor | None:
        """1 - a_t `[T]`: what a step of the event branch still counts; None where there are no
        coefficients."""
        return None if self.alphas is None else 1 - self.alphas


class CkaAlignment(nn.Module):
    """L = mean_t a_t (1 - |CKA_t|) between features `[T, B, ...]` of the hybrid and of the event branch; with
    `measure` "mmd", mean_t a_t MMD_t at kernel width `sigma`.

    `coefficients`: None (a_t = 1), a number (a_t, the same for all steps), or "learnable": a_t =
    sigmoid(c_t), c_t starting at `init`; both at most `max_alpha`, lest the event branch lose all weight.
    `debiased` needs B >= 4. `absolute=False` takes CKA with its sign. `detach`: the branch ("a" or "b") that
    gets no gradient. Fewer than four samples give a warning once: two always align perfectly and one never
    does.
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
        """The coefficients `[T]`, or None."""
        if self.logits is not None:
            return self.logits.sigmoid().clamp(max=self.max_alpha)
        return None if self.fixed is None else torch.full((self.steps,), min(self.fixed, self.max_alpha))

    def forward(self, a: Tensor, b: Tensor) -> Alignment:
        """Aligns `a` and `b`, both `[T, B, ...]`, each step by itself."""
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
        """How far the branches are apart at each step, `[T]`: 0 where they are aligned."""
        if self.measure == "mmd":
            return mmd(a, b, sigma=self.sigma)
        similarity = cka(a, b, debiased=self.debiased)
        if self.absolute:
            similarity = similarity.clamp(min=0) if self.debiased else similarity.abs()
        return 1 - similarity


class CkaAlignmentLoss(DistillationLoss):
    """Alignment of the hybrid with the event stream; leaves `event_weights` where it has coefficients."""

    class Settings(Options):
        coefficients: Annotated[float, Field(ge=0)] | Literal["learnable"] | None = None
        init: float = 1.0
        max_alpha: float = Field(0.9, ge=0, le=1)
        debiased: bool = False
        absolute: bool = True
        detach: Literal["a", "b"] | None = None

    streams = ("hybrid",)
    early = True

    def __init__(self, settings: Any, sizes: Sizes) -> None:
        super().__init__(settings, sizes)
        self.alignment = CkaAlignment(sizes.steps, **settings.model_dump())

    def forward(self, stream: Stream, step: StepInputs) -> Tensor:
        found = self.alignment(stream.features, step.streams["event"].features)
        if found.event_weights is not None:
            step.notes["event_weights"] = found.event_weights
        return found.loss


class MmdAlignmentLoss(CkaAlignmentLoss):
    """The same with MMD at kernel width `sigma` as the distance."""

    class Settings(Options):
        coefficients: Annotated[float, Field(ge=0)] | Literal["learnable"] | None = None
        init: float = 1.0
        max_alpha: float = Field(0.9, ge=0, le=1)
        detach: Literal["a", "b"] | None = None
        sigma: float = Field(1.0, gt=0)
        measure: Literal["mmd"] = "mmd"


@full_precision
def cka(a: Tensor, b: Tensor, *, debiased: bool = False, eps: float = EPS) -> Tensor:
    """Linear CKA `[T]` of features `[T, B, ...]`, samples along B: <K, L> / (|K| |L| + eps) of centerd Grams.

    Features that do not vary (silent, constant, a single sample) give 0 and no gradient.
    Raises UserError for `debiased` with fewer than four samples.
    """
    a, b = (_flat(features) for features in (a, b))
    if a.shape[:2] != b.shape[:2]:
        raise UserError(f"features {tuple(a.shape)} and {tuple(b.shape)} are not of the same steps and samples")
    if not debiased:
        a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
        if max(a.shape[2], b.shape[2]) < a.shape[1]:  # D x D products are the smaller ones
            return _norm(a.mT @ b).square() / (_norm(a.mT @ a) * _norm(b.mT @ b) + eps)
        k, ell = a @ a.mT, b @ b.mT
    else:
        k, ell = _u_centred(a @ a.mT), _u_centred(b @ b.mT)
    return (k * ell).sum((1, 2)) / (_norm(k) * _norm(ell) + eps)


@full_precision
def mmd(a: Tensor, b: Tensor, *, sigma: float = 1.0) -> Tensor:
    """Squared maximum mean discrepancy `[T]` (biased) of features `[T, B, ...]`, kernel exp(-d^2 / (2 sigma^2)).

    mean k(a, a') + mean k(b, b') - 2 mean k(a, b) (Gretton et al. 2012): 0 for equal sets of samples, in any order.
    """
    a, b = (_flat(features) for features in (a, b))

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        squared = x.square().sum(2)[:, :, None] + y.square().sum(2)[:, None, :] - 2 * x @ y.mT
        return torch.exp(squared.clamp(min=0) / (-2 * sigma**2)).mean((1, 2))

    return kernel(a, a) + kernel(b, b) - 2 * kernel(a, b)


def _flat(features: Tensor) -> Tensor:
    if features.ndim < 3 or not features.numel():
        raise UserError(f"features {tuple(features.shape)} are not [T, B, ...] without an empty axis")
    wide = torch.float64 if features.dtype == torch.float64 else torch.float32
    return features.flatten(2).to(wide)


def _norm(matrix: Tensor) -> Tensor:
    """Frobenius norm `[T]`; its gradient at zero is zero, not NaN."""
    return torch.linalg.vector_norm(matrix, dim=(1, 2))


def _u_centred(gram: Tensor) -> Tensor:
    """The Gram matrix without its diagonal, centerd so that products of two estimate HSIC without bias."""
    count = gram.shape[1]
    if count < 4:
        raise UserError(
            f"the debiased alignment needs at least 4 samples, got {count}",
            where="debiased (cka_debiased of a preset)",
            hint="use larger batches, or set it to false",
        )
    off = 1 - torch.eye(count, dtype=gram.dtype, device=gram.device)
    gram = gram * off
    rows = gram.sum(2, keepdim=True) / (count - 2)
    total = gram.sum((1, 2), keepdim=True) / ((count - 1) * (count - 2))
    return (gram - rows - rows.mT + total) * off
