"""A network read after fewer steps: accuracy against energy, for both pages."""

from __future__ import annotations

from typing import Any

from spikeport.pipeline.report.charts import pareto
from spikeport.pipeline.report.charts.plane import Plot
from spikeport.pipeline.report.content import words

HEADS = ("Steps", "Accuracy", "Wilson 95 % interval", "No answer", "Dynamic energy")
ENDS = (("low", "low"), ("nominal", "value"), ("high", "high"))  # of a mark, and of an accuracy


def plot(report: dict[str, Any]) -> Plot | None:
    """The drawing, each mark numbered by its steps; None where there are no points."""
    early = report["early"]
    if "points" not in early:
        return None
    points = [
        pareto.Point(
            number=point["steps"],
            label=f"read after {point['steps']} steps",
            energy=point["dynamic_uj"],
            accuracy={end: point["accuracy"][key] for end, key in ENDS},
            standing=words.standing(early["basis"], point["dynamic_uj"]),
        )
        for point in early["points"]
    ]
    return pareto.plot(points, f"Accuracy against energy on {early['name']} by the number of steps read")


def note(report: dict[str, Any]) -> str:
    """What the numbers are."""
    early, steps = report["early"], report["dataset"]["steps"]
    return (
        f"The same network read after so many of its {steps} steps, and what it spent on {early['name']} until then. "
        "It was not trained to be read early; one that was may do better."
    )


def cells(report: dict[str, Any]) -> list[list[str]]:
    """A row of HEADS for each point, as text."""
    return [
        [
            f"{point['steps']:,}",
            words.percent(point["accuracy"]["value"]),
            words.percent_range(point["accuracy"]),
            words.tested(point["accuracy"])[1],
            words.quantity_text(point["dynamic_uj"], "µJ"),
        ]
        for point in report["early"]["points"]
    ]
