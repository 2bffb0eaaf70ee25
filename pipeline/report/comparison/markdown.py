"""Makes compare.md: a comparison of runs as Markdown tables."""

from __future__ import annotations

from spikeport.pipeline.report.comparison import words as compare_words
from spikeport.pipeline.report.comparison.compare_json import ComparedRun, Comparison
from spikeport.pipeline.report.comparison.views import (
    DeviceRow,
    changes,
    checks_of,
    devices,
    unknown_in_all,
    why_unknown,
)
from spikeport.pipeline.report.content import words
from spikeport.pipeline.report.pages.markdown_parts import bullets, inline, joined, strong, table


def render_markdown(comparison: Comparison) -> str:
    """Makes the Markdown page of a comparison. Equal comparisons give equal bytes.

    Args:
        comparison: content of compare.json, from `build_comparison` or read back.
    """
    runs = comparison["runs"]
    sections = [
        [f"# Comparison of {len(runs)} runs", inline(comparison["summary"])],
        _runs(runs),
        _settings(comparison),
        _accuracy(runs),
        _against(comparison),
        _changes(comparison),
        _energy(comparison),
        _equivalence(runs),
    ]
    return "\n\n".join(block for section in sections for block in section) + "\n"


def _runs(runs: list[ComparedRun]) -> list[str]:
    rows = [
        [
            str(run["number"]),
            run["label"],
            run["name"],
            run["method"],
            run["dataset"]["name"] + (" (simulated events)" if run["dataset"]["simulated"] else ""),
            f"{run['dataset']['counts']['test']:,}",
            f"{run['dataset']['steps']} × {words.milliseconds(run['dataset']['dt_s'] or 0.0)}",
            *("unknown" if count is None else f"{count:,}" for count in _sizes(run)),
            words.amount(run["activity"]["spikes_per_sample"]),
            words.amount(run["activity"]["synops_per_sample"]),
        ]
        for run in runs
    ]
    head = ["No.", "Run", "Name", "Method", "Data", "Tested on", "Steps", "Neurons", "Weights", "Spikes", "Synops"]
    note = "Spikes and synaptic operations (synops): per recording, means over the test set."
    return ["## The runs", table(head, rows, right=range(5, 11)), note]


def _sizes(run: ComparedRun) -> tuple[float | None, float | None]:
    """Numbers of neurons and weights of a run's network."""
    return run["activity"]["neurons"], run["activity"]["weights"]


def _settings(comparison: Comparison) -> list[str]:
    rows = [[key, *map(compare_words.setting, values)] for key, values in comparison["settings"].items()]
    rows += [
        [f"{key} (version)", *map(compare_words.setting, values)] for key, values in comparison["versions"].items()
    ]
    if not rows:
        return ["Recipes and software versions are equal."]
    return ["What differs:", table(["Setting", *(run["label"] for run in comparison["runs"])], rows)]


def _accuracy(runs: list[ComparedRun]) -> list[str]:
    rows = []
    for stage in runs[0]["accuracy"]:
        name = words.stage_name(stage)
        if why := unknown_in_all(runs, "accuracy", stage):
            rows.append([name, "all", f"not known: {why}", "", "", ""])
            continue
        for run in runs:
            entry = run["accuracy"][stage]
            known = entry["value"] is not None
            numbers = [words.percent(entry["value"]), words.percent_range(entry), *words.tested(entry)] if known else []
            rows.append([name, run["label"], *(numbers or [f"not known: {entry['reason']}", "", "", ""])])
    head = ["Stage", "Run", "Accuracy", "Wilson 95 % interval", "Tested on", "No answer"]
    return ["## Accuracy, stage by stage", words.SILENT_NOTE, table(head, rows, right=(2, 3, 4, 5))]


def _against(comparison: Comparison) -> list[str]:
    first, rows = comparison["runs"][0], []
    for run, against in zip(comparison["runs"][1:], comparison["against_first"], strict=True):
        if not against["same_recordings"]:
            rows.append([run["label"], "all", f"not paired: {against['reason']}", "", "", "", ""])
            continue
        for stage, entry in against["accuracy"].items():
            numbers = [words.points(entry["value"]), words.points_range(entry)]
            numbers += [f"{entry['only_run']:,}", f"{entry['only_first']:,}"]
            rows.append([run["label"], words.stage_name(stage), *numbers, compare_words.outcome(entry)])
    head = [
        "Run",
        "Student",
        "Difference, points",
        "95 % interval",
        "Only this run",
        f"Only {first['label']}",
        "Finding",
    ]
    note = f"Interval: {inline(comparison['intervals']['difference'])}."
    if len(comparison["against_first"]) > 1:
        note += " Not corrected for the number of runs."
    return ["## Against the first run", table(head, rows, right=(2, 3, 4, 5)), note]


def _changes(comparison: Comparison) -> list[str]:
    rows = []
    for other in changes(comparison):
        label = other["run"]["label"]
        if other["why"]:
            rows.append([label, "all", f"not paired: {other['why']}", *[""] * 5])
        for row in other["rows"]:
            if row["why"]:
                rows.append([label, row["name"], f"not paired: {row['why']}", *[""] * 5])
                continue
            difference, ratio = row["difference"], row["ratio"]
            cells = [compare_words.signed(difference["value"]), compare_words.signed_range(difference)]
            if ratio["value"] is None:
                cells += [f"none: {ratio['reason']}", ""]
            else:
                cells += [compare_words.ratio_amount(ratio["value"]), compare_words.ratio_range(ratio)]
            rows.append([label, row["name"], *cells, f"{row['n']:,}", compare_words.more_or_less(difference)])
    first = comparison["runs"][0]["label"]
    head = ["Run", "Per recording", "Difference", "95 % interval", f"Ratio to {first}", "95 % interval", "Recordings"]
    interval = inline(comparison["intervals"]["change"])
    note = f"Differences: means over recordings; ratios: of the means. Interval: {interval}."
    return [
        "## Costs per recording, against the first run",
        table([*head, "Finding"], rows, right=range(2, 7)),
        note,
    ]


def _energy(comparison: Comparison) -> list[str]:
    rows, scopes = [], []
    for device in devices(comparison):
        if not device["known"]:
            rows.append([device["name"], "all", f"unknown: {device['missing']}", *[""] * 4, strong("unknown")])
            continue
        for row in device["rows"]:
            rows.append([device["name"], row["run"]["label"], *_numbers(row)])
        scopes += [f"{device['name']}: {scope}" for scope in device["scopes"]]
    if not rows:
        return ["## Energy per inference", "No run has an energy estimate."]
    head = ["Device", "Run", "Dynamic (low to high)", "Ratio to first", "Total", "Ratio to first", "Latency", "Basis"]
    interval = inline(comparison["intervals"]["ratio"])
    note = (
        f"Interval of a ratio: {interval}. Rows of different basis or scope have no ratio. "
        "Energies are means over each run's own test recordings."
    )
    return ["## Energy per inference", table(head, rows, right=(2, 3, 4, 5, 6)), *bullets(scopes, ""), note]


def _numbers(row: DeviceRow) -> list[str]:
    estimate = row["estimate"]
    if not estimate or not estimate["headline"]:
        return [f"unknown: {why_unknown(row)}", "", "unknown", "", "unknown", strong("unknown")]
    cells = []
    ratios = row["ratios"]
    kinds = (
        (estimate["dynamic"], ratios and ratios["dynamic"], "not separate"),
        (estimate["total"], ratios and ratios["total"], "unknown"),
    )
    for energy, ratio, missing in kinds:
        cells.append(words.quantity_text(energy, "µJ") if energy else missing)
        cells.append(compare_words.ratio_text(ratio) if ratio and energy else "")
    lacking = f", without {estimate['missing']}" if estimate["missing"] else ""
    return [*cells, words.quantity_text(estimate["latency"], "µs"), joined(strong(estimate["basis_kind"]), lacking)]


def _equivalence(runs: list[ComparedRun]) -> list[str]:
    rows = []
    for key, pair in checks_of(runs[0]).items():
        name = words.pair_name(pair)
        if why := unknown_in_all(runs, "equivalence", key):
            rows.append([name, "all", f"not compared: {why}", "", "", ""])
            continue
        for run in runs:
            check = checks_of(run)[key]
            if check["mismatches"] is None:
                rows.append([name, run["label"], f"not compared: {check['reason']}", "", "", ""])
                continue
            first = words.divergence(check["first_divergence"]) if check["mismatches"] else "none"
            counts = [f"{count:,}" for count in (check["samples"], check["spikes_compared"], check["mismatches"])]
            rows.append([name, run["label"], *counts, first])
    head = ["Compared", "Run", "Recordings", "Spikes", "Mismatches", "First divergence"]
    return ["## Spike equality", table(head, rows, right=(2, 3, 4)), inline(runs[0]["equivalence"]["statement"])]
