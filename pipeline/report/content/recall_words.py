"""Notes about the recall of each class."""

from __future__ import annotations

from spikeport.pipeline.report.content import words
from spikeport.pipeline.report.content.recall import Recalls
from spikeport.pipeline.report.content.report_json import Report


def recall_note(report: Report, found: Recalls, rows: int) -> str:
    """Definition, macro average, and the share of the most frequent class.

    Args:
        report: content of report.json.
        found: recall of all classes.
        rows: number of classes in the table.
    """
    few = f" The {rows} classes with the lowest recall." if rows < sum(one["n"] > 0 for one in found["classes"]) else ""
    return (
        f"Recall: share of the {words.of_recordings(report)} of a class that the integer reference assigns to it, with "
        f"Wilson 95 % intervals{words.if_drawn(report)}.{few} Mean over the classes (macro average): "
        f"{words.percent(found['macro'])}. Always the most frequent class (“{found['majority_class']}”): "
        f"{words.percent(found['majority'])} of all recordings."
    )
