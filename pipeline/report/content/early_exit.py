"""A network read after fewer steps: accuracy against energy, for both pages."""

from __future__ import annotations

from spikeport.pipeline.report.charts import pareto
from spikeport.pipeline.report.charts.plane import Plot
from spikeport.pipeline.report.content import words
from spikeport.pipeline.report.content.report_json import Report

HEADS = ("Steps", "Accuracy", "Wilson 95 % interval", "No answer", "Dynamic energy")


def plot(report: Report) -> Plot | None:
    """The drawing, each mark numbered by its steps; None where there are no points."""
    early_exit = report["early_exit"]
    if "points" not in early_exit:
        return None
    points = [
        pareto.Point(
            number=point["steps"],
            label=f"read after {point['steps']} steps",
            energy=point["dynamic_uj"],
            accuracy=words.interval_of(point["accuracy"]),
            basis_kind=words.basis_kind(early_exit["basis"], point["dynamic_uj"]),
        )
        for point in early_exit["points"]
    ]
    return pareto.plot(points, f"Accuracy against energy on {early_exit['name']} by the number of steps read")


def note(report: Report) -> str:
    """What the numbers are."""
    early_exit, steps = report["early_exit"], report["dataset"]["steps"]
    return (
        f"Accuracy and energy on {early_exit['name']} if only the first of the {steps} steps are simulated. "
        "The network was not trained for an early readout."
    )


def cells(report: Report) -> list[list[str]]:
    """A row of HEADS for each point, as text."""
    return [
        [
            f"{point['steps']:,}",
            words.percent(point["accuracy"]["value"]),
            words.percent_range(point["accuracy"]),
            words.silent_count(point["accuracy"]),
            words.quantity_text(point["dynamic_uj"], "µJ"),
        ]
        for point in report["early_exit"]["points"]
    ]
