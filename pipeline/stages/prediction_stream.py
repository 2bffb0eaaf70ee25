"""Predictions that come one after the other, and the value that they make together."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from spikeport.export.network.accuracy import compare_with_labels
from spikeport.export.network.readout import SILENT, UNLABELED
from spikeport.pipeline.run.intervals import share
from spikeport.pipeline.stages.file_predictions import FilePrediction, FilePredictions, UnreadFile

Row = FilePrediction | UnreadFile


class PredictionStream(Iterator[Row]):
    """Predictions of recordings or windows, each as soon as it is known. They are read once.

    Args:
        rows: the predictions.
        classes: names of the classes, in order of `FilePrediction.scores`.
        score: what the scores are: "spikes", "membrane", "value" or "score".
        cut: whether the rows are windows.
        recordings: names of the recordings, if they are known before.
        own: folder of recordings that the run was trained from; "" where there is none.

    Attributes:
        classes: as above.
        score: as above.
        cut: as above.
        recordings: as above.
    """

    def __init__(
        self, rows: Iterator[Row], *, classes: tuple[str, ...], score: str, cut: bool, recordings: tuple[str, ...] = (),
        own: str = "",
    ) -> None:  # fmt: skip
        self._rows, self._own = rows, own
        self.classes, self.score, self.cut, self.recordings = classes, score, cut, recordings

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
        inside = {row.recording: self._is_own(row.recording) for row in known if row.label is not None}
        return FilePredictions(
            classes=self.classes,
            score=self.score,
            rows=tuple(known),
            unread=tuple(row for row in every if isinstance(row, UnreadFile)),
            accuracy=share(compare_with_labels(labels, predicted)) if labeled else None,
            of_dataset=sum(inside[row.recording] for row in known if row.label is not None),
        )

    def _is_own(self, file: str) -> bool:
        return self._own != "" and os.path.realpath(file).startswith(os.path.join(self._own, ""))
