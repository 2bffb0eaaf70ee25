"""Accuracy against energy: one mark per run, with both intervals. Up and to the left is better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from spikeport.pipeline.report.charts.plane import Plane, Plot, fine_log_axis
from spikeport.pipeline.report.charts.svg import MARKS, ROW, share_axis
from spikeport.values import IntervalJson

BESIDE = ((10, -8), (10, 18), (-10, -8), (-10, 18))  # where a mark's number stands, px, in turn


@dataclass(frozen=True, kw_only=True)
class Point:
    """A run's {low, nominal, high} energy, µJ, and accuracy, 0..1. `basis_kind`: of the energy (a key of MARKS)."""

    number: int
    label: str
    energy: IntervalJson
    accuracy: IntervalJson
    basis_kind: str


def ends(interval: IntervalJson) -> tuple[float, float, float]:
    """Low, nominal and high."""
    return interval["low"], interval["nominal"], interval["high"]


def plot(points: Sequence[Point], title: str) -> Plot:
    """The drawing of `points` (at least one); its description reads their numbers out."""
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
