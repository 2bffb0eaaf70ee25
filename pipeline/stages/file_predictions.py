"""Predicted classes of event files as values, as lines of text and as a CSV file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spikeport.files import write_text
from spikeport.pipeline.report.content.csv_tables import csv_text
from spikeport.pipeline.run.intervals import Accuracy
from spikeport.pipeline.stages.accuracy_lines import answer_lines
from spikeport.pipeline.stages.outputs import PREDICTIONS_HEAD, check_file, is_predictions
from spikeport.tables import text_of, text_table

SCORES = {"spikes": "spikes", "membrane": "membrane", "values": "value", "linear": "score"}  # by kind of read-out
WIDE = 12  # more classes than this have no column each in the printed table
HIGHEST = 3  # classes whose scores are then printed


@dataclass(frozen=True, kw_only=True)
class FilePrediction:
    """The predicted class of one recording.

    Attributes:
        recording: the file.
        predicted: name of the class; "no answer" where no output fired.
        silent: whether no output fired.
        margin: score of the predicted class less the highest of the others; 0 where no output fired.
        scores: score of each class: output spikes; with another read-out, voltages in the chip's units, values, or
            results of the linear layer.
        events: events inside the time window.
        label: name of the true class, if the recording lies in a folder of classes.
        start_us: begin of the window, in microseconds after the first event; None where recordings are not cut.
    """

    recording: str
    predicted: str
    silent: bool
    margin: int | float
    scores: tuple[int | float, ...]
    events: int
    label: str | None = None
    start_us: int | None = None


@dataclass(frozen=True, kw_only=True)
class UnreadFile:
    """A file that could not be read.

    Attributes:
        recording: the file.
        reason: why.
    """

    recording: str
    reason: str

    def __str__(self) -> str:
        return f"{self.recording}: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class FilePredictions:
    """Predicted classes of event files, in the order of the files.

    Attributes:
        classes: names of the classes, in order of `FilePrediction.scores`.
        score: what the scores are: "spikes", "membrane", "value" or "score".
        rows: the recordings.
        unread: the files that could not be read.
        accuracy: accuracy of the recordings in class folders with an interval; None without such folders.
        of_dataset: how many of the labeled recordings belong to the data set that the run was trained from.
    """

    classes: tuple[str, ...]
    score: str
    rows: tuple[FilePrediction, ...]
    unread: tuple[UnreadFile, ...] = ()
    accuracy: Accuracy | None = None
    of_dataset: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[FilePrediction]:
        return iter(self.rows)

    def __repr__(self) -> str:
        return text_of(self.lines())

    def lines(self) -> list[str]:
        """The predictions as a table, then accuracy and silent recordings."""
        wide = len(self.classes) > WIDE
        scores = (f"highest {self.score}",) if wide else tuple(f"{self.score} {name}" for name in self.classes)
        cells = [
            (
                row.recording,
                *self._start(row),
                row.predicted,
                *((highest_scores(row, self.classes),) if wide else row.scores),
                row.margin,
                row.events,
            )
            for row in self.rows
        ]
        start = ("from s",) if self.cut else ()
        table = text_table(("recording", *start, "class", *scores, "margin", "events"), cells) if cells else []
        return [*table, *self.answers()]

    def answers(self) -> list[str]:
        """Accuracy and silent recordings as lines of text."""
        silent = sum(row.silent for row in self.rows)
        answers = answer_lines(self.accuracy, len(self.rows), silent)
        if self.of_dataset:
            answers.append(
                f"note: {self.of_dataset:,} of these recordings are in the data set of the run, which may be trained "
                "on them; the accuracy of its test part is in the report"
            )
        return answers

    @property
    def cut(self) -> bool:
        """Whether the rows are windows of recordings."""
        return any(row.start_us is not None for row in self.rows)

    def _start(self, row: FilePrediction) -> tuple[str, ...]:
        return () if row.start_us is None else (f"{row.start_us / 1e6:.3f}",)

    def to_json(self) -> dict[str, Any]:
        """The predictions in JSON values; `scores` are in the order of `classes`."""
        return {
            "classes": list(self.classes),
            "score": self.score,
            "recordings": [_to_json(row) for row in self.rows],
            "unread": [asdict(file) for file in self.unread],
            "accuracy": self.accuracy,
            "of_dataset": self.of_dataset,
        }

    def save_csv(self, path: str | os.PathLike[str], *, cut: bool = False) -> None:
        """Writes a CSV file: recording, class, silent, margin, a column for the score of each class, and events; then
        start_us where recordings were cut into windows.

        Args:
            path: the file. A file of earlier predictions is replaced.
            cut: whether the rows are windows, which says the columns where there is no row.

        Raises:
            UserError: the file exists and is of another kind.
            CannotWriteError: the file cannot be written.
        """
        check_file(Path(path), "table of predictions", is_predictions)
        cut = cut or self.cut
        columns = [f"{self.score}_{name}" for name in self.classes]
        head = (*PREDICTIONS_HEAD, *columns, "events", *(("start_us",) if cut else ()))
        rows = [
            (
                row.recording,
                row.predicted,
                int(row.silent),
                row.margin,
                *row.scores,
                row.events,
                *((row.start_us,) if cut else ()),
            )
            for row in self.rows
        ]
        write_text(path, csv_text([dict(zip(head, row, strict=True)) for row in rows], head))


def highest_scores(row: FilePrediction, classes: tuple[str, ...]) -> str:
    """The classes with the highest scores as text, the predicted one first.

    Args:
        row: the prediction.
        classes: names of the classes.
    """
    order = sorted(range(len(classes)), key=lambda k: (classes[k] != row.predicted, -row.scores[k]))
    return ", ".join(f"{classes[k]} {row.scores[k]:g}" for k in order[:HIGHEST])


def _to_json(row: FilePrediction) -> dict[str, Any]:
    values = asdict(row) | {"scores": list(row.scores)}
    if row.start_us is None:
        del values["start_us"]
    return values
