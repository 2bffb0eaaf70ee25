"""Energies of devices and of baselines in one form, for the tables and charts of both pages."""

from __future__ import annotations

import math
from typing import Any, TypedDict

from spikeport.pipeline.profiling.baseline.rows import MODELED, BaselineRow
from spikeport.pipeline.report.content.energy_json import EffectJson, EnergyRow, LayerTerms
from spikeport.pipeline.report.content.energy_notes import constant_words, moved_most, operation_notes
from spikeport.pipeline.report.content.report_json import Report
from spikeport.pipeline.report.content.words import amount, basis_kind, listing, percent, quantity, quantity_text
from spikeport.values import IntervalJson

OPERATIONS = {
    "synop": "synaptic operations",
    "neuron_active": "active neuron updates",
    "neuron_inactive": "inactive neuron updates",
    "neuron_event": "neuron events",
    "static": "static power",
    "overhead": "fixed overhead",
}
LAYER_TERMS = ("synapse_uj", "neuron_uj", "routing_uj")  # terms that every device has
CONVENTION = "convention"  # kind of a profile, and basis of its numbers
TOTAL_ONLY = ("static", "overhead", "latency")  # terms of the total energy that the dynamic energy does not contain


Notes = str | list[str]


class DeviceEnergy(TypedDict):
    """The energy of one device or baseline, for tables and charts.

    Attributes:
        name: the device.
        dynamic: dynamic energy, µJ.
        total: total energy, µJ.
        headline: dynamic energy, or the total where dynamic energy is not known separately.
        latency: time from the first input to the answer, or of a batch of a baseline, µs.
        board: expected board reading, µJ.
        live: energy at one recording after another, µJ.
        edp: energy-delay product, µJ µs.
        floor: energy of a modeled GPU at full throughput and full power, µJ; None for others.
        basis_kind: measured, modeled, convention or unknown; floor in reports of older versions.
        scope: what the numbers contain.
        missing: operations without a published energy that `headline` lacks, in words.
        notes: remarks by title.
        layers: terms of each layer.
        sensitivity: effect of each uncertain constant, with its name in words.
    """

    name: str
    dynamic: IntervalJson | None
    total: IntervalJson | None
    headline: IntervalJson | None
    latency: IntervalJson | None
    floor: float | None
    board: IntervalJson | None
    live: IntervalJson | None
    edp: IntervalJson | None
    basis_kind: str
    scope: str
    missing: str
    notes: dict[str, Notes]
    layers: list[LayerTerms]
    sensitivity: list[EffectJson]


def energy_rows(report: Report) -> list[DeviceEnergy]:
    """The energy of each device, then of each baseline row whose energy is known, then by conventions, which are none.

    Of the modeled rows of a network on a GPU, which the baseline lists for each precision, there are two: the first, at
    batch 1, and the one with the least total energy.

    Args:
        report: content of report.json.
    """
    energy, baseline = report["energy"], report["baseline"]
    known = [row for row in (baseline if isinstance(baseline, list) else []) if quantity(row.get("energy_uj"))]
    drawn = [row for row in known if row["energy_basis"] != MODELED or any(row is one for one in _ends(row, known))]
    rows = [device(row) for row in (energy if isinstance(energy, list) else [])] + [_baseline(row) for row in drawn]
    return sorted(rows, key=lambda row: row["basis_kind"] == CONVENTION)


def energy_terms(layer: LayerTerms) -> dict[str, IntervalJson | None]:
    """Energies of a layer by term, µJ; None where unknown. Memory terms are there if the device has them.

    Args:
        layer: terms of the layer.
    """
    terms = {
        "synapse_uj": layer["synapse_uj"],
        "neuron_uj": layer["neuron_uj"],
        "routing_uj": layer["routing_uj"],
    }
    if "addressing_uj" in layer:
        terms |= {"addressing_uj": layer["addressing_uj"], "memory_uj": layer.get("memory_uj")}
    return terms


def nominal_terms(layer: LayerTerms) -> dict[str, float | None]:
    """Nominal energies of a layer by term, µJ, as `energy_terms`.

    Args:
        layer: terms of the layer.
    """
    return {name: None if energy is None else energy["nominal"] for name, energy in energy_terms(layer).items()}


def missing_operations(row: EnergyRow) -> str:
    """Operations of the dynamic energy without a published energy per operation, in words.

    Args:
        row: an `energy` row of report.json.
    """
    unknown_terms = row.get("unknown_terms") or []
    return ", ".join(OPERATIONS.get(op, op.replace("_", " ")) for op in unknown_terms if op not in TOTAL_ONLY)


def device(row: EnergyRow) -> DeviceEnergy:
    """The energy of one device.

    Args:
        row: an `energy` row of report.json.
    """
    dynamic, total = quantity(row.get("dynamic_uj")), quantity(row.get("total_uj"))
    headline = dynamic or total
    basis = CONVENTION if headline and row.get("kind") == CONVENTION else basis_kind(row.get("basis"), headline)
    return {
        "name": row.get("name") or row["hardware"],
        "dynamic": dynamic,
        "total": total,
        "headline": headline,
        "latency": quantity(row.get("latency_us")),
        "floor": None,
        "board": quantity(row.get("board_uj")),
        "live": quantity(row.get("live_uj")),
        "edp": quantity(row.get("edp_uj_us")),
        "basis_kind": basis,
        "scope": listing(row.get("scope")),
        "missing": missing_operations(row),
        "notes": _notes(row),
        "layers": row.get("layers") or [],
        "sensitivity": [
            {**effect, "constant": constant_words(effect["constant"])} for effect in row.get("sensitivity") or []
        ],
    }


def _ends(row: BaselineRow, rows: list[BaselineRow]) -> list[BaselineRow]:
    """The first modeled row of a network on a GPU, and the one with the least total energy of an inference."""

    def who(each: BaselineRow) -> tuple[str | None, str | None, str | None]:
        return each["energy_basis"], each.get("model"), each.get("profile", {}).get("sha256")

    def total(each: BaselineRow) -> float:
        known = quantity(each.get("total_uj"))
        return known["nominal"] if known else math.inf

    same = [each for each in rows if who(each) == who(row)]
    return [same[0], min(same, key=total)]


def _baseline(row: BaselineRow) -> DeviceEnergy:
    named = f"{row['model']}: " if row.get("model") else ""
    energy = quantity(row["energy_uj"])
    modeled = row["energy_basis"] == MODELED
    return {
        "name": named + (row["device"] if row["batch"] == "any" else f"{row['device']}, batch {row['batch']}"),
        "dynamic": energy,
        "total": quantity(row.get("total_uj")),
        "headline": energy,
        "latency": quantity(row["latency_us"]),
        "floor": row.get("floor_uj"),
        "board": None,
        "live": quantity(row.get("live_uj")),
        "edp": None,
        "basis_kind": basis_kind(row.get("energy_basis"), energy),
        "scope": listing(row.get("scope")),
        "missing": "",
        "notes": _model_notes(row) if modeled else {},
        "layers": [],
        "sensitivity": [],
    }


def _model_notes(row: BaselineRow) -> dict[str, Notes]:
    """Remarks on a modeled row of a GPU."""
    fitted = row.get("fitted_to")
    live = _known(row.get("live_uj"), "µJ")
    constants = f"fitted to measurements of this GPU, {fitted['file']}" if fitted else "those of any board"
    notes: dict[str, Notes] = {
        "Basis": "launch-bound model: time of a call and of its kernels, then the larger of operations over peak and "
        f"bytes over bandwidth, at the power of a busy board. Constants: {constants}. Low and high: all of them at "
        "their ends",
        "Latency": f"{quantity_text(row['latency_us'], 'µs')} for the batch of {row['batch']}",
        "Live": f"{live}, one recording after the other, the board idle in between" if live else "",
        "Full throughput at full power": _known(row.get("floor_uj"), "µJ"),
    }
    return {title: text for title, text in notes.items() if text}


def _notes(row: EnergyRow) -> dict[str, Notes]:
    """Remarks on the energy of one device by title, without those that are not known."""
    notes: dict[str, Notes] = {
        "Basis": listing(row.get("basis")),
        **operation_notes(row),
        "Static": _known(row.get("static_uj"), "µJ"),
        "Energy-delay product": _known(row.get("edp_uj_us"), "µJ µs"),
    }
    if spread := row.get("per_sample_uj"):
        notes["Over recordings"] = (
            f"mean {amount(spread['mean'])} µJ ({amount(spread['low'])} to {amount(spread['high'])}, "
            f"{spread['interval']}), 95th percentile {amount(spread['p95'])} µJ"
        )
    notes["Neuron updates"] = neuron_updates(row)
    ann = _known(row.get("ann_uj"), "µJ")
    if operations := _known(row.get("operations_uj"), "µJ"):
        ann += f", operations only; operations of the spiking network: {operations}"
    notes["The same network as an ANN"] = ann
    if even := row.get("break_even"):
        notes["Break-even"] = (
            f"{amount(even['events_per_synapse'])} events per synapse and inference; here {amount(even['here'])}. "
            "Below it the spiking network costs less than one dense pass of the ANN"
        )
        if "firing" in even:
            notes["Against an equally precise ANN"] = (
                f"one of {even['ann_bits']}-bit activations, not 32: by Yan et al. (arXiv 2409.08290, 5 to 10 steps) a "
                f"spiking network must fire in less than 5.7 to 6.4 % of neuron-steps; here {percent(even['firing'])}"
            )
    if placed := row.get("placement"):
        shares = [
            f"{layer['name']} {layer['cores']}" + (f" (filled by {layer['filled_by']})" if layer["filled_by"] else "")
            for layer in placed["layers"]
        ]
        share = percent(placed["cores"] / placed["cores_per_chip"])
        notes["Cores"] = (
            f"{'at least ' if placed.get('at_least') else ''}{placed['cores']} of {placed['cores_per_chip']:g} "
            f"({share} of a chip), by public limits, layers not sharing any: {', '.join(shares)}"
        )
    if moved := row.get("sensitivity"):
        notes["Moved most by"] = moved_most(moved)
    notes["Assumes"] = row.get("assumptions") or ""
    notes["Not included"] = row.get("not_included") or ""
    notes["Sources"] = row.get("sources") or ""
    return {title: text for title, text in notes.items() if text}


def neuron_updates(row: EnergyRow) -> str:
    """Neuron energy by each rule for active updates, the rule in use first, and its bounds.

    Empty where the energy does not depend on the rule.

    Args:
        row: an `energy` row of report.json.
    """
    bracket = row.get("neuron_bracket_uj")
    if not bracket or bracket["all_inactive"] == bracket["all_active"]:
        return ""
    ends = (
        f"{amount(bracket['all_inactive'])} µJ if all counted as inactive, {amount(bracket['all_active'])} µJ "
        "if all as active"
    )
    by_rule, own = row.get("neuron_by_rule_uj") or {}, row.get("active_rule")
    if own not in by_rule:  # a report of a version without a choice of rules
        return ends
    others = "".join(f", by {rule} {amount(energy)} µJ" for rule, energy in by_rule.items() if rule != own)
    return f"{amount(by_rule[own])} µJ by the rule in force, {own}{others}; {ends}"


def _known(value: Any, unit: str) -> str:
    return quantity_text(value, unit) if quantity(value) else ""
