"""The sentences on energy in the summary of a report: spikes, operations, cores, board, total, GPU and break-even."""

from __future__ import annotations

from spikeport.pipeline.profiling.baseline.rows import BaselineRow
from spikeport.pipeline.report.content import words
from spikeport.pipeline.report.content.energy_json import EnergyRow
from spikeport.pipeline.report.content.energy_rows import missing_operations
from spikeport.pipeline.report.content.report_json import Report

YAN = "Yan et al."
YAN_FIRING = (0.057, 0.064)  # arXiv 2409.08290, 5 to 10 steps: above it an equally precise ANN needs less energy


def energy_sentences(report: Report) -> list[str]:
    """At most two sentences: energy of a recording, and its place beside a GPU and an ANN; none where nothing is known.

    Args:
        report: content of report.json.
    """
    rows = report["energy"] if isinstance(report["energy"], list) else []
    row = next(
        (
            each for each in rows
            if each.get("kind", "neuromorphic") == "neuromorphic" and words.quantity(each.get("dynamic_uj"))
        ),
        None,
    )  # fmt: skip
    if row is None:
        return ["no energy is known"] if rows else []
    beside = [_beside_gpu(report), _break_even(report)]
    return [_cores(report, row), "; ".join(part for part in beside if part)]


def firing(report: Report) -> float | None:
    """Share of neuron-steps with a spike; None where it is not known, and for networks that send values."""
    layers, steps = report["layers"], report["dataset"]["steps"]
    counts = [(layer["spikes_per_sample"], layer["neurons"] or 0) for layer in layers]  # older reports may have None
    updates = sum(neurons for _, neurons in counts) * steps
    if not updates or _multiplies(report) or any(None in pair or 0 in pair[1:] for pair in counts):
        return None
    return sum(spikes or 0.0 for spikes, _ in counts) / updates


def against_equal_precision(share: float) -> str:
    """Whether a network that fires in a share of neuron-steps beats an equally precise ANN: wins, loses or neither.

    Args:
        share: share of neuron-steps with a spike, 0 to 1.
    """
    low, high = YAN_FIRING
    return "wins" if share < low else "loses" if share > high else "neither wins nor loses"


def _cores(report: Report, row: EnergyRow) -> str:
    name, basis = row.get("name") or row["hardware"], words.basis_kind(row.get("basis"), row["dynamic_uj"])
    missing = missing_operations(row)
    counted, small = _counted(report), ""
    around = [
        f"{words.quantity_text(row.get(key), 'µJ')} {what}"
        for key, what in (("board_uj", "as expected board reading"), ("total_uj", "in total with static power"))
        if words.quantity(row.get(key))
    ]
    if factor := row.get("small_networks"):
        small = (
            "; for networks as small as this one, measured chips drew "
            f"{_rounded(factor['low'])} to {_rounded(factor['high'])} times more than the cores alone"
        )
    return (
        (f"a recording takes {counted}, " if counted else "a recording is ")
        + f"{basis} at {words.quantity_text(row['dynamic_uj'], 'µJ')} in the cores of {name}"
        + (f" (without {missing})" if missing else "")
        + "".join(f"{' and' if text is around[-1] else ','} {text}" for text in around)
        + small
    )


def _rounded(factor: float) -> str:
    """One digit: `8`, `60`."""
    return f"{float(f'{factor:.1g}'):g}"


def _multiplies(report: Report) -> bool:
    return any(layer.get("operation") == "MAC" for layer in report["layers"])


def _counted(report: Report) -> str:
    """`3,792 spikes and 175,796 synaptic operations`; empty where counts are not known."""
    spikes = [layer["spikes_per_sample"] for layer in report["layers"]]
    synops = [layer["synops_per_sample"] for layer in report["layers"]]
    if not spikes or None in spikes or None in synops:
        return ""
    sent, done = ("messages", "multiply-accumulates") if _multiplies(report) else ("spikes", "synaptic operations")
    return (
        f"{words.amount(sum(count or 0.0 for count in spikes))} {sent} and "
        f"{words.amount(sum(count or 0.0 for count in synops))} {done}"
    )


def _beside_gpu(report: Report) -> str:
    """The energy of an ANN at batch 1; never a floor."""
    rows = report["baseline"] if isinstance(report["baseline"], list) else []
    known = [
        each for each in rows
        if words.quantity(each.get("energy_uj")) and words.basis_kind(each.get("energy_basis"), each["energy_uj"])
        in ("measured", "modeled")
    ]  # fmt: skip

    def rank(each: BaselineRow) -> tuple[bool, bool]:
        return each["batch"] != 1, "same shape" not in each.get("model", "")

    if not known:
        return ""
    best = min(known, key=rank)
    total = words.quantity(best.get("total_uj"))
    energy = words.quantity_text(total or best["energy_uj"], "µJ")
    kind = "in total" if total else "above idle power"
    model = best.get("model") or "an ANN"
    model = f"the {model}" if model.startswith("ANN") else model
    return f"{model} on {best['device']} at batch {best['batch']} is {best['energy_basis']} at {energy} {kind}"


def _break_even(report: Report) -> str:
    """Whether the network needs less energy than a dense ANN, by a 45 nm convention and by Yan et al."""
    rows = report["energy"] if isinstance(report["energy"], list) else []
    even, share = next((found for row in rows if (found := row.get("break_even"))), None), firing(report)
    parts, results = [], []
    if even:
        result = "wins" if even["here"] < even["events_per_synapse"] else "loses"
        parts.append(
            f"{result} against a dense 32-bit ANN of its shape ({words.amount(even['here'])} events per synapse, "
            f"break-even at {words.amount(even['events_per_synapse'])})"
        )
        results.append(result)
    if share is not None:
        low, high = (100 * end for end in YAN_FIRING)
        results.append(against_equal_precision(share))
        parts.append(
            f"{results[-1]} against an equally precise one (it fires in {words.amount(100 * share)} "
            f"% of neuron-steps, {YAN} allow {low:.1f} to {high:.1f} %)"
        )
    joint = " and " if len(set(results)) == 1 else " but "
    return f"by its operations the spiking network {joint.join(parts)}" if parts else ""
