"""Predictions that come one after the other, and the value that they make together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from spikeport.export.network.accuracy import compare_with_labels
from spikeport.export.network.readout import SILENT, UNLABELED
from spikeport.pipeline.run.intervals import share
from spikeport.pipeline.run.sections.data import Data
from spikeport.pipeline.stages.file_predictions import FilePrediction, FilePredictions, UnreadFile
from spikeport.pipeline.stages.own_recordings import count_own

Row = FilePrediction | UnreadFile


class PredictionStream(Iterator[Row]):
    """Predictions of recordings or windows, each as soon as it is known. They are read once.

    Args:
        rows: the predictions.
        classes: names of the classes, in order of `FilePrediction.scores`.
        score: what the scores are: "spikes", "membrane", "value" or "score".
        cut: whether the rows are windows.
        width: characters of the longest name of a recording, as far as it is known; 0 where it is not.
        data: `[data]` of the run, whose recordings are counted among the labeled ones; None: they are not counted.

    Attributes:
        classes: as above.
        score: as above.
        cut: as above.
        width: as above.
    """

    def __init__(
        self, rows: Iterator[Row], *, classes: tuple[str, ...], score: str, cut: bool, width: int = 0,
        data: Data | None = None,
    ) -> None:  # fmt: skip
        self._rows, self._data = rows, data
        self.classes, self.score, self.cut, self.width = classes, score, cut, width

    def __next__(self) -> Row:
        return next(self._rows)

    def collected(self, rows: Iterable[Row]) -> FilePredictions:
        """Rows that were read as one value, with the accuracy if there are labels.

        Args:
            rows: the rows.

        Returns:
            The value that `predict` returns.
        """
        every = list(rows)
        known = [row for row in every if isinstance(row, FilePrediction)]
        number = {name: at for at, name in enumerate(self.classes)}
        labels = [UNLABELED if row.label is None else number[row.label] for row in known]
        predicted = [SILENT if row.silent else number[row.predicted] for row in known]
        labeled = any(label != UNLABELED for label in labels)
        files = [Path(name) for name in dict.fromkeys(row.recording for row in known if row.label is not None)]
        return FilePredictions(
            classes=self.classes,
            score=self.score,
            rows=tuple(known),
            unread=tuple(row for row in every if isinstance(row, UnreadFile)),
            accuracy=share(compare_with_labels(labels, predicted)) if labeled else None,
            of_dataset=count_own(self._data, files) if self._data else 0,
        )
