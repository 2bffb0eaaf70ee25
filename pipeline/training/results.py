"""Values that a training gives back or logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from spikeport.pipeline.run.health import Learning


@dataclass(frozen=True)
class BestEpoch:
    """The epoch whose weights a training keeps.

    Attributes:
        epoch: its number from 1; 0: the weights before training. None: there was no epoch.
        score: its smoothed validation score; None where there is nothing to validate on.
    """

    epoch: int | None
    score: float | None


@dataclass(frozen=True, kw_only=True)
class EpochRow:
    """One line of metrics.jsonl.

    Attributes:
        stage: name of the training.
        epoch: number from 1.
        losses: means over the epoch by name: "loss" is the total; a list where a value has one number a step.
        validation_accuracy: score of the weights after the epoch; None without validation data.
        validation_silent: validation recordings without an output spike; None where they are not counted.
        rates: spikes per neuron and step by layer, on the validation recordings; None where they are not counted.
        gradient: largest absolute gradient of the first optimizer step that had one; None where none was finite.
        lr: learning rate at the end of the epoch.
        seconds: duration of the epoch.
    """

    stage: str
    epoch: int
    losses: Mapping[str, float | list[float]] = field(default_factory=dict)
    validation_accuracy: float | None = None
    validation_silent: int | None = None
    rates: Mapping[str, float] | None = None
    gradient: float | None = None
    lr: float = 0.0
    seconds: float = 0.0

    def to_json(self) -> dict[str, object]:
        """The line's keys and values: losses by their own names, without counts that are None."""
        counts = {"validation_silent": self.validation_silent, "rates": self.rates}
        return {
            "stage": self.stage,
            "epoch": self.epoch,
            **self.losses,
            "validation_accuracy": self.validation_accuracy,
            **{name: count for name, count in counts.items() if count is not None},
            "gradient": self.gradient,
            "lr": self.lr,
            "seconds": self.seconds,
        }

    def learning(self) -> Learning:
        """What findings about the training come from."""
        return {"epoch": self.epoch, "rates": self.rates, "gradient": self.gradient}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> EpochRow:
        """The row that `to_json` wrote."""
        own = {one.name for one in fields(cls)} - {"losses"}
        losses = {name: value for name, value in row.items() if name not in own}
        return cls(losses=losses, **{name: value for name, value in row.items() if name in own})
