"""Time per inference against batch size: a line per network and device, as measured, and the formula floors beside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from spikeport.pipeline.report.charts.plane import Plane, Plot, apart, fine_log_axis
from spikeport.pipeline.report.charts.svg import ROW, Axis
from spikeport.pipeline.report.content.words import amount

ENDS = ("low", "nominal", "high")
STYLES = 4  # ways to draw a line, one for each device; a fifth device begins anew
FLOORS_AT = 0.94  # of the width
DODGE, LABEL_GAP = 4, 14  # px between whiskers of one batch, and between labels of one column
FLOOR_MARK = '<path class="mark floor" d="M-6 1l6 -9l6 9z"/>'  # upward: at least
NO_CURVE = "timed when only batch 1 and the best batch were kept, so there is no curve"


def batch_curves(baseline: Any) -> dict[str, list[Any]]:
    """What `baseline` of report.json says of time by batch: {curves, floors, without}.

    A curve: `label`, `model`, `device`, `elsewhere` (in which baseline file, else empty), `style` (of its device,
    counted from 0), `points` of {batch, us (of one inference, {low, nominal, high}), latency_us, repeats, energy_uj}. A
    floor: `label`, `model`, `device`, `us`; of each network the highest, that of its widest numbers. `without`: what
    was timed and has no curve, in words.
    """
    rows = [] if isinstance(baseline, dict) else baseline
    timed = [row for row in rows if row["batch"] == 1 and row.get("latency_us") and row["latency_basis"] == "measured"]
    kept = [row for row in timed if row.get("curve")]
    devices = list(dict.fromkeys(_device(row) for row in kept))
    return {
        "curves": [
            {
                "label": str(number),
                "model": row.get("model", ""),
                "device": row["device"],
                "elsewhere": (row.get("taken_from") or {}).get("file", ""),
                "style": devices.index(_device(row)) % STYLES,
                "points": [_point(point) for point in sorted(row["curve"], key=lambda point: point["batch"])],
            }
            for number, row in enumerate(kept, start=1)
        ],
        "floors": [
            {
                "label": _letters(number),
                "model": row.get("model", ""),
                "device": row["device"],
                "us": row["floor_us_per_inference"],
            }
            for number, row in enumerate(_floors(rows))
        ],
        "without": [named(row) for row in timed if not row.get("curve")],
    }


def named(row: dict[str, Any]) -> str:
    """The network and the device of a row or curve."""
    return ", ".join(part for part in (row.get("model"), row["device"]) if part)


def plot(curves: Sequence[dict[str, Any]], floors: Sequence[dict[str, Any]]) -> Plot:
    """The drawing of `curves` (at least one) and `floors`; its description reads their numbers out."""
    times = [point["us"][end] for curve in curves for point in curve["points"] for end in ENDS]
    batches = sorted({point["batch"] for curve in curves for point in curve["points"]})
    across, at_floors = _across(batches, bool(floors))
    plane = Plane(across=across, up=fine_log_axis([*times, *(floor["us"] for floor in floors)]))
    description = [
        f"{curve['label']}, {named(curve)}: "
        + ", ".join(f"{amount(point['us']['nominal'])} µs at batch {point['batch']}" for point in curve["points"])
        for curve in curves
    ]
    description += [f"{floor['label']}, {named(floor)}: floor, at least {amount(floor['us'])} µs" for floor in floors]
    body = Markup("".join(_line(curve, plane, k - (len(curves) - 1) / 2) for k, curve in enumerate(curves)))
    body += Markup("".join(_triangle(floor["us"], plane, at_floors) for floor in floors))
    last = [max(curve["points"], key=lambda point: point["batch"]) for curve in curves]
    ends = [(across.at(point["batch"]), plane.y(point["us"]["nominal"])) for point in last]
    body += _labels(curves, ends, 6 + DODGE * len(curves) // 2, "start")
    body += _labels(floors, [(at_floors, plane.y(floor["us"])) for floor in floors], -11, "end")
    columns = [f"{batch:,}" for batch in batches] + ["floor"] * bool(floors)
    title = "Time per inference against batch size, both logarithmic"
    return plane.plot(body, title, "; ".join(description), [f"{tick:,g}" for tick in plane.up.ticks], columns)


def key(style: int | None) -> Markup:
    """The line and mark of a curve alone, for a legend; None: the mark of a floor."""
    mark, y = '<line class="way" x2="34"/><circle cx="17" r="3.5"/>', ROW / 2
    drawn = f'<g class="curve of-{style}" transform="translate(0 {y:g})">{mark}</g>'
    if style is None:
        drawn = f'<g transform="translate(17 {y + 4:g})">{FLOOR_MARK}</g>'
    return Markup(f'<svg class="key" width="34" height="{ROW}" aria-hidden="true">{drawn}</svg>')


def _device(row: dict[str, Any]) -> tuple[str, str]:
    """A device's name, and which file it comes from: two machines may have the same."""
    return row["device"], (row.get("taken_from") or {}).get("sha256", "")


def _floors(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    highest: dict[str, dict[str, Any]] = {}
    for row in rows:
        us = row.get("floor_us_per_inference") or 0.0
        model = row.get("model", "")
        if us > highest.get(model, {}).get("floor_us_per_inference", 0.0):
            highest[model] = row
    return list(highest.values())


def _point(point: dict[str, Any]) -> dict[str, Any]:
    return point | {"us": {end: point["latency_us"][end] / point["batch"] for end in ENDS}}


def _letters(number: int) -> str:
    """0, 1, ... as a, b, ..., z, aa, ab, ..."""
    return (_letters(number // 26 - 1) if number >= 26 else "") + chr(ord("a") + number % 26)


def _across(batches: Sequence[int], floors: bool) -> tuple[Axis, float]:
    """The batches with room for labels, and where floors stand, which hold at any batch (percent of the width)."""
    low = batches[0] / 1.2
    high = low * (batches[-1] / low) ** (1 / (0.78 if floors else 0.9))
    ticks = (*batches, low * (high / low) ** FLOORS_AT) if floors else tuple(batches)
    axis = Axis(low, high, ticks, log=True)
    return axis, axis.at(ticks[-1]) if floors else math.nan


def _line(curve: dict[str, Any], plane: Plane, place: float) -> str:
    """Marks with whiskers, joined; `place` puts whiskers of the same batch beside each other."""
    spots = [
        (plane.across.at(point["batch"]), *(plane.y(point["us"][end]) for end in ENDS)) for point in curve["points"]
    ]
    drawn = [
        f'<line class="way" x1="{x}%" y1="{y}" x2="{to_x}%" y2="{to_y}"/>'
        for (x, _, y, _), (to_x, _, to_y, _) in pairwise(spots)
    ]
    drawn += [f'<line x1="{x}%" x2="{x}%" y1="{bottom}" y2="{top}"/>' for x, bottom, _, top in spots]
    drawn += [f'<circle cx="{x}%" cy="{y}" r="3.5"/>' for x, _, y, _ in spots]
    return f'<g class="curve of-{curve["style"]}" transform="translate({DODGE * place:g} 0)">{"".join(drawn)}</g>'


def _triangle(us: float, plane: Plane, x: float) -> str:
    y = plane.y(us)
    above = max(0.0, y - 26)
    return (
        f'<line class="open" x1="{x}%" x2="{x}%" y1="{y}" y2="{above:g}"/>'
        f'<svg x="{x}%" y="{y}" overflow="visible">{FLOOR_MARK}</svg>'
    )


def _labels(entries: Sequence[dict[str, Any]], spots: Sequence[tuple[float, float]], dx: int, anchor: str) -> Markup:
    """Labels at `spots` (percent, px); those in one column stand apart."""
    places = {x: iter(apart([y for other, y in spots if other == x], LABEL_GAP)) for x, _ in spots}
    return Markup("").join(
        Markup('<text x="{}%" dx="{}" y="{:g}" text-anchor="{}">{}</text>').format(
            x, dx, next(places[x]) + 4, anchor, entry["label"]
        )
        for entry, (x, _) in zip(entries, spots, strict=True)
    )
