"""Chart of time per inference against batch size: measured and modeled curves by network and device."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypedDict

from markupsafe import Markup

from spikeport.pipeline.profiling.baseline.rows import MEASURED, MODELED, BaselineRow, CurvePoint, FileDigest
from spikeport.pipeline.report.charts.pareto import ends
from spikeport.pipeline.report.charts.plane import Plane, Plot, apart, fine_log_axis
from spikeport.pipeline.report.charts.svg import ROW, Axis
from spikeport.pipeline.report.content.report_json import Reason
from spikeport.pipeline.report.content.words import amount
from spikeport.values import IntervalJson

STYLES = 4  # line styles, one for each device; a fifth device uses the first style again
DODGE, LABEL_GAP = 4, 14  # px between whiskers of one batch, and between labels of one column
NO_CURVE = "timed when only batch 1 and the best batch were kept, so there is no curve"


class Point(TypedDict):
    """Time of one inference at one batch size.

    Attributes:
        batch: size of the batch.
        us: time of one inference, µs: the time of the batch over its size.
        repeats: number of repeats; 0 for a modeled time.
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
        basis: `measured` or `modeled`.
        elsewhere: name of the baseline file that it was read from; empty where it was measured in this run.
        style: index of the line style; one for each device.
        points: times by batch size.
    """

    label: str
    model: str
    device: str
    basis: str
    elsewhere: str
    style: int
    points: list[Point]


class BatchCurves(TypedDict):
    """Curves of a baseline.

    Attributes:
        curves: times by batch size.
        modeled: whether one of them is modeled.
        without: names of measurements without a curve.
    """

    curves: list[TimedCurve]
    modeled: bool
    without: list[str]


def batch_curves(baseline: list[BaselineRow] | Reason) -> BatchCurves:
    """Time by batch size of each network and device.

    Args:
        baseline: rows of a baseline, or the reason why there are none.
    """
    rows = baseline if isinstance(baseline, list) else []
    timed = [row for row in rows if row["batch"] == 1 and row.get("latency_us")]
    drawn = [row for row in timed if row.get("curve")]
    devices = list(dict.fromkeys(_device(row) for row in drawn))
    return {
        "curves": [
            {
                "label": str(number),
                "model": row.get("model", ""),
                "device": row["device"],
                "basis": row["latency_basis"] or "",
                "elsewhere": _source(row)["file"],
                "style": devices.index(_device(row)) % STYLES,
                "points": [_point(point) for point in sorted(row["curve"], key=lambda point: point["batch"])],
            }
            for number, row in enumerate(drawn, start=1)
        ],
        "modeled": any(row["latency_basis"] == MODELED for row in drawn),
        "without": [named(row) for row in timed if row["latency_basis"] == MEASURED and not row.get("curve")],
    }


def named(row: BaselineRow | TimedCurve) -> str:
    """The network and the device of a row or curve.

    Args:
        row: a row or curve.
    """
    return ", ".join(part for part in (row.get("model"), row["device"]) if part)


def plot(curves: Sequence[TimedCurve]) -> Plot:
    """Draws the chart. Its text description contains all numbers, for screen readers.

    Args:
        curves: the curves, at least one.
    """
    times = [end for curve in curves for point in curve["points"] for end in ends(point["us"])]
    batches = sorted({point["batch"] for curve in curves for point in curve["points"]})
    across = _across(batches)
    plane = Plane(across=across, up=fine_log_axis(times))
    description = [
        f"{curve['label']}, {named(curve)}, {curve['basis']}: "
        + ", ".join(f"{amount(point['us']['nominal'])} µs at batch {point['batch']}" for point in curve["points"])
        for curve in curves
    ]
    body = Markup("".join(_line(curve, plane, k - (len(curves) - 1) / 2) for k, curve in enumerate(curves)))
    last = [max(curve["points"], key=lambda point: point["batch"]) for curve in curves]
    label_spots = [(across.at(point["batch"]), plane.y(point["us"]["nominal"])) for point in last]
    body += _labels(curves, label_spots, 6 + DODGE * len(curves) // 2)
    columns = [f"{batch:,}" for batch in batches]
    title = "Time per inference against batch size, both logarithmic"
    return plane.plot(body, title, "; ".join(description), [f"{tick:,g}" for tick in plane.up.ticks], columns)


def key(curve: TimedCurve) -> Markup:
    """Legend entry: the line and the mark of a curve.

    Args:
        curve: the curve.
    """
    drawn = f'<line class="way" x2="34"/>{_mark(curve, "17", "0")}'
    return Markup(
        f'<svg class="key" width="34" height="{ROW}" aria-hidden="true">'
        f'<g class="{_classes(curve)}" transform="translate(0 {ROW / 2:g})">{drawn}</g></svg>'
    )


def _source(row: BaselineRow) -> FileDigest:
    return row.get("taken_from") or {"file": "", "sha256": ""}


def _device(row: BaselineRow) -> tuple[str, str]:
    """A device's name and its file, since two machines may have the same name."""
    return row["device"], _source(row)["sha256"]


def _point(point: CurvePoint) -> Point:
    time, batch = point["latency_us"], point["batch"]
    us: IntervalJson = {"low": time["low"] / batch, "nominal": time["nominal"] / batch, "high": time["high"] / batch}
    return {"batch": batch, "us": us, "repeats": point["repeats"], "energy_uj": point["energy_uj"]}


def _across(batches: Sequence[int]) -> Axis:
    """The axis of batch sizes with space for labels."""
    low = batches[0] / 1.2
    return Axis(low, low * (batches[-1] / low) ** (1 / 0.9), tuple(batches), log=True)


def _classes(curve: TimedCurve) -> str:
    return f"curve of-{curve['style']}{' modeled' if curve['basis'] == MODELED else ''}"


def _mark(curve: TimedCurve, x: str, y: str) -> str:
    """A circle, or the open diamond of a modeled time."""
    if curve["basis"] == MODELED:
        path = '<path class="diamond" d="M0 -4.5l4.5 4.5l-4.5 4.5l-4.5 -4.5z"/>'
        return f'<svg x="{x}" y="{y}" overflow="visible">{path}</svg>'
    return f'<circle cx="{x}" cy="{y}" r="3.5"/>'


def _line(curve: TimedCurve, plane: Plane, place: float) -> str:
    """Marks with whiskers, joined by lines; `place` is the horizontal offset of this curve, in steps of DODGE px."""
    spots = [(plane.across.at(point["batch"]), *map(plane.y, ends(point["us"]))) for point in curve["points"]]
    drawn = [
        f'<line class="way" x1="{x}%" y1="{y}" x2="{to_x}%" y2="{to_y}"/>'
        for (x, _, y, _), (to_x, _, to_y, _) in pairwise(spots)
    ]
    drawn += [f'<line x1="{x}%" x2="{x}%" y1="{bottom}" y2="{top}"/>' for x, bottom, _, top in spots]
    drawn += [_mark(curve, f"{x}%", f"{y}") for x, _, y, _ in spots]
    return f'<g class="{_classes(curve)}" transform="translate({DODGE * place:g} 0)">{"".join(drawn)}</g>'


def _labels(curves: Sequence[TimedCurve], spots: Sequence[tuple[float, float]], dx: int) -> Markup:
    """Labels at `spots` (percent, px); labels in one column are moved apart."""
    places = {x: iter(apart([y for other, y in spots if other == x], LABEL_GAP)) for x, _ in spots}
    return Markup("").join(
        Markup('<text x="{}%" dx="{}" y="{:g}">{}</text>').format(x, dx, next(places[x]) + 4, curve["label"])
        for curve, (x, _) in zip(curves, spots, strict=True)
    )
