"""The command `compare`: compares finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spikeport.pipeline.cli.console import show
from spikeport.pipeline.cli.options import Json, Quiet
from spikeport.pipeline.stages.outputs import check_folder
from spikeport.tables import text_table

if TYPE_CHECKING:
    from spikeport.pipeline.report.comparison.compare_json import Comparison


def compare(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN", help="Two or more finished run folders. The first is the reference.")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for compare.html, compare.md and compare.json.")
    ] = Path("compare"),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compares finished runs by accuracy and energy, each with an interval, and by the difference to the first run.

    Differences are paired by recording if two runs were tested on the same recordings. Accuracy is in percent, energy
    in uJ per inference. Writes compare.html, compare.md and compare.json.

    Example: `spikeport compare runs/baseline runs/mine --out runs/compared`
    """
    from spikeport.pipeline.report.comparison.comparison import SCHEMA
    from spikeport.pipeline.run.progress import ProgressPrinter
    from spikeport.pipeline.stages.run_comparison import COMPARISON_FILES, compare_runs

    check_folder(out, COMPARISON_FILES, "comparison", schema=SCHEMA)
    with ProgressPrinter(quiet=quiet) as progress:
        found = compare_runs(runs, progress=progress)
    page = found.save(out)
    show(found.content, json, [found.summary, "", *_lines(found.content), "", str(page)])


def _lines(comparison: Comparison) -> list[str]:
    """Table of accuracies with differences to the first run, and table of energies with ratios to it."""
    lines = [*_accuracy(comparison), "", *_energy(comparison)]
    if comparison["settings"]:
        lines += ["", "settings that differ: " + ", ".join(comparison["settings"])]
    return lines


def _accuracy(comparison: Comparison) -> list[str]:
    from spikeport.pipeline.report.content import words

    rows, not_paired = [], []
    for run, against in zip(comparison["runs"], [None, *comparison["against_first"]], strict=True):
        cells = [run["label"], run["method"]]
        for stage in ("student_float", "student_quantized"):
            entry = run["accuracy"][stage]
            known = entry["value"] is not None
            cells.append(f"{words.percent(entry['value'])} ({words.percent_range(entry)})" if known else "unknown")
        difference = against["accuracy"]["student_quantized"] if against else None
        change = difference if difference is not None and difference["value"] is not None else None
        cells.append(f"{words.points(change['value'])} ({words.points_range(change)})" if change else "-")
        activity = run["activity"]
        rows.append([*cells, words.amount(activity["spikes_per_sample"]), words.amount(activity["synops_per_sample"])])
        if against and against["reason"]:
            not_paired.append(f"{run['label']} is not paired: {against['reason']}")
    head = ("run", "method", "float", "quantized", "quantized - first, points", "spikes", "synops")
    return [*text_table(head, rows), *not_paired]


def _energy(comparison: Comparison) -> list[str]:
    from spikeport.pipeline.report.comparison import words as compare_words
    from spikeport.pipeline.report.comparison.views import devices, why_unknown
    from spikeport.pipeline.report.content import words

    rows, unknown = [], []
    for device in devices(comparison):
        if not device["known"]:
            unknown.append(f"{device['hardware']} is unknown in every run: {device['missing']}")
        for row in device["rows"] if device["known"] else []:
            estimate, named = row["estimate"], [device["hardware"], row["run"]["label"]]
            if not estimate or not estimate["headline"]:
                rows.append([*named, "unknown", "-", "-", "unknown", why_unknown(row)])
                continue
            dynamic, total = (words.quantity_text(energy, "µJ") for energy in (estimate["dynamic"], estimate["total"]))
            ratio = paired = "-"
            if ratios := row["ratios"]:
                ratio = compare_words.ratio_text(ratios["dynamic"] if estimate["dynamic"] else ratios["total"])
                paired = compare_words.paired_ratio_text(ratios["paired_dynamic_uj"])
            rows.append([*named, dynamic, ratio, paired, total, estimate["basis_kind"]])
    head = ("hardware", "run", "dynamic energy", "/ first", "paired / first", "total energy", "basis")
    return [*(text_table(head, rows) if rows else []), *unknown]
