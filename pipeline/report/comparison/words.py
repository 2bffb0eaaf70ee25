"""A comparison in sentences, computed from its numbers."""

from __future__ import annotations

import json
from typing import Any

from spikeport.pipeline.report.comparison.ratios import KINDS
from spikeport.pipeline.report.content import words
from spikeport.pipeline.report.content.headline import passed
from spikeport.pipeline.report.content.trouble import trouble_of

SPELT_OUT = 4  # so many runs against the first stand in the summary; more are counted


def summary(comparison: dict[str, Any]) -> str:
    """One sentence: how the runs differ in accuracy after quantization, and, of two, in energy."""
    first, *others = comparison["runs"]
    against = comparison["against_first"]
    parts = [_broken(run) for run in comparison["runs"] if not passed(run)]
    parts += [f"in {quoted(run)} {trouble_of(run).text}" for run in comparison["runs"] if trouble_of(run).text]
    if len(others) == 1:
        parts += [_pair(others[0], first, against[0]), _energy(against[0], others[0], first)]
    else:
        parts.append(_many(first, others, against))
    text = "; ".join(part for part in parts if part) + "."
    return text[0].upper() + text[1:]


def deployed(accuracy: dict[str, Any]) -> str:
    """The stage whose accuracy is that of the network that is priced; empty where none was measured."""
    known = (stage for stage in ("student_quantized", "reference") if accuracy[stage]["value"] is not None)
    return next(known, "")


def outcome(entry: dict[str, Any]) -> str:
    """What a paired difference allows to say of a run, in a word or two."""
    return "better" if entry["low"] > 0 else "worse" if entry["high"] < 0 else "not told apart"


def setting(value: Any) -> str:
    """A setting's value as one reads it in a recipe."""
    return "not there" if value is None else value if isinstance(value, str) and value else json.dumps(value)


def ratio_text(entry: dict[str, Any]) -> str:
    """`1.62 (0.83 to 3.21)`, or the reason why there is none."""
    if entry["nominal"] is None:
        return entry["reason"]
    if entry["low"] == entry["high"]:
        return words.amount(entry["nominal"])
    return f"{words.amount(entry['nominal'])} ({words.amount(entry['low'])} to {words.amount(entry['high'])})"


def signed(value: float) -> str:
    """A difference with its sign, three significant digits.

    >>> signed(-0.0588), signed(1281.3), signed(0.0)
    ('−0.0588', '+1,281', '0')
    """
    return "0" if value == 0 else f"{'+' if value > 0 else '−'}{words.amount(abs(value))}"


def signed_range(entry: dict[str, Any]) -> str:
    """The interval of a difference: `−0.0588 to +12.3`."""
    return f"{signed(entry['low'])} to {signed(entry['high'])}"


def ratio_amount(value: float) -> str:
    """A ratio with three decimals near 1, where three digits would hide what differs.

    >>> ratio_amount(0.98765), ratio_amount(1.0), ratio_amount(12.345)
    ('0.988', '1.000', '12.3')
    """
    return f"{value:.3f}" if 0.1 <= value < 10 else words.amount(value)


def ratio_range(entry: dict[str, Any]) -> str:
    """The interval of a paired ratio: `0.981 to 1.020`."""
    return f"{ratio_amount(entry['low'])} to {ratio_amount(entry['high'])}"


def paired_ratio_text(change: dict[str, Any]) -> str:
    """`1.021 (1.010 to 1.032)`, or `-` where there is none."""
    entry = change["ratio"]
    if entry["value"] is None:
        return "-"
    known = ratio_amount(entry["value"])
    return known if entry["low"] == entry["high"] else f"{known} ({ratio_range(entry)})"


def more_or_less(difference: dict[str, Any]) -> str:
    """What a paired difference of a cost allows to say of a run."""
    low, high = difference["low"], difference["high"]
    return "more" if low > 0 else "less" if high < 0 else "the same" if low == high else "not told apart"


def quoted(run: dict[str, Any]) -> str:
    """A run's label in quotation marks."""
    return f"“{run['label']}”"


def _broken(run: dict[str, Any]) -> str:
    pairs = [words.CHECK_NAMES[key] for key in words.CHECK_NAMES if run["equivalence"][key].get("mismatches")]
    return f"in {quoted(run)} {' and '.join(pairs)} do NOT fire the same spikes"


def _pair(run: dict[str, Any], first: dict[str, Any], against: dict[str, Any]) -> str:
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
        f"{words.points_range(difference)}, paired), {_told_apart(difference)}"
    )


def _told_apart(difference: dict[str, Any]) -> str:
    word = outcome(difference)
    return "too close to tell them apart" if word == "not told apart" else f"so it is {word} on these recordings"


def _energy(against: dict[str, Any], run: dict[str, Any], first: dict[str, Any]) -> str:
    """The first neuromorphic device with a ratio of energies, dynamic if they are told apart."""
    estimate = {row["hardware"]: row for row in run["energy"]} if isinstance(run["energy"], list) else {}
    for entry in against["energy"]:
        row = estimate.get(entry["hardware"], {})
        for kind in KINDS:
            if entry[kind]["nominal"] is not None and row["kind"] in (None, "neuromorphic"):
                paired = paired_ratio_text(entry["paired_dynamic_uj"]) if kind == "dynamic" else "-"
                return (
                    f"its {kind} energy on {entry['name']} is {words.basis_kind(row['basis'], row[f'{kind}_uj'])} at "
                    f"{ratio_text(entry[kind])} times that of {quoted(first)}"
                    + ("" if paired == "-" else f", paired by recording at nominal prices {paired} times")
                )
    return "no ratio of their energies can be named"


def _many(first: dict[str, Any], others: list[dict[str, Any]], against: list[dict[str, Any]]) -> str:
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
