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
from spikeport.pipeline.distillation.losses.closed_loop import ClosedLoop
from spikeport.pipeline.distillation.losses.similarity import cka, mmd

Coefficients = NonNegativeFloat | Literal["learnable"] | None
Regulated = Coefficients | Literal["closed_loop"]
Fraction = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class Alignment:
    """Result of `CkaAlignment`.

    Attributes:
        loss: a scalar.
        alphas: coefficients of the steps `[T]`; None where there are none.
        distance: distance at each step `[T]`, without gradient.
        event_weights: 1 - a_t `[T]`, weights of the event stream's steps in other losses; None where there are no
            coefficients, or where a closed loop sets them.
    """

    loss: Tensor
    alphas: Tensor | None
    distance: Tensor
    event_weights: Tensor | None


class CkaAlignment(nn.Module):
    """Domain alignment (He et al., AAAI 2024, arXiv 2303.13077): L = mean_t a_t (1 - |CKA_t|), or mean_t a_t MMD_t.

    Args:
        steps: T.
        coefficients: None is a_t = 1; a number is a_t for all steps; "learnable" trains c_t of a_t = sigmoid(c_t);
            "closed_loop" regulates a_t by the measured CKA (`ClosedLoop`), and takes no weight from the event stream.
        init: first value of c_t.
        max_alpha: upper bound of a_t, since a_t = 1 would take all weight from the event stream.
        debiased: whether CKA is `cka`'s debiased form, which needs B >= 4.
        absolute: whether CKA counts by its absolute value (debiased: clamped at 0).
        detach: branch "a" or "b" that gets no gradient.
        measure: "cka" or "mmd".
        sigma: kernel width of MMD.
        target, gain, smoothing: as for `ClosedLoop`.
    """

    def __init__(
        self,
        steps: int,
        *,
        coefficients: float | Literal["learnable", "closed_loop"] | None = None,
        init: float = 1.0,
        max_alpha: float = 0.9,
        debiased: bool = False,
        absolute: bool = True,
        detach: Literal["a", "b"] | None = None,
        measure: Literal["cka", "mmd"] = "cka",
        sigma: float = 1.0,
        target: float = 0.5,
        gain: float = 0.1,
        smoothing: float = 0.9,
    ) -> None:
        super().__init__()
        self.measure, self.sigma = measure, sigma
        self.steps, self.max_alpha = steps, max_alpha
        self.debiased, self.absolute, self.detach = debiased, absolute, detach
        self.fixed = coefficients if isinstance(coefficients, (int, float)) else None
        self.logits = nn.Parameter(torch.full((steps,), init)) if coefficients == "learnable" else None
        self.loop = None
        if coefficients == "closed_loop":
            self.loop = ClosedLoop(steps, target=target, gain=gain, smoothing=smoothing, maximum=max_alpha)
        self._warned = False

    def alphas(self) -> Tensor | None:
        """The coefficients a_t `[T]`, or None. Those of a closed loop are its last."""
        if self.loop is not None:
            return self.loop.weights
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
        if self.loop is not None:
            self.loop(1 - distance)
        alphas = self.alphas()
        if alphas is not None:
            alphas = alphas.to(distance)
        loss = (distance if alphas is None else alphas * distance).mean()
        event_weights = None if alphas is None or self.loop is not None else 1 - alphas
        return Alignment(loss, alphas, distance.detach(), event_weights)

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
    """Alignment of the hybrid with the event stream.

    It writes the note "event_weights" where it has coefficients, or "alignment_weights" where a closed loop sets them.
    """

    streams = ("hybrid",)
    early = True
    alignment: CkaAlignment

    def forward(self, hybrid: StudentFeatures, event: EventFeatures, step: StepInputs) -> Tensor:
        found: Alignment = self.alignment(hybrid, event)
        if found.event_weights is not None:
            step.notes["event_weights"] = found.event_weights
        elif found.alphas is not None:
            step.notes["alignment_weights"] = found.alphas
        return found.loss


class CkaAlignmentLoss(_AlignmentLoss):
    """`CkaAlignment` of the hybrid stream with the event stream, by CKA.

    Args:
        sizes: sizes of student and teacher.
        coefficients, init, max_alpha, debiased, absolute, detach: as for `CkaAlignment`.
        target, gain, smoothing: as for `ClosedLoop`.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        coefficients: Regulated = None,
        init: float = 1.0,
        max_alpha: Fraction = 0.9,
        debiased: bool = False,
        absolute: bool = True,
        detach: Literal["a", "b"] | None = None,
        target: Fraction = 0.5,
        gain: PositiveFloat = 0.1,
        smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.9,
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
            target=target,
            gain=gain,
            smoothing=smoothing,
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
