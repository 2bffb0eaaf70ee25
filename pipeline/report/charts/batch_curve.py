"""Chart of time per inference against batch size: measured curves by network and device, and formula floors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TypedDict

from markupsafe import Markup

from spikeport.pipeline.profiling.baseline.rows import BaselineRow, CurvePoint, FileDigest
from spikeport.pipeline.report.charts.pareto import ends
from spikeport.pipeline.report.charts.plane import Plane, Plot, apart, fine_log_axis
from spikeport.pipeline.report.charts.svg import ROW, Axis
from spikeport.pipeline.report.content.report_json import Reason
from spikeport.pipeline.report.content.words import amount
from spikeport.values import IntervalJson

STYLES = 4  # line styles, one for each device; a fifth device uses the first style again
FLOORS_AT = 0.94  # of the width
DODGE, LABEL_GAP = 4, 14  # px between whiskers of one batch, and between labels of one column
FLOOR_MARK = '<path class="mark floor" d="M-6 1l6 -9l6 9z"/>'  # a triangle upward: a lower bound
NO_CURVE = "timed when only batch 1 and the best batch were kept, so there is no curve"


class Point(TypedDict):
    """Time of one inference at one batch size.

    Attributes:
        batch: size of the batch.
        us: time of one inference, µs: the time of the batch over its size.
        repeats: number of repeats.
        energy_uj: energy of one inference, µJ; None where it was not measured.
    """

    batch: int
    us: IntervalJson
    repeats: int
    energy_uj: IntervalJson | None


class TimedCurve(TypedDict):
    """Time by batch size of one network on one device.

    Attributes:
        label: number of the curve in the chart.
        model: the network.
        device: the device.
        elsewhere: name of the baseline file that it was read from; empty where it was measured in this run.
        style: index of the line style; one for each device.
        points: times by batch size.
    """

    label: str
    model: str
    device: str
    elsewhere: str
    style: int
    points: list[Point]


class Floor(TypedDict):
    """The formula floor of one network on one GPU.

    Attributes:
        label: letter of the floor in the chart.
        model: the network.
        device: the GPU.
        us: least time of one inference, µs.
    """

    label: str
    model: str
    device: str
    us: float


class BatchCurves(TypedDict):
    """Curves and floors of a baseline.

    Attributes:
        curves: measured times by batch size.
        floors: the highest formula floor of each network.
        without: names of measurements without a curve.
    """

    curves: list[TimedCurve]
    floors: list[Floor]
    without: list[str]


def batch_curves(baseline: list[BaselineRow] | Reason) -> BatchCurves:
    """Time by batch size of each network and device, and the highest formula floor of each network.

    Args:
        baseline: rows of a baseline, or the reason why there are none.
    """
    rows = baseline if isinstance(baseline, list) else []
    timed = [row for row in rows if row["batch"] == 1 and row.get("latency_us") and row["latency_basis"] == "measured"]
    measured = [row for row in timed if row.get("curve")]
    devices = list(dict.fromkeys(_device(row) for row in measured))
    return {
        "curves": [
            {
                "label": str(number),
                "model": row.get("model", ""),
                "device": row["device"],
                "elsewhere": _source(row)["file"],
                "style": devices.index(_device(row)) % STYLES,
                "points": [_point(point) for point in sorted(row["curve"], key=lambda point: point["batch"])],
            }
            for number, row in enumerate(measured, start=1)
        ],
        "floors": [
            {"label": _letters(number), "model": row.get("model", ""), "device": row["device"], "us": _floor_us(row)}
            for number, row in enumerate(_floors(rows))
        ],
        "without": [named(row) for row in timed if not row.get("curve")],
    }


def named(row: BaselineRow | TimedCurve | Floor) -> str:
    """The network and the device of a row or curve.

    Args:
        row: a row or curve.
    """
    return ", ".join(part for part in (row.get("model"), row["device"]) if part)


def plot(curves: Sequence[TimedCurve], floors: Sequence[Floor]) -> Plot:
    """Draws the chart. Its text description contains all numbers, for screen readers.

    Args:
        curves: measured curves, at least one.
        floors: formula floors.
    """
    times = [end for curve in curves for point in curve["points"] for end in ends(point["us"])]
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
    label_spots = [(across.at(point["batch"]), plane.y(point["us"]["nominal"])) for point in last]
    body += _labels(curves, label_spots, 6 + DODGE * len(curves) // 2, "start")
    body += _labels(floors, [(at_floors, plane.y(floor["us"])) for floor in floors], -11, "end")
    columns = [f"{batch:,}" for batch in batches] + ["floor"] * bool(floors)
    title = "Time per inference against batch size, both logarithmic"
    return plane.plot(body, title, "; ".join(description), [f"{tick:,g}" for tick in plane.up.ticks], columns)


def key(style: int | None) -> Markup:
    """Legend entry: the line and the mark of a curve.

    Args:
        style: index of the line style; None for the mark of a floor.
    """
    mark, y = '<line class="way" x2="34"/><circle cx="17" r="3.5"/>', ROW / 2
    drawn = f'<g class="curve of-{style}" transform="translate(0 {y:g})">{mark}</g>'
    if style is None:
        drawn = f'<g transform="translate(17 {y + 4:g})">{FLOOR_MARK}</g>'
    return Markup(f'<svg class="key" width="34" height="{ROW}" aria-hidden="true">{drawn}</svg>')


def _source(row: BaselineRow) -> FileDigest:
    return row.get("taken_from") or {"file": "", "sha256": ""}


def _device(row: BaselineRow) -> tuple[str, str]:
    """A device's name and its file, since two machines may have the same name."""
    return row["device"], _source(row)["sha256"]


def _floor_us(row: BaselineRow) -> float:
    return row.get("floor_us_per_inference") or 0.0


def _floors(rows: Sequence[BaselineRow]) -> list[BaselineRow]:
    """The row with the highest floor of each network."""
    highest: dict[str, BaselineRow] = {}
    for row in rows:
        model = row.get("model", "")
        if _floor_us(row) > (_floor_us(highest[model]) if model in highest else 0.0):
            highest[model] = row
    return list(highest.values())


def _point(point: CurvePoint) -> Point:
    time, batch = point["latency_us"], point["batch"]
    us: IntervalJson = {"low": time["low"] / batch, "nominal": time["nominal"] / batch, "high": time["high"] / batch}
    return {"batch": batch, "us": us, "repeats": point["repeats"], "energy_uj": point["energy_uj"]}


def _letters(number: int) -> str:
    """0, 1, ... as a, b, ..., z, aa, ab, ..."""
    return (_letters(number // 26 - 1) if number >= 26 else "") + chr(ord("a") + number % 26)


def _across(batches: Sequence[int], floors: bool) -> tuple[Axis, float]:
    """The axis of batch sizes with space for labels, and the position of the floors in percent of the width.

    Floors do not depend on the batch size, so they have a column of their own.
    """
    low = batches[0] / 1.2
    high = low * (batches[-1] / low) ** (1 / (0.78 if floors else 0.9))
    ticks = (*batches, low * (high / low) ** FLOORS_AT) if floors else tuple(batches)
    axis = Axis(low, high, ticks, log=True)
    return axis, axis.at(ticks[-1]) if floors else math.nan


def _line(curve: TimedCurve, plane: Plane, place: float) -> str:
    """Marks with whiskers, joined by lines; `place` is the horizontal offset of this curve, in steps of DODGE px."""
    spots = [(plane.across.at(point["batch"]), *map(plane.y, ends(point["us"]))) for point in curve["points"]]
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


def _labels(
    entries: Sequence[TimedCurve | Floor], spots: Sequence[tuple[float, float]], dx: int, anchor: str
) -> Markup:
    """Labels at `spots` (percent, px); labels in one column are moved apart."""
    places = {x: iter(apart([y for other, y in spots if other == x], LABEL_GAP)) for x, _ in spots}
    return Markup("").join(
        Markup('<text x="{}%" dx="{}" y="{:g}" text-anchor="{}">{}</text>').format(
            x, dx, next(places[x]) + 4, anchor, entry["label"]
        )
        for entry, (x, _) in zip(entries, spots, strict=True)
    )
