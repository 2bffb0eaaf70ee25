"""What a training says of each epoch: JSON lines, and TensorBoard's event files."""

from __future__ import annotations

import contextlib
import importlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from spikeport.errors import MissingDependencyError
from spikeport.files import write_text

METRICS = "metrics.jsonl"


def write_metrics(path: Path, stage: str, rows: list[dict[str, Any]]) -> None:
    """Rewrites the JSON lines of `stage` in `path` as `rows`; lines of other stages stay."""
    others = []
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines()
        others = [line for line in lines if json.loads(line).get("stage") != stage]
    own = [json.dumps(row, allow_nan=False) for row in rows]
    write_text(path, "".join(line + "\n" for line in [*others, *own]))


def last_row(path: Path, stage: str) -> dict[str, Any] | None:
    """The last epoch's row of `stage`, or None where it has none."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rows = [row for row in map(json.loads, lines) if row.get("stage") == stage]
    return rows[-1] if rows else None


def forget_metrics(path: Path, stages: Iterable[str]) -> None:
    """Takes the lines of `stages` out of `path`, where there are any."""
    if not path.exists():
        return
    lines, gone = path.read_text(encoding="utf-8").splitlines(), set(stages)
    kept = [line for line in lines if json.loads(line).get("stage") not in gone]
    if len(kept) < len(lines):
        write_text(path, "".join(line + "\n" for line in kept))


class TensorBoardWriter:
    """A folder of TensorBoard event files, one scalar a number and epoch. `done` epochs are in it already: what a
    killed training wrote beyond them is hidden. Raises MissingDependencyError where no writer is installed."""

    def __init__(self, folder: Path, done: int) -> None:
        self._writer = _writer_class()(str(folder), purge_step=done + 1 if done else None)

    def write(self, row: dict[str, Any]) -> None:
        """The numbers of a row of metrics at its epoch; each of a list's or a table's by itself."""
        for name, value in row.items():
            if name == "epoch" or not isinstance(value, (int, float, list, dict)):
                continue
            within = dict(enumerate(value)) if isinstance(value, list) else value
            named = (
                {f"{name}/{key}": entry for key, entry in within.items()} if isinstance(within, dict) else {name: value}
            )
            for tag, number in named.items():
                self._writer.add_scalar(tag, number, row["epoch"])
        self._writer.flush()

    def close(self) -> None:
        """Ends the file."""
        self._writer.close()


def _writer_class() -> Any:
    for module in ("torch.utils.tensorboard", "tensorboardX"):
        with contextlib.suppress(ImportError):
            return importlib.import_module(module).SummaryWriter
    raise MissingDependencyError(
        "nothing here writes TensorBoard's files",
        where="training.tensorboard",
        hint="pip install 'spikeport[tensorboard]'",
    )
