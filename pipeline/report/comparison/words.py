"""Texts of a comparison, computed from its numbers."""

from __future__ import annotations

import json
from typing import Any

from spikeport.pipeline.report.comparison.compare_json import Against, ComparedRun, Comparison, Ratio
from spikeport.pipeline.report.comparison.per_sample import Change, ChangedValue
from spikeport.pipeline.report.comparison.views import checks_of
from spikeport.pipeline.report.content import words
from spikeport.pipeline.report.content.headline import passed
from spikeport.pipeline.report.content.report_json import RunDifference, StageAccuracy
from spikeport.pipeline.report.content.trouble import trouble_of

SPELT_OUT = 4  # most runs that the summary lists one by one; more are counted


def summary(comparison: Comparison) -> str:
    """One sentence: differences of accuracy after quantization and, for two runs, of energy."""
    first, *others = comparison["runs"]
    against = comparison["against_first"]
    parts = [_broken(run) for run in comparison["runs"] if not passed(run)]
    troubles = [(run, trouble_of(run["accuracy"], run["method"], run["warnings"]).text) for run in comparison["runs"]]
    parts += [f"in {quoted(run)} {text}" for run, text in troubles if text]
    if len(others) == 1:
        parts += [_pair(others[0], first, against[0]), _energy(against[0], others[0], first)]
    else:
        parts.append(_many(first, others, against))
    text = "; ".join(part for part in parts if part) + "."
    return text[0].upper() + text[1:]


def deployed(accuracy: dict[str, StageAccuracy]) -> str:
    """The stage whose accuracy belongs to the network with the energy estimate; empty where none was measured."""
    known = (stage for stage in ("student_quantized", "reference") if accuracy[stage]["value"] is not None)
    return next(known, "")


def outcome(entry: RunDifference) -> str:
    """The conclusion from a paired difference, in a word or two."""
    return "better" if entry["low"] > 0 else "worse" if entry["high"] < 0 else "not distinguishable"


def setting(value: Any) -> str:
    """The value of a setting as in a recipe; `absent` for None."""
    return "absent" if value is None else value if isinstance(value, str) and value else json.dumps(value)


def ratio_text(entry: Ratio) -> str:
    """`1.62 (0.83 to 3.21)`, or the reason why there is none."""
    if entry["nominal"] is None:
        return entry["reason"]
    if entry["low"] == entry["high"]:
        return words.amount(entry["nominal"])
    return f"{words.amount(entry['nominal'])} ({words.amount(entry['low'])} to {words.amount(entry['high'])})"


def signed(value: float | None) -> str:
    """A difference with its sign, three significant digits.

    >>> signed(-0.0588), signed(1281.3), signed(0.0)
    ('−0.0588', '+1,281', '0')
    """
    if value is None:
        return "unknown"
    return "0" if value == 0 else f"{'+' if value > 0 else '−'}{words.amount(abs(value))}"


def signed_range(entry: ChangedValue) -> str:
    """The interval of a difference: `−0.0588 to +12.3`."""
    return f"{signed(entry['low'])} to {signed(entry['high'])}"


def ratio_amount(value: float) -> str:
    """A ratio with three decimals near 1, where three significant digits would hide the difference.

    >>> ratio_amount(0.98765), ratio_amount(1.0), ratio_amount(12.345)
    ('0.988', '1.000', '12.3')
    """
    return f"{value:.3f}" if 0.1 <= value < 10 else words.amount(value)


def ratio_range(entry: ChangedValue) -> str:
    """The interval of a paired ratio: `0.981 to 1.020`."""
    return f"{ratio_amount(entry['low'])} to {ratio_amount(entry['high'])}"


def paired_ratio_text(change: Change) -> str:
    """`1.021 (1.010 to 1.032)`, or `-` where there is none."""
    entry = change["ratio"]
    if entry["value"] is None:
        return "-"
    known = ratio_amount(entry["value"])
    return known if entry["low"] == entry["high"] else f"{known} ({ratio_range(entry)})"


def more_or_less(difference: ChangedValue) -> str:
    """The conclusion from a paired difference of a cost."""
    low, high = difference["low"], difference["high"]
    return "more" if low > 0 else "less" if high < 0 else "the same" if low == high else "not distinguishable"


def quoted(run: ComparedRun) -> str:
    """A run's label in quotation marks."""
    return f"“{run['label']}”"


def _broken(run: ComparedRun) -> str:
    pairs = [words.pair_name(check) for check in checks_of(run).values() if check["mismatches"]]
    return f"in {quoted(run)} {' and '.join(pairs)} do NOT fire the same spikes"


def _pair(run: ComparedRun, first: ComparedRun, against: Against) -> str:
    stages = [deployed(each["accuracy"]) for each in (run, first)]
    if not all(stages):
        return "accuracy after quantization is not known of both runs"
    entries = [each["accuracy"][stage] for each, stage in zip((run, first), stages, strict=True)]
    difference = against["accuracy"][stages[0]]
    if difference["value"] is None:
        shares = [f"{words.percent(entry['value'])} ({words.percent_range(entry)})" for entry in entries]
        return (
            f"{quoted(run)} recognizes {shares[0]} after quantization, {quoted(first)} {shares[1]}; they are not "
            f"paired, for {difference['reason']}"
        )
    kind = "simulated " if run["dataset"]["simulated"] else ""
    mine, its = (words.percent(entry["value"]) for entry in entries)
    return (
        f"{quoted(run)} recognizes {mine} of {difference['n']:,} {kind}test recordings after quantization, "
        f"{quoted(first)} {its}: {words.points(difference['value'])} points (95 % interval "
        f"{words.points_range(difference)}, paired), {_finding(difference)}"
    )


def _finding(difference: RunDifference) -> str:
    word = outcome(difference)
    return (
        "which is not distinguishable from zero"
        if word == "not distinguishable"
        else f"so it is {word} on these recordings"
    )


def _energy(against: Against, run: ComparedRun, first: ComparedRun) -> str:
    """The first neuromorphic device with a ratio of energies, of dynamic energy where it is known."""
    rows = {row["hardware"]: row for row in run["energy"]} if isinstance(run["energy"], list) else {}
    for entry in against["energy"]:
        row = rows.get(entry["hardware"])
        if row is None or row.get("kind", "neuromorphic") not in (None, "neuromorphic"):
            continue
        paired = paired_ratio_text(entry["paired_dynamic_uj"])
        kinds = (
            ("dynamic", entry["dynamic"], row["dynamic_uj"], paired),
            ("total", entry["total"], row["total_uj"], "-"),
        )
        for kind, ratio, energy_uj, per_recording in kinds:
            if ratio["nominal"] is not None:
                return (
                    f"its {kind} energy on {entry['name']} is {words.basis_kind(row['basis'], energy_uj)} at "
                    f"{ratio_text(ratio)} times that of {quoted(first)}"
                    + ("" if per_recording == "-" else f", paired by recording at nominal constants {paired} times")
                )
    return "no ratio of their energies is known"


def _many(first: ComparedRun, others: list[ComparedRun], against: list[Against]) -> str:
    differences = []
    for run, entry in zip(others, against, strict=True):
        stage = deployed(run["accuracy"])
        paired = stage and entry["accuracy"][stage]["value"] is not None
        differences.append((run, entry["accuracy"][stage] if paired else None))
    stage = deployed(first["accuracy"])
    own = f" ({words.percent(first['accuracy'][stage]['value'])} after quantization)" if stage else ""
    start = f"against {quoted(first)}{own}"
    if len(differences) > SPELT_OUT:
        found = ["not paired" if difference is None else outcome(difference) for _, difference in differences]
        counts = [f"{found.count(word)} {word}" for word in dict.fromkeys(found)]
        return f"{start}, of {len(differences)} runs {', '.join(counts)}"
    parts = [
        f"{quoted(run)} is not paired"
        if difference is None
        else f"{quoted(run)} {words.points(difference['value'])} points ({words.points_range(difference)}, "
        f"{outcome(difference)})"
        for run, difference in differences
    ]
    return f"{start}: {', '.join(parts)}"
