"""Predictions as lines of text and of JSON, one at a time, before the others are known."""

from __future__ import annotations

import json
from dataclasses import asdict

from spikeport.pipeline.report.content.words import NO_ANSWER
from spikeport.pipeline.stages.file_predictions import WIDE, FilePrediction, UnreadFile, highest_scores
from spikeport.pipeline.stages.prediction_stream import PredictionStream
from spikeport.tables import cell_text

NUMBER = 8  # characters of a column of numbers


class PredictionLines:
    """Lines of a table whose columns are as wide as the names that are known before.

    Args:
        stream: the predictions.
    """

    def __init__(self, stream: PredictionStream) -> None:
        self._classes = stream.classes
        self._cut = stream.cut
        self._only_highest = len(stream.classes) > WIDE
        scores = (
            [f"highest {stream.score}"] if self._only_highest else [f"{stream.score} {name}" for name in stream.classes]
        )
        self._head = ["recording", *(["from s"] if self._cut else []), "class", *scores, "margin", "events"]
        self._widths = [max(NUMBER, len(name)) for name in self._head]
        self._widths[0] = max(len("recording"), stream.width)
        self._text = {0, 1 + self._cut} | (
            {2 + self._cut} if self._only_highest else set()
        )  # columns aligned to the left
        self._widths[1 + self._cut] = max(map(len, (NO_ANSWER, *map(cell_text, stream.classes))))

    def head(self) -> list[str]:
        """The names of the columns, and a rule."""
        return [self._aligned(self._head), "  ".join("-" * width for width in self._widths)]

    def row(self, row: FilePrediction) -> str:
        """A row of the table.

        Args:
            row: the prediction.
        """
        start = [] if row.start_us is None else [f"{row.start_us / 1e6:.3f}"]
        scores = [highest_scores(row, self._classes)] if self._only_highest else row.scores
        cells = (row.recording, *start, row.predicted, *scores, row.margin, row.events)
        return self._aligned([cell_text(cell) for cell in cells])

    def json(self, row: FilePrediction | UnreadFile) -> str:
        """A row as one line of JSON: the attributes of the row, `scores` by class; no `label` or `start_us` of None.

        Args:
            row: the prediction, or a file that could not be read.
        """
        values = asdict(row)
        if isinstance(row, FilePrediction):
            values["scores"] = dict(zip(self._classes, row.scores, strict=True))
            values = {
                name: value for name, value in values.items() if name not in ("label", "start_us") or value is not None
            }
        return json.dumps(values, allow_nan=False)

    def _aligned(self, cells: list[str]) -> str:
        parts = [
            cell.ljust(width) if column in self._text else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, self._widths, strict=True))
        ]
        return "  ".join(parts).rstrip()
