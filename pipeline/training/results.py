"""Values that a training gives back or logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from spikeport.pipeline.run.health import Learning

# Values of `EpochRow` that have no key in metrics.jsonl where they are None.
OPTIONAL = (
    "training_accuracy",
    "training_agreement",
    "validation_loss",
    "validation_count",
    "validation_silent",
    "kept_epoch",
    "kept_validation",
    "rates",
    "planned_epochs",
)


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
        losses: means over the epoch's batches by name: "loss" is the total; a list where a value has one number a step.
        training_accuracy: mean over the same batches, as they are trained on: augmented, while the weights change;
            None where it is not counted.
        training_agreement: the same for classes of the network that the training imitates, in place of labels.
        validation_accuracy: of the weights after the epoch; None without validation data.
        validation_loss: in place of the accuracy where the network does not classify.
        validation_count: number of validation samples; None where they are not counted.
        validation_silent: validation recordings without an output spike; None where they are not counted.
        kept_epoch: the epoch whose weights are kept so far; 0: those before the training.
        kept_validation: validation accuracy (or loss) of that epoch; None without validation data.
        rates: spikes per neuron and step by layer, on the validation recordings; None where they are not counted.
        gradient: largest absolute gradient of the first optimizer step that had one; None where none was finite.
        lr: learning rate at the end of the epoch.
        seconds: duration of the epoch.
        planned_epochs: number of epochs of a training that `patience` ended with this epoch; None elsewhere.
    """

    stage: str
    epoch: int
    losses: Mapping[str, float | list[float]] = field(default_factory=dict)
    training_accuracy: float | None = None
    training_agreement: float | None = None
    validation_accuracy: float | None = None
    validation_loss: float | None = None
    validation_count: int | None = None
    validation_silent: int | None = None
    kept_epoch: int | None = None
    kept_validation: float | None = None
    rates: Mapping[str, float] | None = None
    gradient: float | None = None
    lr: float = 0.0
    seconds: float = 0.0
    planned_epochs: int | None = None

    def to_json(self) -> dict[str, object]:
        """The line's keys and values: losses by their own names, without values of OPTIONAL that are None."""
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "losses"}
        left_out = {name for name in OPTIONAL if values[name] is None}
        first = {name: values.pop(name) for name in ("stage", "epoch")}
        return {**first, **self.losses, **{name: value for name, value in values.items() if name not in left_out}}

    def numbers(self) -> dict[str, float]:
        """The numbers of the line by name, for loggers; those of lists and mappings as "name/key"."""
        found: dict[str, float] = {}
        for name, value in self.to_json().items():
            entries = dict(enumerate(value)) if isinstance(value, list) else value
            if isinstance(entries, dict):
                found |= {f"{name}/{key}": entry for key, entry in entries.items()}
            elif isinstance(entries, (int, float)) and name not in ("epoch", "planned_epochs"):
                found[name] = entries
        return found

    def learning(self) -> Learning:
        """What findings about the training come from."""
        return {"epoch": self.epoch, "rates": self.rates, "gradient": self.gradient}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> EpochRow:
        """The row that `to_json` wrote."""
        own = {one.name for one in fields(cls)} - {"losses"}
        losses = {name: value for name, value in row.items() if name not in own}
        return cls(losses=losses, **{name: value for name, value in row.items() if name in own})
