"""Makes report.html: one self-contained page without requests to the network."""

from __future__ import annotations

from markupsafe import Markup

from spikeport.export.network.sampling import SEED
from spikeport.pipeline.profiling.baseline.rows import BaselineRow
from spikeport.pipeline.report.charts import batch_curve, training_curve
from spikeport.pipeline.report.charts import svg as charts
from spikeport.pipeline.report.content import (
    choice,
    early_exit,
    elsewhere,
    layer_rows,
    leaderboard,
    training,
    window_words,
    words,
    worst,
)
from spikeport.pipeline.report.content.confusion import mistakes, shaded
from spikeport.pipeline.report.content.glossary import TERMS
from spikeport.pipeline.report.content.headline import passed
from spikeport.pipeline.report.content.layer_flow import layer_flow
from spikeport.pipeline.report.content.page_text import sentences as page_sentences
from spikeport.pipeline.report.content.recall import listed
from spikeport.pipeline.report.content.recall_words import recall_note
from spikeport.pipeline.report.content.report_json import (
    DatasetFacts,
    DistillationEffect,
    LayerRow,
    Reason,
    Report,
    SampleJson,
    StageAccuracy,
)
from spikeport.pipeline.report.content.samples import unpack_frames
from spikeport.pipeline.report.pages.energy_detail import energy_section
from spikeport.pipeline.report.pages.page import render
from spikeport.pipeline.report.pages.sections import sections
from spikeport.pipeline.run.health import line

MOST_FRAMES = 12
MOST_CLASSES = 12
FILES = ("report.json", "report.md", "layers.csv", "samples.csv")  # written beside the page


def render_html(report: Report) -> str:
    """Makes the page of a report. Equal reports give equal bytes.

    Args:
        report: content of report.json, from `build_report` or read back.
    """
    return render(
        "report.html.j2",
        report=report,
        sentences=page_sentences(report["summary"]),
        sections=sections(report),
        flow=layer_flow(report["layers"], report["dataset"]["steps"]),
        glossary=TERMS,
        files=FILES,
        passed=passed(report),
        line=line,
        seed=SEED,
        accuracy=_accuracy(report["accuracy"]),
        comparison=_comparison(report["comparison"]),
        choice=choice,
        elsewhere=elsewhere,
        leaderboard=leaderboard,
        training=_training(report),
        training_key=training_curve.key,
        confusion=_confusion(report),
        recall=_recall(report),
        worst=_worst(report),
        layers=_layers(report["layers"]),
        layer_heads=layer_rows.HEADS,
        energy=energy_section(report),
        early_exit=early_exit.plot(report),
        parts_of_early=early_exit,
        curve=_curve(report["baseline"]),
        window=window_words.sentence(report["dataset"].get("window")),
        window_warnings=window_words.warnings(report["dataset"].get("window")),
        samples=[_sample(sample, report["dataset"]) for sample in report["samples"]],
    )


def _accuracy(accuracy: dict[str, StageAccuracy]) -> dict[str, object]:
    known = [entry for entry in accuracy.values() if entry["value"] is not None]
    starts = [(entry["value"] or 0.0) - entry["change"]["value"] for entry in known if "change" in entry]
    axis = charts.share_axis(min([*starts, *(words.interval_of(entry)["low"] for entry in known)], default=0.0))
    rows = []
    for stage, entry in accuracy.items():
        name = words.stage_name(stage)
        drawn = Markup("")
        if entry["value"] is not None:
            change = entry.get("change")
            between = words.percent_range(entry)
            title = (
                f"{name}: {words.percent(entry['value'])}, {'' if entry['low'] is None else '95 % interval '}{between}"
            )
            title += f"; {words.change(change)}" if change else ""
            start = entry["value"] - change["value"] if change else None
            drawn = charts.interval(axis, words.interval_of(entry), title, before=start)
        rows.append({"name": name, "note": words.stage_note(stage), "chart": drawn, **entry})
    return {"rows": rows, "scale": charts.scale(axis, [f"{100 * tick:.0f} %" for tick in axis.ticks])}


def _comparison(comparison: DistillationEffect) -> dict[str, object]:
    difference = comparison.get("difference")
    if difference is None:
        return {"rows": []}
    stages = [stage for stage in ("student_float", "student_quantized") if stage in difference]
    reach = max(max(abs(difference[s]["low"]), abs(difference[s]["high"])) for s in stages)
    axis = charts.difference_axis(reach)
    rows = []
    for stage in stages:
        entry = difference[stage]
        title = f"{words.points(entry['value'])} points, 95 % interval {words.points_range(entry)}"
        rows.append(
            {
                "name": words.stage_name(stage),
                "first": comparison[difference["first"]][stage],
                "second": comparison[difference["second"]][stage],
                "chart": charts.interval(axis, words.interval_of(entry), title),
                "finding": words.finding(entry, difference["first"], difference["second"]),
                **entry,
            }
        )
    return {"rows": rows, "scale": charts.scale(axis, [words.points(tick) for tick in axis.ticks])}


def _training(report: Report) -> dict[str, object]:
    found = report.get("training", {})
    if "stages" not in found:
        return {"reason": found.get("reason", training.OLDER), "stages": []}
    stages = [
        {
            **stage,
            "cells": training.cells(stage),
            "accuracy": training_curve.accuracy_plot(stage, found),
            "loss": training_curve.loss_plot(stage),
        }
        for stage in found["stages"]
    ]
    return {"stages": stages, "heads": training.HEADS, "note": training.NOTE, "guesses": training.lines_note(found)}


def _confusion(report: Report) -> dict[str, object]:
    found, classes = report.get("confusion", {}), report["dataset"]["classes"]
    counts = found.get("counts")
    if counts is None:
        why = found.get("reason", "this report was made without it")
        return {"reason": why, "rows": [], "mistakes": [], "silent": 0, "with_silent": False}
    silent = found.get("silent", ())
    return {
        "reason": "",
        "rows": shaded(counts, classes, silent),
        "mistakes": mistakes(counts, classes, silent),
        "silent": sum(silent),
        "with_silent": bool(silent),
    }


def _recall(report: Report) -> dict[str, object] | None:
    found = report.get("confusion", {}).get("recall")
    if found is None or found["macro"] is None:
        return None
    rows = listed(found)
    axis = charts.share_axis(min(row["low"] or 0.0 for row in rows))
    drawn = [
        {
            **row,
            "chart": charts.interval(
                axis,
                words.interval_of(row),
                f"{row['label']}: {words.percent(row['value'])}, 95 % interval {words.percent_range(row)}",
            ),
        }
        for row in rows
    ]
    scale = charts.scale(axis, [f"{100 * tick:.0f} %" for tick in axis.ticks])
    return {"rows": drawn, "scale": scale, "note": recall_note(report, found, len(rows))}


def _worst(report: Report) -> dict[str, object]:
    found = report.get("mistakes", [])
    if not isinstance(found, list):
        return {"rows": [], "reason": found["reason"]}
    rasters = {len(sample["frames"]["shape"]) for sample in report["samples"]} == {2}
    return {"rows": found, "note": worst.RASTER_NOTE if rasters else worst.NOTE, "reason": worst.EMPTY}


def _layers(layers: list[LayerRow]) -> list[dict[str, object]]:
    most_synops = max((layer["synops_per_sample"] or 0 for layer in layers), default=0)
    highest_rate = max((layer["rate"] or 0 for layer in layers), default=0)
    return [
        {
            **layer,
            "rate_bar": charts.bar(layer["rate"], highest_rate, f"rate of {layer['name']}"),
            "synops_bar": charts.bar(layer["synops_per_sample"], most_synops, f"operations of {layer['name']}"),
            "cells": layer_rows.cells(layer),
        }
        for layer in layers
    ]


def _curve(baseline: list[BaselineRow] | Reason) -> dict[str, object]:
    found = batch_curve.batch_curves(baseline)
    drawn = batch_curve.plot(found["curves"]) if found["curves"] else None
    return {**found, "plot": drawn, "key": batch_curve.key, "why_none": batch_curve.NO_CURVE}


def _sample(sample: SampleJson, dataset: DatasetFacts) -> dict[str, object]:
    frames = unpack_frames(sample["frames"])
    drawn = sorted({round(i * (len(frames) - 1) / max(1, MOST_FRAMES - 1)) for i in range(MOST_FRAMES)})
    if len(frames) <= MOST_FRAMES:
        drawn = list(range(len(frames)))
    start = [words.moment(step, dataset["dt_s"]) for step in range(len(frames))]
    plane = frames.ndim == 4
    raster, side = charts.input_raster(
        frames, f"Input spikes: {len(frames)} steps to the right, inputs downward{', OFF above ON' if plane else ''}"
    )
    return {
        **sample,
        "frames_shown": [
            (start[step], charts.frame(frames[step], f"Events of step {step}, from {start[step]}")) for step in drawn
        ]
        if plane
        else [],
        "most_events": max(sample["events_per_step"], default=0),
        "input_raster": raster,
        "pooled": (f"{side} × {side} pixels" if plane else f"{side} inputs") if side > 1 else "",
        "polarities": frames.shape[1] if plane else 1,
        "output_rows": _output_rows(sample),
        "classes_hidden": max(0, len(sample["output"]) - MOST_CLASSES),
        "length": words.moment(len(frames), dataset["dt_s"]),
    }


def _output_rows(sample: SampleJson) -> list[dict[str, object]]:
    """Classes in their order; of too many, the label, the prediction and those with the most spikes."""
    names = list(sample["output"])
    if len(names) > MOST_CLASSES:
        asked = {sample["label"], sample["predicted"]}
        ranked = sorted(names, key=lambda name: (name not in asked, -len(sample["output"][name])))
        kept_classes = set(ranked[:MOST_CLASSES])
        names = [name for name in names if name in kept_classes]
    return [
        {
            "name": name,
            "count": len(sample["output"][name]),
            "predicted": name == sample["predicted"],
            "label": name == sample["label"],
            "chart": charts.output_row(
                sample["output"][name], sample["steps"], f"{len(sample['output'][name])} spikes of class {name}"
            ),
        }
        for name in names
    ]
