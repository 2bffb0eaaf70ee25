"""Accuracy and energy over time steps, as a chart and a table of both pages."""

from __future__ import annotations

from spikeport.pipeline.report.charts import pareto
from spikeport.pipeline.report.charts.plane import Plot
from spikeport.pipeline.report.content import words
from spikeport.pipeline.report.content.report_json import Report

HEADS = ("Steps", "Accuracy", "Wilson 95 % interval", "No answer", "Dynamic energy")


def plot(report: Report) -> Plot | None:
    """Chart of accuracy against energy, each mark labeled with its number of time steps; None without points.

    Args:
        report: content of report.json.
    """
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
    """Definition of the numbers in the table.

    Args:
        report: content of report.json.
    """
    early_exit, steps = report["early_exit"], report["dataset"]["steps"]
    return (
        f"Accuracy and energy on {early_exit['name']} if only the first of the {steps} steps are simulated. "
        "The network was not trained for an early readout."
    )


def cells(report: Report) -> list[list[str]]:
    """Cells of the table: the columns HEADS, a row for each number of time steps.

    Args:
        report: content of report.json.
    """
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
