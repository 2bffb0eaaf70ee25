"""Types of the trainings in report.json."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class EpochJson(TypedDict):
    """Numbers of one epoch; None where they were not counted. `losses` has the total as "loss", then its parts."""

    epoch: int
    losses: dict[str, float]
    training_accuracy: float | None
    validation_accuracy: float | None
    validation_loss: float | None
    validation_count: int | None
    validation_silent: int | None
    lr: float


class TrainingJson(TypedDict):
    """One training.

    Attributes:
        stage: name of the training, as in metrics.jsonl.
        kept_epoch: the epoch whose weights are kept; 0: those before the training; None: not recorded.
        kept_validation: validation accuracy (or loss) of these weights; None: not recorded.
        epochs: the epochs in order.
        remarks: findings about its length and overfitting, as sentences.
    """

    stage: str
    kept_epoch: int | None
    kept_validation: float | None
    epochs: list[EpochJson]
    remarks: list[str]


class TrainingsJson(TypedDict):
    """The trainings of a run, or the reason why they are not known.

    Attributes:
        chance: accuracy of a random guess, 1 / classes.
        majority: share of the most frequent class of the validation recordings; None without validation recordings.
        majority_class: name of that class; None without validation recordings.
        stages: the trainings.
        reason: why there are none.
    """

    chance: NotRequired[float]
    majority: NotRequired[float | None]
    majority_class: NotRequired[str | None]
    stages: NotRequired[list[TrainingJson]]
    reason: NotRequired[str]
