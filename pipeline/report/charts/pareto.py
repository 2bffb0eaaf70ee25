"""Chart of accuracy against energy: one mark for each run, with both intervals. Up and to the left is better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from spikeport.pipeline.report.charts.plane import Plane, Plot, fine_log_axis
from spikeport.pipeline.report.charts.svg import MARKS, ROW, share_axis
from spikeport.values import IntervalJson

BESIDE = ((10, -8), (10, 18), (-10, -8), (-10, 18))  # offsets of a mark's number, px, used in turn


@dataclass(frozen=True, kw_only=True)
class Point:
    """One run in the chart.

    Attributes:
        number: number beside the mark, from 1.
        label: name of the run, for the text description.
        energy: energy of one inference, µJ.
        accuracy: accuracy, 0 to 1.
        basis_kind: basis of the energy, a key of MARKS.
    """

    number: int
    label: str
    energy: IntervalJson
    accuracy: IntervalJson
    basis_kind: str


def ends(interval: IntervalJson) -> tuple[float, float, float]:
    """Low, nominal and high.

    Args:
        interval: `{low, nominal, high}`.
    """
    return interval["low"], interval["nominal"], interval["high"]


def plot(points: Sequence[Point], title: str) -> Plot:
    """Draws the chart. Its text description contains all numbers, for screen readers.

    Args:
        points: the runs, at least one.
        title: title of the drawing.
    """
    plane = Plane(
        across=fine_log_axis([end for point in points for end in ends(point.energy)]),
        up=share_axis(min(point.accuracy["low"] for point in points)),
    )
    description = "; ".join(
        f"{point.number}, {point.label}: {point.energy['nominal']:.3g} µJ, {100 * point.accuracy['nominal']:.1f} %"
        for point in points
    )
    body = Markup("".join(_lines(point, plane) for point in points))
    body += Markup("").join(_mark(point, plane) for point in points)
    shares, energies = plane.up.ticks, plane.across.ticks
    return plane.plot(
        body, title, description, [f"{100 * tick:.0f} %" for tick in shares], [f"{e:,g}" for e in energies]
    )


def _lines(point: Point, plane: Plane) -> str:
    low, x, high = map(plane.across.at, ends(point.energy))
    bottom, y, top = map(plane.y, ends(point.accuracy))
    return (
        f'<line class="range {point.basis_kind}" x1="{low}%" x2="{high}%" y1="{y}" y2="{y}"/>'
        f'<line class="range" x1="{x}%" x2="{x}%" y1="{bottom}" y2="{top}"/>'
    )


def _mark(point: Point, plane: Plane) -> Markup:
    x, y = plane.across.at(point.energy["nominal"]), plane.y(point.accuracy["nominal"])
    aside, below = BESIDE[(point.number - 1) % len(BESIDE)]
    anchor = "start" if aside > 0 else "end"
    return Markup(
        f'<svg x="{x}%" y="{round(y - ROW / 2, 2)}" overflow="visible">{MARKS[point.basis_kind]}</svg>'
        f'<text x="{x}%" dx="{aside}" y="{round(y + below, 2)}" text-anchor="{anchor}">{escape(point.number)}</text>'
    )
