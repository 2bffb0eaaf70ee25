"""Temporal efficient training: cross entropy with the labels at every step."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import DistillationLoss, Labels, Sizes, StepInputs, StudentLogits
from spikeport.pipeline.distillation.losses.precision import at_least_float32, full_precision


@full_precision
def tet(
    logits: Tensor, labels: Tensor, *, mse_weight: float, target: float, step_weights: Tensor | None = None
) -> Tensor:
    """Temporal efficient training (Deng et al., ICLR 2022, arXiv 2202.11946).

    L = mean_t v_t [(1 - lambda) CE(z_t, y) + lambda mean_bk (z_tbk - target)^2], lambda = `mse_weight`.

    Args:
        logits: z `[T, B, K]`.
        labels: y, int64 `[B]`.
        mse_weight: share of the squared error, 0 to 1.
        target: value that the squared error pulls all logits to.
        step_weights: v `[T]`; None: 1 for each step.

    Returns:
        A scalar.

    Raises:
        UserError: shapes do not fit, or an axis is empty.
    """
    if logits.ndim != 3 or not logits.numel() or labels.shape != logits.shape[1:2]:
        raise UserError(f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)} do not fit [T, B, K] and [B]")
    if step_weights is not None and step_weights.shape != logits.shape[:1]:
        raise UserError(f"step weights {tuple(step_weights.shape)} do not fit {len(logits)} steps")
    logits = at_least_float32(logits)
    steps, batch, classes = logits.shape
    entropy = functional.cross_entropy(logits.reshape(steps * batch, classes), labels.repeat(steps), reduction="none")
    squared = (logits - target).square().mean((1, 2))
    per_step = (1 - mse_weight) * entropy.view(steps, batch).mean(1) + mse_weight * squared
    return (per_step if step_weights is None else step_weights * per_step).mean()


class Tet(DistillationLoss):
    """`tet` on a stream.

    Args:
        sizes: sizes of data and networks.
        mse_weight: share of the squared error.
        target: value of its logits; None: the threshold of the neurons.
        event_weights: whether steps are weighted by the note "event_weights" of an alignment loss.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        mse_weight: Annotated[float, Field(ge=0, le=1)] = 1e-3,
        target: float | None = None,
        event_weights: bool = False,
    ) -> None:
        super().__init__(sizes)
        self.mse_weight, self.event_weights = mse_weight, event_weights
        self.target = sizes.v_threshold if target is None else target

    def forward(self, logits: StudentLogits, labels: Labels, step: StepInputs) -> Tensor:
        weights = step.notes.get("event_weights") if self.event_weights else None
        return tet(logits, labels, mse_weight=self.mse_weight, target=self.target, step_weights=weights)
