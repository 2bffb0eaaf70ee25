"""The trainings of a run as a table: which epoch is kept, and its accuracies."""

from __future__ import annotations

from collections.abc import Sequence

from spikeport.pipeline.run.run_folder import RunFolder
from spikeport.pipeline.training.epoch_log import METRICS, rows_of_stages
from spikeport.pipeline.training.results import EpochRow
from spikeport.tables import text_table

HEAD = ("training", "kept epoch", "training accuracy", "validation accuracy")
NONE = "-"


def training_lines(run: RunFolder) -> list[str]:
    """A table with a line for each training of a run; no line without a training.

    Args:
        run: the run folder.
    """
    stages = rows_of_stages(run.file(METRICS))
    if not stages:
        return []
    lines = text_table(HEAD, [_cells(stage, rows) for stage, rows in stages.items()])
    if any(rows[-1].kept_epoch == 0 for rows in stages.values()):
        lines.append("Epoch 0: the weights before the training.")
    return lines


def _cells(stage: str, rows: Sequence[EpochRow]) -> tuple[str, ...]:
    last = rows[-1]
    best = next((row for row in rows if row.epoch == last.kept_epoch), None)
    epoch = NONE if last.kept_epoch is None else f"{last.kept_epoch} of {last.epoch}"
    if last.planned_epochs:
        epoch += f" (stopped early, of {last.planned_epochs})"
    validation = NONE if last.kept_validation is None else f"{100 * last.kept_validation:.1f} %"
    if last.validation_loss is not None:
        validation = f"loss {last.kept_validation:.4g}"
    training = best.training_accuracy if best else None
    return stage, epoch, NONE if training is None else f"{100 * training:.1f} %", validation
