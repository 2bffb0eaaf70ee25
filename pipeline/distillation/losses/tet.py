"""Temporal efficient training (Deng et al. 2022, arXiv 2202.11946): every step is asked for the class."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import DistillationLoss, Options, StepInputs, Stream
from spikeport.pipeline.distillation.losses.precision import full_precision, wide


@full_precision
def tet(
    logits: Tensor, labels: Tensor, *, mse_weight: float, target: float, step_weights: Tensor | None = None
) -> Tensor:
    """mean_t v_t [(1 - mse_weight) CE(z_t, y) + mse_weight mean_bk (z_tbk - target)^2], a scalar.

    `logits` `[T, B, K]`, `labels` `[B]` int64, `step_weights` v `[T]` (1 where None). Raises UserError where
    shapes do not fit or an axis is empty.
    """
    if logits.ndim != 3 or not logits.numel() or labels.shape != logits.shape[1:2]:
        raise UserError(f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)} do not fit [T, B, K] and [B]")
    if step_weights is not None and step_weights.shape != logits.shape[:1]:
        raise UserError(f"step weights {tuple(step_weights.shape)} do not fit {len(logits)} steps")
    logits = wide(logits)
    steps, batch, classes = logits.shape
    entropy = functional.cross_entropy(logits.reshape(steps * batch, classes), labels.repeat(steps), reduction="none")
    per_step = (1 - mse_weight) * entropy.view(steps, batch).mean(1) + mse_weight * (logits - target).square().mean(
        (1, 2)
    )
    return (per_step if step_weights is None else step_weights * per_step).mean()


class Tet(DistillationLoss):
    """TET on a stream, its `target` the threshold unless given. `event_weights`: a step counts
    what an alignment term left for it."""

    class Settings(Options):
        mse_weight: float = Field(1e-3, ge=0, le=1)
        target: float | None = None
        event_weights: bool = False

    def forward(self, stream: Stream, step: StepInputs) -> Tensor:
        weights = step.notes.get("event_weights") if self.settings.event_weights else None
        target = self.sizes.v_threshold if self.settings.target is None else self.settings.target
        return tet(
            stream.logits, stream.labels, mse_weight=self.settings.mse_weight, target=target, step_weights=weights
        )
