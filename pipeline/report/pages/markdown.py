"""Makes report.md: the report as a model card, for repositories and model hubs."""

from __future__ import annotations

from collections.abc import Mapping

from spikeport.errors import printable
from spikeport.pipeline.profiling.baseline.rows import BaselineRow
from spikeport.pipeline.report.charts.batch_curve import NO_CURVE, batch_curves, named
from spikeport.pipeline.report.content import (
    choice,
    early_exit,
    layer_rows,
    training,
    window_words,
    words,
    worst,
)
from spikeport.pipeline.report.content.confusion import mistakes
from spikeport.pipeline.report.content.energy_notes import ENERGY_NOTE
from spikeport.pipeline.report.content.energy_rows import energy_rows
from spikeport.pipeline.report.content.equality_json import Equivalence
from spikeport.pipeline.report.content.recall import listed
from spikeport.pipeline.report.content.recall_words import recall_note
from spikeport.pipeline.report.content.report_json import DistillationEffect, Reason, Report
from spikeport.pipeline.report.pages.markdown_elsewhere import elsewhere_section, leaderboard_section
from spikeport.pipeline.report.pages.markdown_parts import bullets, code, inline, strong, table
from spikeport.pipeline.report.pages.model_card import front_matter
from spikeport.pipeline.run.health import line


def render_markdown(report: Report) -> str:
    """Makes the card of a report. Equal reports give equal bytes.

    Args:
        report: content of report.json, from `build_report` or read back.
    """
    sections = [
        [
            f"# {inline(report['name'])}",
            inline(report["summary"]),
            *bullets([line(each) for each in report.get("warnings", ())], ""),
        ],
        _dataset(report),
        _accuracy(report),
        _equivalence(report["equivalence"]),
        _comparison(report["comparison"]),
        _choice(report),
        _training(report),
        _confusion(report),
        _worst(report),
        _layers(report),
        _energy(report),
        _early(report),
        _baseline(report["baseline"]),
        elsewhere_section(report),
        leaderboard_section(report),
        ["## Not included", *bullets(report["not_included"], "Nothing was listed as left out.")],
        _provenance(report["provenance"]),
    ]
    return "\n\n".join([front_matter(report), *(block for section in sections for block in section)]) + "\n"


def _dataset(report: Report) -> list[str]:
    dataset, method = report["dataset"], report["method"]
    simulated = " **The events are simulated.**" if dataset["simulated"] else ""
    counts = ", ".join(f"{count:,} {inline(split)}" for split, count in dataset["counts"].items())
    long = f" of {words.milliseconds(dataset['dt_s'])}" if dataset["dt_s"] else ""
    trained = f"; method {code(method)}" if method else ""
    return [
        "## Data",
        f"**{inline(dataset['name'])}.** {inline(dataset['description'].rstrip('.'))}.{simulated}",
        f"{counts}; {len(dataset['classes'])} {words.outputs_word(report)}; {dataset['steps']} steps{long}{trained}.",
        *map(inline, filter(None, [window_words.sentence(dataset.get("window"))])),
        *map(strong, window_words.warnings(dataset.get("window"))),
    ]


def _accuracy(report: Report) -> list[str]:
    rows = []
    for stage, entry in report["accuracy"].items():
        name = words.stage_name(stage)
        step = words.change(entry["change"]) if "change" in entry else ""
        if entry["value"] is None:
            numbers = [f"not known: {entry['reason']}", *[""] * 4]
        else:
            numbers = [words.percent(entry["value"]), words.percent_range(entry), *words.tested(entry), step]
        rows.append([name, words.stage_note(stage), *numbers])
    head = ["Stage", "What it is", "Accuracy", "Wilson 95 % interval", "Tested on", "No answer", "Change"]
    return ["## Accuracy, stage by stage", words.accuracy_note(report), table(head, rows, right=(2, 3, 4, 5))]


def _equivalence(equivalence: Equivalence) -> list[str]:
    rows = []
    for check in equivalence["comparisons"].values():
        name = words.pair_name(check)
        if check["mismatches"] is None:
            rows.append([name, f"not compared: {check['reason']}", *[""] * 5])
            continue
        first = words.divergence(check["first_divergence"]) if check["mismatches"] else "none"
        counts = (check["samples"], check["entries_compared"], check["spikes_compared"], check["mismatches"])
        numbers = [f"{count:,}" for count in counts]
        numbers[0] += words.drawn_note(check)
        rows.append([name, ", ".join(check["layers"]), *numbers, first])
    head = ["Compared", "Layers", "Recordings", "Entries", "Spikes", "Mismatches", "First divergence"]
    drawn = table(head, rows, right=(2, 3, 4, 5))
    return ["## Spike equality", drawn, words.CHECK_NOTE, inline(equivalence["statement"])]


def _comparison(comparison: DistillationEffect) -> list[str]:
    title = "## Effect of distillation"
    difference = comparison.get("difference")
    if difference is None:
        return [title, inline(comparison["reason"])]
    first, second = difference["first"], difference["second"]
    rows = []
    for stage in ("student_float", "student_quantized"):
        if stage in difference:
            entry = difference[stage]
            both = [words.percent(comparison[method][stage]["value"]) for method in (second, first)]
            change = [words.points(entry["value"]), words.points_range(entry)]
            rows.append([words.stage_name(stage), *both, *change, words.finding(entry, first, second)])
    head = ["Student", second, first, "Difference, points", "95 % interval", "Finding"]
    return [title, table(head, rows, right=(1, 2, 3, 4)), f"Interval: {inline(difference['interval'])}."]


def _choice(report: Report) -> list[str]:
    if "choice" not in report:
        return []
    found = report["choice"]
    drawn = table(choice.HEADS, [choice.cells(row) for row in found["candidates"]], right=range(1, 7))
    return ["## Choice of the method", *([drawn] if found["candidates"] else []), *map(inline, choice.sentences(found))]


def _training(report: Report) -> list[str]:
    title, found = "## Training", report.get("training", {})
    if "stages" not in found:
        return [title, inline(found.get("reason", training.OLDER))]
    rows = [training.cells(stage) for stage in found["stages"]]
    remarks = [f"{stage['stage']}: {remark}" for stage in found["stages"] for remark in stage["remarks"]]
    drawn = table(training.HEADS, rows, right=(1, 2, 3, 4))
    return [title, drawn, *bullets(remarks, ""), inline(training.NOTE), inline(training.lines_note(found))]


def _confusion(report: Report) -> list[str]:
    title, found = "## Confusion matrix", report.get("confusion", {})
    if "counts" not in found:
        return [title, inline(found.get("reason", "this report was made without it"))]
    silent = found.get("silent", ())
    none = [f"No answer (no output spike): {sum(silent):,}."] if any(silent) else []
    often = mistakes(found["counts"], report["dataset"]["classes"], silent)
    if not often:
        return [title, "No recording was assigned to another class.", *none, *_recall(report)]
    rows = [[one["label"], one["predicted"], str(one["count"]), str(one["of"])] for one in often]
    return [title, table(["Class", "Predicted", "Recordings", "of"], rows, right=(2, 3)), *none, *_recall(report)]


def _recall(report: Report) -> list[str]:
    found = report.get("confusion", {}).get("recall")
    if found is None or found["macro"] is None:
        return []
    rows = [
        [row["label"], words.percent(row["value"]), words.percent_range(row), f"{row['n']:,}"] for row in listed(found)
    ]
    head = ["Class", "Recall", "Wilson 95 % interval", "Recordings"]
    return [table(head, rows, right=range(1, 7)), inline(recall_note(report, found, len(rows)))]


def _worst(report: Report) -> list[str]:
    title, found = "## Worst mistakes", report.get("mistakes", [])
    if not isinstance(found, list) or not found:
        return [title, inline(worst.EMPTY if isinstance(found, list) else found["reason"])]
    rows = [[one["key"], one["label"], one["predicted"], f"{one['margin']:,}"] for one in found]
    return [title, table(worst.HEADS, rows, right=(3,)), worst.NOTE.split(". ", maxsplit=1)[0] + "."]


def _layers(report: Report) -> list[str]:
    rows = [
        [
            f"{layer['name']} ({layer['kind']})",
            " × ".join(str(side) for side in layer["shape"]),
            f"{layer['neurons']:,}",
            f"{layer['weights']:,}",
            words.amount(layer["spikes_per_sample"]),
            words.amount(layer["rate"]),
            words.amount(layer["synops_per_sample"]),
            words.part(layer["synops_per_sample"], layer["dense_ops"]),
            *layer_rows.cells(layer),
        ]
        for layer in report["layers"]
    ]
    head = ["Layer", "Output", "Neurons", "Weights", "Spikes", "Rate", "Synaptic operations", "of dense"]
    drawn = table([*head, *layer_rows.HEADS], rows, right=range(2, 12))
    return ["## Layers", drawn, inline(words.layer_note(report)), *map(inline, report.get("layer_notes", ()))]


def _energy(report: Report) -> list[str]:
    blocks = ["## Energy per inference"]
    if not isinstance(report["energy"], list):
        blocks.append(f"No estimate of neuromorphic energy: {inline(report['energy']['reason'])}")
    drawn, rows, notes = energy_rows(report), [], []
    for row in drawn:
        apart = row["headline"] is not None and row["dynamic"] is None
        rows.append(
            [
                row["name"],
                "not separate" if apart else words.quantity_text(row["dynamic"], "µJ"),
                words.quantity_text(row["board"], "µJ"),
                words.quantity_text(row["total"], "µJ"),
                words.quantity_text(row["live"], "µJ"),
                words.quantity_text(row["latency"], "µs"),
                words.quantity_text(row["edp"], "µJ µs"),
                strong(row["basis_kind"]),
                row["scope"],
                row["missing"] or "nothing",
            ]
        )
        notes += [f"{row['name']}. {key}: {words.listing(text)}" for key, text in row["notes"].items()]
    if rows:
        head = ["Device", "Cores (low to high)", "Board", "Replayed", "Live", "Latency", "Energy-delay product"]
        head += ["Basis", "Scope", "Unknown energy of"]
        used = dict.fromkeys(row["basis_kind"] for row in drawn)
        blocks.append(table(head, rows, right=(1, 2, 3)))
        blocks.append("\n".join(f"- {strong(basis)}: {words.BASES[basis]}" for basis in used))
        blocks.append(ENERGY_NOTE)
        blocks += bullets(notes, "")
    return blocks


def _early(report: Report) -> list[str]:
    title, found = "## Accuracy over time steps", report["early_exit"]
    if "points" not in found:
        return [title, f"Not known: {inline(found['reason'])}."]
    return [
        title,
        inline(early_exit.note(report)),
        table(list(early_exit.HEADS), early_exit.cells(report), right=(0, 1, 2, 3, 4)),
    ]


def _baseline(baseline: list[BaselineRow] | Reason) -> list[str]:
    title = "## Baseline"
    if not isinstance(baseline, list):
        return [title, inline(baseline["reason"])]
    rows = []
    for row in baseline:
        latency = words.basis_kind(row.get("latency_basis"), row["latency_us"])
        energy = words.basis_kind(row.get("energy_basis"), row["energy_uj"])
        why = f": {row['reason']}" if energy == "unknown" and row.get("reason") else ""
        joules = "" if energy == "unknown" else words.quantity_text(row["energy_uj"], "µJ") + ", "
        rows.append(
            [
                ", ".join(name for name in (row.get("model"), row["device"]) if name and name != "any"),
                str(row["batch"]),
                f"{words.quantity_text(row['latency_us'], 'µs')}" + (f", {latency}" if latency != "unknown" else ""),
                words.per_item(row["latency_us"], row["batch"]),
                joules + energy + why,
                words.quantity_text(total, "µJ") if (total := row.get("total_uj")) else "",
                words.quantity_text(live, "µJ") if (live := row.get("live_uj")) else "",
                words.quantity_text(floor, "µJ") if (floor := row.get("floor_uj")) else "",
                words.listing(row.get("scope")),
            ]
        )
    head = ["Network, device", "Batch", "Latency of a batch", "Time per image", "Dynamic energy per image"]
    head += ["Total", "Live", "Full throughput at full power", "Scope"]
    return [title, table(head, rows, right=range(1, 8)), *_curves(baseline)]


def _curves(baseline: list[BaselineRow]) -> list[str]:
    """Table of the time of one image by batch size, a row for each network and device."""
    found = batch_curves(baseline)
    blocks, curves = [f"{inline(name)}: {NO_CURVE}." for name in found["without"]], found["curves"]
    if not curves:
        return blocks
    batches = sorted({point["batch"] for curve in curves for point in curve["points"]})
    rows = []
    for curve in curves:
        times = {point["batch"]: words.quantity_text(point["us"], "µs") for point in curve["points"]}
        elsewhere = f" ({curve['elsewhere']})" if curve["elsewhere"] else ""
        rows.append(
            [f"{named(curve)}{elsewhere}, {curve['basis']}", *(times.get(batch, "not timed") for batch in batches)]
        )
    head = ["Time per image", *(f"batch {batch:,}" for batch in batches)]
    return [table(head, rows, right=range(1, len(head))), *blocks]


def _provenance(provenance: Mapping[str, object]) -> list[str]:
    command = provenance.get("command")
    blocks = ["## Reproduction"]
    if command:
        blocks.append(f"```\n{printable(str(command)).replace('```', '')}\n```")
    rows = [[key.replace("_", " "), words.listing(value)] for key, value in provenance.items() if key != "command"]
    return [*blocks, table(["What", "Value"], rows)]
