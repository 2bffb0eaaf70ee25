"""Compares runs of the distillation study that today's code does again with the recorded ones."""

from __future__ import annotations

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


def page(pairs: Sequence[tuple[str, Mapping[str, Any], Mapping[str, Any]]]) -> list[str]:
    """The comparison as text.

    Args:
        pairs: name of the part, recorded run and today's run.
    """
    rows = []
    for part, recorded, today in pairs:
        shares = [f"{100 * run[f'accuracy_{kind}']:.2f}" for run in (recorded, today) for kind in KINDS]
        apart = " / ".join(map(str, other_answers(recorded, today)))
        rows.append((part, recorded["run"], recorded["created_utc"][:10], *shares, apart))
    equal = sum(other_answers(recorded, today) == (0, 0) for _, recorded, today in pairs)
    last = f"{equal} of {len(pairs)} runs give the same answer for every recording, in float and quantized."
    return [*text_table(HEAD, rows), "", *NOTE.splitlines(), "", last]
