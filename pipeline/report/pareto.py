"""Accuracy against energy: one mark per run, with both intervals. Up and to the left is better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from pipeline.report.charts import MARKS, ROW, Axis, log_axis, scale, share_axis, svg

HEIGHT = 260.0  # of the drawing, px; its width is the column's
BESIDE = ((10, -8), (10, 18), (-10, -8), (-10, 18))  # where a mark's number stands, px, in turn


@dataclass(frozen=True, kw_only=True)
class Point:
    """A run's {low, nominal, high} energy, µJ, and accuracy, 0..1. `standing`: of the energy (a key of MARKS)."""

    number: int
    label: str
    energy: dict[str, float]
    accuracy: dict[str, float]
    standing: str


@dataclass(frozen=True, kw_only=True)
class Plot:
    """The drawing and its axes, each of its own size: `rows` to the left of `drawing`, `columns` below."""

    rows: Markup
    drawing: Markup
    columns: Markup


def plot(points: Sequence[Point], title: str) -> Plot:
    """The drawing of `points` (at least one); its description reads their numbers out."""
    across = _across([point.energy[end] for point in points for end in ("low", "nominal", "high")])
    up = share_axis(min(point.accuracy["low"] for point in points))
    ends = [(f"{x}%", f"{x}%", 0.0, HEIGHT) for x in map(across.at, across.ticks)]
    ends += [("0", "100%", y, y) for y in (_y(up, tick) for tick in up.ticks)]
    grid = [f'<line class="grid" x1="{x}" x2="{to_x}" y1="{y}" y2="{to_y}"/>' for x, to_x, y, to_y in ends]
    told = "; ".join(
        f"{point.number}, {point.label}: {point.energy['nominal']:.3g} µJ, {100 * point.accuracy['nominal']:.1f} %"
        for point in points
    )
    body = Markup("<desc>{}</desc>").format(told) + Markup("".join(grid))
    body += Markup("".join(_lines(point, across, up) for point in points))
    body += Markup("").join(_mark(point, across, up) for point in points)
    return Plot(
        rows=_rows(up),
        drawing=svg(body, title, "plot", f'width="100%" height="{HEIGHT:g}"'),
        columns=scale(across, [f"{tick:,g}" for tick in across.ticks]),
    )


def _across(values: Sequence[float]) -> Axis:
    """A logarithmic axis; where it spans two decades at most, 2 and 5 of each carry a tick too."""
    axis = log_axis(values)
    if axis.high > 100 * axis.low:
        return axis
    between = [base * times for base in axis.ticks if base < axis.high for times in (1, 2, 5)]
    return Axis(axis.low, axis.high, (*between, axis.high), log=True)


def _y(up: Axis, share: float) -> float:
    return round(HEIGHT * (1 - up.at(share) / 100), 2)


def _lines(point: Point, across: Axis, up: Axis) -> str:
    low, x, high = (across.at(point.energy[end]) for end in ("low", "nominal", "high"))
    bottom, y, top = (_y(up, point.accuracy[end]) for end in ("low", "nominal", "high"))
    return (
        f'<line class="range {point.standing}" x1="{low}%" x2="{high}%" y1="{y}" y2="{y}"/>'
        f'<line class="range" x1="{x}%" x2="{x}%" y1="{bottom}" y2="{top}"/>'
    )


def _mark(point: Point, across: Axis, up: Axis) -> Markup:
    x, y = across.at(point.energy["nominal"]), _y(up, point.accuracy["nominal"])
    aside, below = BESIDE[(point.number - 1) % len(BESIDE)]
    anchor = "start" if aside > 0 else "end"
    return Markup(
        f'<svg x="{x}%" y="{round(y - ROW / 2, 2)}" overflow="visible">{MARKS[point.standing]}</svg>'
        f'<text x="{x}%" dx="{aside}" y="{round(y + below, 2)}" text-anchor="{anchor}">{escape(point.number)}</text>'
    )


def _rows(up: Axis) -> Markup:
    ticks = "".join(f'<text x="100%" y="{_y(up, t) + 4}" text-anchor="end">{100 * t:.0f} %</text>' for t in up.ticks)
    return Markup(f'<svg class="scale" width="100%" height="{HEIGHT:g}" aria-hidden="true">{ticks}</svg>')
