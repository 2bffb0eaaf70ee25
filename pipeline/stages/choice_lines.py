"""The choice of "auto" as lines of text: a table of the candidates, and what was chosen and why."""

from __future__ import annotations

from spikeport.pipeline.report.content.choice import HEADS, ChoiceJson, cells, sentences
from spikeport.tables import text_table


def choice_lines(choice: ChoiceJson) -> list[str]:
    """The table, and below it the sentences. Without a comparison the reason alone.

    Args:
        choice: result of the stage `choice` in JSON values.
    """
    rows = [cells(row) for row in choice["candidates"]]
    return [*(text_table(tuple(map(str.lower, HEADS)), rows) if rows else []), *sentences(choice)]
