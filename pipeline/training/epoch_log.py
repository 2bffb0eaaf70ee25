"""The log of the epochs of a run's trainings, as JSON lines."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import TypeAdapter

from spikeport.files import write_text
from spikeport.pipeline.training.results import EpochRow

METRICS = "metrics.jsonl"


def write_metrics(path: Path, stage: str, rows: Sequence[EpochRow]) -> None:
    """Replaces the lines of one stage in the log. Lines of other stages stay.

    Args:
        path: metrics.jsonl.
        stage: name of the stage.
        rows: one row for each epoch.
    """
    lines = [line for line in _lines(path) if json.loads(line).get("stage") != stage]
    lines += [json.dumps(row.to_json(), allow_nan=False) for row in rows]
    write_text(path, "".join(line + "\n" for line in lines))


def last_row(path: Path, stage: str) -> EpochRow | None:
    """The row of the last epoch of a stage; None if there is none.

    Args:
        path: metrics.jsonl.
        stage: name of the stage.
    """
    rows = [row for row in map(json.loads, _lines(path)) if row.get("stage") == stage]
    return EpochRow.from_json(rows[-1]) if rows else None


def rows_of_stages(path: Path) -> dict[str, list[EpochRow]]:
    """The rows of each stage, in the order of the log. Lines that are no rows are left out.

    Args:
        path: metrics.jsonl; it may be missing.
    """
    found: dict[str, list[EpochRow]] = {}
    adapter = TypeAdapter(EpochRow)
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        with contextlib.suppress(ValueError, TypeError):
            row = adapter.validate_python(vars(EpochRow.from_json(dict(json.loads(line)))))
            found.setdefault(row.stage, []).append(row)
    return found


def forget_metrics(path: Path, stages: Iterable[str]) -> None:
    """Removes the lines of stages from the log.

    Args:
        path: metrics.jsonl; it may be missing.
        stages: names of the stages.
    """
    lines, removed = _lines(path), set(stages)
    others = [line for line in lines if json.loads(line).get("stage") not in removed]
    if len(others) < len(lines):
        write_text(path, "".join(line + "\n" for line in others))


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []
