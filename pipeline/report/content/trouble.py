"""Why a report's network is no answer, from its warnings: what a summary says first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spikeport.pipeline.report.content import words


@dataclass(frozen=True)
class Trouble:
    """`text`: what is wrong, in words, empty where nothing was found. `fails`: half of the recordings or more have no
    answer, or the answers are a guess; then there is nothing to say for the network. `silent`: the text counts them."""

    text: str = ""
    fails: bool = False
    silent: bool = False


def trouble_of(report: dict[str, Any]) -> Trouble:
    """Of the network whose accuracy the summary names: quantized student, else reference, else float student."""
    accuracy, method = report["accuracy"], report["method"]
    stages = {
        "student_quantized": (f"quantized-{method}", "quantized student"),
        "reference": ("simulate", "network"),
        "student_float": (f"student-{method}", "float student"),
    }
    stage, subject = stages[next((name for name in stages if accuracy[name]["value"] is not None), "reference")]
    found = {each["kind"]: each["value"] for each in report.get("warnings", ()) if each["stage"] == stage}
    if silent := found.get("silent"):
        text = f"the {subject} does not answer in {silent['silent']:,} of {silent['n']:,} recordings"
        return Trouble(text, "guessing" in found or 2 * silent["silent"] >= silent["n"], silent=True)
    if guess := found.get("guessing"):
        share = words.percent(guess["most_frequent"])
        better = "hardly" if guess["right"] > guess["most_frequent"] * guess["n"] else "no"
        return Trouble(f"the {subject} is {better} better than always saying the most frequent class ({share})", True)
    return Trouble()
