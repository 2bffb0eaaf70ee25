"""Compares runs of the distillation study that today's code does again with the recorded ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from spikeport.tables import text_table

KINDS = ("float", "quantized")
HEAD = ("part", "run", "recorded", "float", "quantized", "today: float", "quantized", "other answers")
NOTE = """float, quantized: accuracy in per cent of the test recordings. other answers: recordings that only one of
the two runs classifies correctly, float / quantized."""


def other_answers(recorded: Mapping[str, Any], today: Mapping[str, Any]) -> tuple[int, int]:
    """Recordings that one run classifies correctly and the other does not: in float, quantized.

    Args:
        recorded, today: runs of the study on the same test recordings in the same order.
    """
    first, second = (
        sum(one != two for one, two in zip(recorded[f"correct_{kind}"], today[f"correct_{kind}"], strict=True))
        for kind in KINDS
    )
    return first, second


def merged(before: Sequence[Mapping[str, Any]], again: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Runs of earlier commands and those of this one, which replace earlier ones of the same part and name.

    Args:
        before, again: runs with their part and name.
    """
    new = {(run["part"], run["run"]) for run in again}
    runs = [*(run for run in before if (run["part"], run["run"]) not in new), *again]
    return sorted(runs, key=lambda run: (run["part"], run["seed"], run["fold"] or 0, run["run"]))


def page(runs: Sequence[Mapping[str, Any]], parts: Mapping[str, Any]) -> list[str]:
    """Commands and versions, then the comparison, as text.

    Args:
        runs: today's runs, with the command and the versions of each.
        parts: parts of the study with the recorded runs.
    """
    lines = []
    for command in dict.fromkeys(run["command"] for run in runs):
        about = next(run["about"] for run in runs if run["command"] == command)
        lines += [command, json.dumps(about), ""]
    rows, equal = [], 0
    for run in runs:
        recorded = next(each for each in parts[run["part"]]["runs"] if each["run"] == run["run"])
        shares = [f"{100 * each[f'accuracy_{kind}']:.2f}" for each in (recorded, run) for kind in KINDS]
        apart = other_answers(recorded, run)
        equal += apart == (0, 0)
        name = run["run"].lstrip("-")
        rows.append((run["part"], name, recorded["created_utc"][:10], *shares, " / ".join(map(str, apart))))
    last = f"{equal} of {len(runs)} runs give the same answer for every recording, in float and quantized."
    return [*lines, *text_table(HEAD, rows), "", *NOTE.splitlines(), "", last]
