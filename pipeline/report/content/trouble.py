"""Reasons why a network is not usable, from the warnings of a run: the first part of a summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spikeport.pipeline.report.content import words
from spikeport.pipeline.report.content.report_json import StageAccuracy, Warning


@dataclass(frozen=True)
class Trouble:
    """A fault of a network.

    Attributes:
        text: the fault in words; empty where none was found.
        fails: whether at least half of the recordings have no answer, or the answers are a guess.
        silent: whether `text` contains the number of recordings without an answer.
    """

    text: str = ""
    fails: bool = False
    silent: bool = False


def trouble_of(accuracy: Mapping[str, StageAccuracy], method: str, warnings: Sequence[Warning]) -> Trouble:
    """The fault of the network in the summary: the quantized student, else the reference, else the float student.

    Args:
        accuracy: accuracies by stage.
        method: distillation method; "auto: " and what was chosen, for "auto".
        warnings: findings of the run.
    """
    method = method.partition(":")[0]
    stages = {
        "student_quantized": (f"quantized-{method}", "quantized student"),
        "reference": ("simulate", "network"),
        "student_float": (f"student-{method}", "float student"),
    }
    stage, subject = stages[next((name for name in stages if accuracy[name]["value"] is not None), "reference")]
    found = {each["kind"]: each["value"] for each in warnings if each["stage"] == stage}
    if silent := found.get("silent"):
        text = f"the {subject} does not answer in {silent['silent']:,} of {silent['n']:,} recordings"
        return Trouble(text, "guessing" in found or 2 * silent["silent"] >= silent["n"], silent=True)
    if guess := found.get("guessing"):
        share = words.percent(guess["most_frequent"])
        better = "hardly" if guess["right"] > guess["most_frequent"] * guess["n"] else "no"
        return Trouble(f"the {subject} is {better} better than always saying the most frequent class ({share})", True)
    return Trouble()
