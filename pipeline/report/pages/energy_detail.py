"""Where the energy of a device goes, and which constant moves it: what the energy section draws below its table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypedDict

from markupsafe import Markup

from spikeport.pipeline.report.charts import svg as charts
from spikeport.pipeline.report.charts import term_bars
from spikeport.pipeline.report.content import words
from spikeport.pipeline.report.content.energy_json import EffectJson, EndsJson, LayerTerms
from spikeport.pipeline.report.content.energy_notes import ENERGY_NOTE
from spikeport.pipeline.report.content.energy_rows import DeviceEnergy, energy_rows, nominal_terms
from spikeport.pipeline.report.content.report_json import Report
from spikeport.values import IntervalJson

MOST_CONSTANTS = 8  # bars of a tornado; further constants are in the table alone


class LayerPart(TypedDict):
    """Nominal energies of a layer by term, µJ, their sum, and a bar of them."""

    name: str
    terms: dict[str, float | None]
    sum: float
    bar: Markup


class Moved(TypedDict):
    """A constant, its bar, and the energy at both ends of it, in words."""

    constant: str
    bar: Markup
    ends: str


class Tornado(TypedDict):
    """The constants that move an energy most, the largest first.

    Attributes:
        of: the energy that is drawn, `total` or `dynamic`.
        rows: a row for each constant.
        scale: labels of the axis.
    """

    of: str
    rows: list[Moved]
    scale: Markup


def energy_section(report: Report) -> dict[str, object]:
    """What the energy section shows: devices and baselines on one logarithmic axis; unknown energies have no chart.

    Args:
        report: content of report.json.
    """
    rows = energy_rows(report)
    known = [(row, row["headline"]) for row in rows if row["headline"]]
    values = [end for _, energy in known for end in (energy["low"], energy["high"])]
    values += [row["total"]["nominal"] for row in rows if row["total"]]
    values += [row["floor"] for row in rows if row["floor"]]
    axis = charts.log_axis(values)
    drawn = [
        {
            **row,
            "chart": _chart(row, axis),
            "parts": layer_parts(row["layers"]),
            "tornado": tornado(row["sensitivity"], _nominal(row["dynamic"]), _nominal(row["total"])),
            "first": False,
        }
        for row in rows
    ]
    for row in drawn:
        if row["parts"]:
            row["first"] = True  # drawn open, the others are folded
            break
    scale = charts.scale(axis, [f"{tick:,g}" for tick in axis.ticks])
    return {
        "rows": drawn,
        "note": ENERGY_NOTE,
        "scale": scale,
        "terms": term_bars.TERMS,
        "term_key": term_bars.term_key,
    }


def _nominal(energy: IntervalJson | None) -> float | None:
    return energy["nominal"] if energy else None


def _chart(row: DeviceEnergy, axis: charts.Axis) -> Markup:
    energy = row["headline"]
    if not energy:
        return Markup("")
    title = f"{row['name']}: {row['basis_kind']}, {words.quantity_text(energy, 'µJ')} per inference"
    total = row["total"]["nominal"] if row["dynamic"] and row["total"] else None
    title += f"; full throughput at full power {words.amount(row['floor'])} µJ" if row["floor"] else ""
    return charts.interval(axis, energy, title, row["basis_kind"], total, floor=row["floor"])


def layer_parts(layers: Sequence[LayerTerms]) -> list[LayerPart]:
    """Nominal energies of each layer by term, with a bar relative to the layer with the largest energy.

    Args:
        layers: terms of each layer.
    """
    terms = [nominal_terms(layer) for layer in layers]
    sums = [sum(energy or 0.0 for energy in each.values()) for each in terms]
    largest = max(sums, default=0.0)
    return [
        {
            "name": layer["name"],
            "terms": each,
            "sum": own,
            "bar": term_bars.stacked(each, largest, f"energy of {layer['name']} by term"),
        }
        for layer, each, own in zip(layers, terms, sums, strict=True)
    ]


def tornado(effects: Sequence[EffectJson], dynamic: float | None, total: float | None) -> Tornado | None:
    """The tornado chart of a device: of its total energy, or of its dynamic energy where no total is known.

    Args:
        effects: effect of each uncertain constant.
        dynamic: nominal dynamic energy, µJ.
        total: nominal total energy, µJ.

    Returns:
        The chart; None where no constant moves a known energy.
    """
    of, nominal = ("total", total) if total is not None else ("dynamic", dynamic)
    if nominal is None:
        return None
    known = [(effect["constant"], ends) for effect in effects if (ends := _ends(effect, of)) is not None]
    moved = [(name, ends) for name, ends in known if ends["low"] != ends["high"]]
    moved.sort(key=lambda each: -abs(each[1]["high"] - each[1]["low"]))
    moved = moved[:MOST_CONSTANTS]
    if not moved:
        return None
    axis = _axis([nominal, *(end for _, ends in moved for end in (ends["low"], ends["high"]))])
    rows: list[Moved] = []
    for name, ends in moved:
        text = f"{words.amount(ends['low'])} to {words.amount(ends['high'])}"
        bar = term_bars.tornado(axis, nominal, ends["low"], ends["high"], f"{name}: {text} µJ")
        rows.append({"constant": name, "bar": bar, "ends": text})
    return {"of": of, "rows": rows, "scale": charts.scale(axis, [words.amount(tick) for tick in axis.ticks])}


def _ends(effect: EffectJson, of: str) -> EndsJson | None:
    return effect["total_uj"] if of == "total" else effect["dynamic_uj"]


def _axis(values: Sequence[float]) -> charts.Axis:
    """A linear axis of round ticks around all values."""
    low, high = min(values), max(values)
    reach = (high - low) or abs(high) or 1.0
    low, high = max(0.0, low - reach / 20), high + reach / 20
    step = 10 ** math.floor(math.log10((high - low) / 3))
    step = next(step * times for times in (1, 2, 5, 10) if (high - low) / (step * times) <= 4)
    first = math.ceil(low / step)
    return charts.Axis(low, high, tuple(step * i for i in range(first, math.floor(high / step) + 1)))
