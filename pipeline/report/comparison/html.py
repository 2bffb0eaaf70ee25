"""Makes compare.html: a comparison of runs on one page without requests to the network."""

from __future__ import annotations

from markupsafe import Markup

from spikeport.pipeline.report.charts import pareto
from spikeport.pipeline.report.charts import svg as charts
from spikeport.pipeline.report.comparison import views as compare_views
from spikeport.pipeline.report.comparison import words as compare_words
from spikeport.pipeline.report.comparison.compare_json import ComparedRun, Comparison
from spikeport.pipeline.report.comparison.views import DeviceRow, DeviceView
from spikeport.pipeline.report.content import words
from spikeport.pipeline.report.content.headline import passed
from spikeport.pipeline.report.pages.page import render

DIFFERENCES = ("student_float", "student_quantized", "reference")


def render_html(comparison: Comparison) -> str:
    """Makes the page of a comparison. Equal comparisons give equal bytes.

    Args:
        comparison: content of compare.json, from `build_comparison` or read back.
    """
    return render(
        "compare.html.j2",
        comparison=comparison,
        passed=all(passed(run) for run in comparison["runs"]),
        said=compare_words,
        views=compare_views,
        accuracy=_accuracy(comparison["runs"]),
        against=_against(comparison),
        changes=compare_views.changes(comparison),
        apart=[against["run"] for against in comparison["against_first"] if not against["same_recordings"]],
        energy=[_energy(device) for device in compare_views.devices(comparison)],
    )


def _accuracy(runs: list[ComparedRun]) -> dict[str, object]:
    """Rows and charts of accuracies by stage, on one axis."""
    known = [entry for run in runs for entry in run["accuracy"].values() if entry["value"] is not None]
    axis = charts.share_axis(min((words.interval_of(entry)["low"] for entry in known), default=0.0))
    stages = []
    for stage in runs[0]["accuracy"]:
        name = words.stage_name(stage)
        rows = []
        for run in runs:
            entry, drawn = run["accuracy"][stage], Markup("")
            if entry["value"] is not None:
                title = f"{name}, {run['label']}: {words.percent(entry['value'])} ({words.percent_range(entry)})"
                drawn = charts.interval(axis, words.interval_of(entry), title)
            rows.append({"run": run, "chart": drawn, **entry})
        why = compare_views.unknown_in_all(runs, "accuracy", stage)
        stages.append({"name": name, "note": words.stage_note(stage), "rows": [] if why else rows, "why": why})
    return {"stages": stages, "scale": charts.scale(axis, [f"{100 * tick:.0f} %" for tick in axis.ticks])}


def _against(comparison: Comparison) -> dict[str, object]:
    """Paired differences of each other run to the first, on one axis around zero; `why` where they are not paired."""
    entries = [entry for against in comparison["against_first"] for entry in against["accuracy"].values()]
    ends = [abs(end) for entry in entries if entry["value"] is not None for end in (entry["low"], entry["high"])]
    axis = charts.difference_axis(max(ends, default=0.0))
    first, runs = comparison["runs"][0], []
    for run, against in zip(comparison["runs"][1:], comparison["against_first"], strict=True):
        rows = []
        for stage in DIFFERENCES:
            entry = against["accuracy"][stage]
            if entry["value"] is None:
                continue
            title = (
                f"{words.stage_name(stage)}, {run['label']} against {first['label']}: {words.points(entry['value'])} "
                f"points ({words.points_range(entry)})"
            )
            chart = charts.interval(axis, words.interval_of(entry), title)
            rows.append({"name": words.stage_name(stage), "chart": chart, **entry})
        finding = ""
        if rows and (stage := compare_words.deployed(run["accuracy"])):
            finding = words.finding(against["accuracy"][stage], run["label"], first["label"])
        runs.append({"run": run, "rows": rows, "why": against["reason"], "finding": finding})
    labels = [words.points(tick) for tick in axis.ticks]
    return {"runs": runs, "scale": charts.scale(axis, labels) if ends else Markup("")}


def _energy(device: DeviceView) -> dict[str, object]:
    """A device's rows with charts on one logarithmic axis, and accuracy against energy where both are known."""
    values: list[float] = []
    points = []
    for row in device["rows"]:
        estimate = row["estimate"]
        if not estimate or not estimate["headline"]:
            continue
        values += [estimate["headline"]["low"], estimate["headline"]["high"]]
        values += [estimate["total"]["nominal"]] if estimate["total"] else []
        if stage := compare_words.deployed(row["run"]["accuracy"]):
            points.append(
                pareto.Point(
                    number=row["run"]["number"],
                    label=row["run"]["label"],
                    energy=estimate["headline"],
                    accuracy=words.interval_of(row["run"]["accuracy"][stage]),
                    basis_kind=estimate["basis_kind"],
                )
            )
    axis = charts.log_axis(values)
    rows = [{**row, "chart": _chart(row, axis)} for row in device["rows"]]
    title = f"Accuracy against energy on {device['name']}"
    return {
        **device,
        "rows": rows,
        "scale": charts.scale(axis, [f"{tick:,g}" for tick in axis.ticks]) if device["known"] else Markup(""),
        "plot": pareto.plot(points, title) if points else None,
    }


def _chart(row: DeviceRow, axis: charts.Axis) -> Markup:
    estimate = row["estimate"]
    if not estimate or not estimate["headline"]:
        return Markup("")
    energy = words.quantity_text(estimate["headline"], "µJ")
    title = f"{row['run']['label']}: {estimate['basis_kind']}, {energy} per inference"
    total = estimate["total"]["nominal"] if estimate["dynamic"] and estimate["total"] else None
    return charts.interval(axis, estimate["headline"], title, estimate["basis_kind"], total)
