"""Prints predictions as they are known, and writes them when there are no more."""

from __future__ import annotations

import sys
from pathlib import Path

from spikeport.errors import UserError, printable
from spikeport.notes import warning
from spikeport.pipeline.cli.console import show
from spikeport.pipeline.stages.accuracy_lines import answer_lines
from spikeport.pipeline.stages.file_predictions import FilePrediction
from spikeport.pipeline.stages.prediction_lines import PredictionLines
from spikeport.pipeline.stages.prediction_stream import PredictionStream, Row


def print_predictions(
    stream: PredictionStream, *, json: bool, jsonl: bool, csv: Path | None, endless: bool = False
) -> None:
    """Prints each row at once; then the summary, also where a fault or Ctrl-C ends the rows.

    Args:
        stream: the predictions.
        json: print the whole value as JSON at the end, and no rows.
        jsonl: print rows as lines of JSON, and the summary on standard error.
        csv: file for the table, which is written at the end.
        endless: whether there may be more rows than can be held; they are then kept for `json` and `csv` alone.

    Raises:
        UserError: files could not be read, or the fault of the stream.
    """
    output = _Output(PredictionLines(stream), json, jsonl)
    kept: list[Row] = []
    try:
        for row in stream:
            output.add(row)
            if json or csv is not None or not endless:
                kept.append(row)
    finally:
        found = stream.collected(kept)
        if csv is not None:
            found.save_csv(csv, cut=stream.cut)
        if json:
            show(found.to_json(), True, [])
        else:
            answers = answer_lines(None, output.rows, output.silent) if endless else found.answers()
            if endless:
                answers.insert(0, f"classified: {output.rows:,} {'windows' if stream.cut else 'recordings'}")
            for line in answers:
                print(printable(line), file=sys.stderr if jsonl else sys.stdout)
            if csv is not None and not jsonl:
                print(printable(str(csv)))
        sys.stdout.flush()
    if output.unread:
        bad, total = output.unread, output.unread + output.rows
        raise UserError(f"{bad:,} of {total:,} files could not be read", hint="the warnings above say why")


class _Output:
    """Prints rows and counts them."""

    def __init__(self, lines: PredictionLines, json: bool, jsonl: bool) -> None:
        self.rows = self.silent = self.unread = 0
        self._lines, self._json, self._jsonl = lines, json, jsonl

    def add(self, row: Row) -> None:
        if isinstance(row, FilePrediction):
            if not self._json and not self._jsonl:
                if not self.rows:
                    print(*map(printable, self._lines.head()), sep="\n")
                print(printable(self._lines.row(row)), flush=True)
            self.rows += 1
            self.silent += row.silent
        else:
            warning(str(row))
            self.unread += 1
        if self._jsonl:
            print(self._lines.json(row), flush=True)
