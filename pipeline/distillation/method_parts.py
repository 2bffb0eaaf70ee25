"""What methods are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from spikeport.pipeline.run.sections.distillation import LossSpec

KdMode = Literal["mean", "per_step", "last"]
Share = Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class MethodSpec:
    """What trains a student.

    Attributes:
        losses: the losses, each with its stream, weight, schedule and options.
        pretrains: whether the student is pretrained on synthetic events first.
        pretraining: losses of the pretraining, on the synthetic stream; empty: those of `losses` on that stream.
    """

    losses: tuple[LossSpec, ...]
    pretrains: bool = False
    pretraining: tuple[LossSpec, ...] = ()

    @property
    def of_pretraining(self) -> MethodSpec:
        """What trains the student before it sees recordings alone."""
        return MethodSpec(losses=self.pretraining or self.losses, pretrains=self.pretrains)

    @property
    def streams(self) -> frozenset[str]:
        """Names of the streams that a training step needs."""
        return frozenset({"event", *(loss.stream for loss in self.losses)})


def tet(
    mse_weight: float, stream: Literal["event", "hybrid", "synthetic"] = "event", *, event_weights: bool = False
) -> LossSpec:
    """TET on the labels of a stream.

    Args:
        mse_weight: share of its MSE term.
        stream: the stream.
        event_weights: whether its steps have the weights 1 - a_t of the alignment.
    """
    options: dict[str, float | bool] = {"mse_weight": mse_weight}
    return LossSpec(loss="tet", stream=stream, options=options | ({"event_weights": True} if event_weights else {}))
