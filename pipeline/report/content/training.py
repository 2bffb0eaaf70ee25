"""The trainings of a run by epoch, the kept epoch of each, and what the numbers say about longer training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from spikeport.pipeline.report.content import words
from spikeport.pipeline.report.content.training_json import EpochJson, TrainingJson, TrainingsJson
from spikeport.pipeline.run.intervals import wilson
from spikeport.pipeline.training.results import EpochRow

OVERFIT_POINTS = 0.05  # least lead of training accuracy over validation accuracy that is worth a remark
HEADS = ("Training", "Kept epoch", "Loss", "Training accuracy", "Validation accuracy")
NONE = "not counted"
OLDER = "this run has no log of its trainings (metrics.jsonl)"
NOTE = (
    "Numbers of the kept epoch. Training accuracy is counted on the batches as they are trained on (augmented, while "
    "the weights change). The kept epoch is the one with the best validation, smoothed over epochs. "
    "Epoch 0: the weights before the training. curves.csv has every number of every epoch."
)
EPOCHS_OF = {"teacher": "teacher.epochs", "student": "training.epochs", "quantized": "quantization.epochs"}


def trainings(
    stages: Mapping[str, Sequence[EpochRow]],
    labels: np.ndarray,
    classes: Sequence[str],
    further: Mapping[str, Sequence[str]] | None = None,
) -> TrainingsJson:
    """The trainings of a run for report.json.

    Args:
        stages: rows of metrics.jsonl by stage.
        labels: int `[N]`, classes of the validation recordings.
        classes: names of the K classes.
        further: further remarks by stage.
    """
    if not stages:
        return {"reason": OLDER}
    counts = np.bincount(np.asarray(labels, dtype=np.int64), minlength=len(classes))
    most, known = int(counts.argmax()), bool(counts.sum())
    return {
        "chance": 1 / len(classes),
        "majority": float(counts[most] / counts.sum()) if known else None,
        "majority_class": classes[most] if known else None,
        "stages": [
            {
                "stage": stage,
                "kept_epoch": rows[-1].kept_epoch,
                "kept_validation": rows[-1].kept_validation,
                "epochs": [_epoch(row) for row in rows],
                "remarks": [*remarks(stage, rows), *(further or {}).get(stage, ())],
            }
            for stage, rows in stages.items()
        ],
    }


def remarks(stage: str, rows: Sequence[EpochRow]) -> list[str]:
    """Sentences about a training: overfitting, and whether the last epoch or none was kept.

    Overfitting: at the kept epoch, training accuracy is more than OVERFIT_POINTS above validation accuracy, and above
    the upper end of its Wilson 95 % interval where the number of validation recordings is known.

    Args:
        stage: name of the training.
        rows: its epochs in order, at least one.
    """
    last = rows[-1]
    found = [text for text in (_overfitting(row) for row in rows if row.epoch == last.kept_epoch) if text]
    if last.kept_epoch == 0:
        found.append("No epoch was better than the weights before the training, which are kept.")
    elif last.validation_count and last.validation_silent == last.validation_count:
        found.append("No output fired in validation after the last epoch: the warnings name what to change first.")
    elif last.kept_epoch == last.epoch and len(rows) > 1:
        setting = EPOCHS_OF.get(stage.split("-")[0])
        found.append(
            "The last epoch is the best one, so validation may not have reached its best: "
            f"train longer{f' (raise {setting})' if setting else ''}."
        )
    return found


def cells(training: TrainingJson) -> list[str]:
    """Cells of the table: the columns HEADS, the numbers those of the kept epoch.

    Args:
        training: one training.
    """
    kept_epoch, epochs, validation = training["kept_epoch"], training["epochs"], training["kept_validation"]
    row = next((each for each in epochs if each["epoch"] == kept_epoch), None)
    loss, training_accuracy = (row["losses"].get("loss"), row["training_accuracy"]) if row else (None, None)
    by_loss = epochs[-1]["validation_loss"] is not None and validation is not None
    return [
        training["stage"],
        NONE if kept_epoch is None else f"{kept_epoch:,} of {epochs[-1]['epoch']:,}",
        NONE if loss is None else f"{loss:.4g}",
        _percent(training_accuracy),
        f"loss {validation:.4g}" if by_loss else _percent(validation),
    ]


def lines_note(found: TrainingsJson) -> str:
    """The accuracies of a guess and of always the most frequent class, in words.

    Args:
        found: the trainings.
    """
    majority, name = found["majority"], found["majority_class"]
    often = "" if majority is None else f"; always the most frequent class (“{name}”): {words.percent(majority)}"
    return f"A random guess: {words.percent(found['chance'])}{often} of the validation recordings."


def _overfitting(row: EpochRow) -> str:
    training, validation, n = row.training_accuracy, row.validation_accuracy, row.validation_count
    if training is None or validation is None or training - validation <= OVERFIT_POINTS:
        return ""
    between = ""
    if n:
        low, high = wilson(round(validation * n), n)
        if training <= high:
            return ""
        between = f", 95 % interval {100 * low:.1f} to {100 * high:.1f} % of {n:,}"
    return (
        f"Overfitting: training accuracy {words.percent(training)} is {100 * (training - validation):.1f} points above "
        f"validation accuracy ({words.percent(validation)}{between}). More data, augmentation or weight decay may help."
    )


def _epoch(row: EpochRow) -> EpochJson:
    losses = {name: _short(value) for name, value in row.losses.items() if isinstance(value, (int, float))}
    return {
        "epoch": row.epoch,
        "losses": losses,
        "training_accuracy": None if row.training_accuracy is None else _short(row.training_accuracy),
        "validation_accuracy": row.validation_accuracy,
        "validation_loss": None if row.validation_loss is None else _short(row.validation_loss),
        "validation_count": row.validation_count,
        "validation_silent": row.validation_silent,
        "lr": _short(row.lr),
    }


def _short(value: float) -> float:
    """Six significant digits; metrics.jsonl and curves.csv have all."""
    return float(f"{value:.6g}")


def _percent(value: float | None) -> str:
    return NONE if value is None else words.percent(value)
