"""Comparisons with published measurements in words: a Markdown table and its summary."""

from __future__ import annotations

import math

from spikeport.hardware_profiles.validation import OUTSIDE, WITHIN, PublishedCheck, number

KINDS = {"total": "totals", "slope": "slopes over network size", "time": "times"}  # of PublishedCheck.quantity_kind
WORDS = {1: "one", 2: "two", 3: "three"}
ROLES = {"in_sample": "in sample", "source_of_an_end": "source of an end", "independent": "independent"}
PLAUSIBLE = 0.5  # firing rates above it, as a fraction of all steps, explain nothing


def summary(rows: list[PublishedCheck]) -> list[str]:
    """Summarizes rows in sentences.

    They state the largest error of results with published counts, and for the others the firing rates that explain
    the measurement.

    Args:
        rows: rows of `validate_rows`.
    """
    gpus = [row for row in rows if row.nominal is not None]
    rows = [row for row in rows if row.nominal is None]
    judged = [row for row in rows if row.result in (WITHIN, OUTSIDE)]
    low = [row for row in rows if row.high is not None and (row.published or 0.0) > row.high and row not in judged]
    sentences = []
    if judged:
        worst = max(row.worst_off for row in judged)
        right = sum(row.result == WITHIN for row in judged)
        sentences.append(
            f"Where counts are published, estimates lie within {100 * worst:.0f} % of what was measured "
            f"({right} of {len(judged)} within the band their source allows). {_of_roles(judged)}"
        )
    sentences += [
        f"Where only the network is: {row.workload}, {number(row.published)} {row.unit} measured, {row.result}."
        for row in rows
        if row.high is not None and row not in judged
    ]
    boards = [row for row in rows if row.board_low is not None and row.board_high is not None]
    if boards:
        held = sum((row.board_low or 0.0) <= (row.published or 0.0) <= (row.board_high or 0.0) for row in boards)
        sentences.append(
            f"With host, input, output and reset, {held} of {len(boards)} measured totals of small networks lie within "
            "the expected board reading. Its high end is from one of them, so that is no independent check."
        )
    if judged and low:
        sentences.append(
            "So an estimate is right to about a third for large networks, and far too low for tiny ones, where fixed "
            "costs of a step and of the host outweigh what the operations cost."
        )
    sentences += _independent(rows)
    for what, mine in (
        ("energies", [row for row in gpus if row.unit != "us"]),
        ("times", [row for row in gpus if row.unit == "us"]),
    ):
        sentences += [_of_gpus(what, mine)] if mine else []
    return sentences


def _of_roles(rows: list[PublishedCheck]) -> str:
    """What rows with published counts are evidence for."""
    count = {role: sum(row.role == role for row in rows) for role in ("in_sample", "source_of_an_end", "independent")}
    texts = (
        (count["in_sample"], "in sample, since constants were fitted to the same publication"),
        (count["source_of_an_end"], "the source of an end of an interval, though of no nominal constant"),
        (count["independent"], "independent of all constants"),
    )
    stated = [f"{many} {'is' if many == 1 else 'are'} {text}" for many, text in texts if many]
    return f"Of these rows, {', '.join(stated)}."


def _independent(rows: list[PublishedCheck]) -> list[str]:
    """How often nominal constants met measurements that they were not taken from, by what was measured."""
    tested = [row for row in rows if row.high is not None and row.role != "in_sample" and not row.estimated_by]
    if not tested:
        return []
    met = {kind: sum(row.quantity_kind == kind and _met(row) for row in tested) for kind in KINDS}
    counted = [
        f"{met[kind]} of {sum(row.quantity_kind == kind for row in tested)} {title}"
        for kind, title in KINDS.items()
        if any(row.quantity_kind == kind for row in tested)
    ]
    held = [f"{WORDS.get(met[kind], met[kind])} of a {kind}" for kind in KINDS if met[kind]]
    none = [f"none of a {kind}" for kind in KINDS if not met[kind]]
    return [
        f"Measurements that no nominal constant was taken from meet the estimate in {', '.join(counted)} (where spikes "
        f"are not published, by a firing rate of at most {100 * PLAUSIBLE:.0f} %). Independent checks that nominal "
        f"constants passed: {', '.join([*held, *none])}."
    ]


def _met(row: PublishedCheck) -> bool:
    return row.result == WITHIN or (row.rates is not None and row.rates[1] <= PLAUSIBLE)


def _of_gpus(what: str, rows: list[PublishedCheck]) -> str:
    ratios = sorted((row.nominal or 0.0) / (row.published or 1.0) for row in rows)
    middle = math.exp(sum(map(math.log, ratios)) / len(ratios))
    right = sum(row.result == WITHIN for row in rows)
    fitted = sum(row.role == "in_sample" for row in rows)
    return (
        f"{right} of {len(rows)} measured {what} of GPUs lie within the interval of the launch-bound model. Its "
        f"nominal value is {ratios[0]:.2f} to {ratios[-1]:.2f} times what was measured, {middle:.2f} in the geometric "
        f"mean. {fitted} of the {len(rows)} are in sample: ends of the interval were taken from their boards."
    )


def markdown(rows: list[PublishedCheck]) -> str:
    """The rows as a Markdown table, with their summary. GPUs, which have many rows, are in the summary alone.

    Args:
        rows: rows of `validate_rows`.
    """
    head = [*("hardware", "workload", "quantity", "published", "estimate", "board reading"), "off", "result", "role"]
    head.append("source")
    lines = [f"| {' | '.join(head)} |", "|---|---|---|---:|---:|---:|---:|---|---|---|"]
    for row in rows:
        if row.nominal is not None:
            continue
        cells = (
            row.hardware + (f", constants of {row.estimated_by}" if row.estimated_by else ""),
            row.workload,
            row.quantity,
            f"{number(row.published)} {row.unit}",
            f"{number(row.low)} to {number(row.high)}" if row.low is not None else "-",
            f"{number(row.board_low)} to {number(row.board_high)}" if row.board_low is not None else "-",
            f"{100 * (row.low_off or 0.0):+.1f} to {100 * (row.high_off or 0.0):+.1f} %"
            if row.low is not None
            else "-",
            row.result,
            ROLES[row.role] if row.low is not None else "-",
            row.source,
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, "", *(f"- {sentence}" for sentence in summary(rows))]) + "\n"
