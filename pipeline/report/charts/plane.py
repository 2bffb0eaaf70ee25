"""Drawings with two axes. Marks sit at percent positions across and at pixels downward; each axis is a drawing of its
own beside them, so that text keeps its size at every width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from spikeport.pipeline.report.charts.svg import Axis, log_axis, scale, svg

HEIGHT = 260.0  # of the drawing, px; its width is the column's


@dataclass(frozen=True, kw_only=True)
class Plot:
    """The drawing and its axes, each of its own size: `rows` to the left of `drawing`, `columns` below."""

    rows: Markup
    drawing: Markup
    columns: Markup


@dataclass(frozen=True, kw_only=True)
class Plane:
    """Where values stand: `across` to the right, `up` upward."""

    across: Axis
    up: Axis

    def y(self, value: float) -> float:
        """Position of `value` in px from the top."""
        return round(HEIGHT * (1 - self.up.at(value) / 100), 2)

    def plot(self, body: Markup, title: str, description: str, rows: Sequence[str], columns: Sequence[str]) -> Plot:
        """`body` on a grid of both axes' ticks, which are labelled `rows` and `columns`; `told` is read out."""
        ends = [(f"{x}%", f"{x}%", 0.0, HEIGHT) for x in map(self.across.at, self.across.ticks)]
        ends += [("0", "100%", y, y) for y in map(self.y, self.up.ticks)]
        grid = [f'<line class="grid" x1="{x}" x2="{to_x}" y1="{y}" y2="{to_y}"/>' for x, to_x, y, to_y in ends]
        drawn = Markup("<desc>{}</desc>").format(description) + Markup("".join(grid)) + body
        return Plot(
            rows=self._rows(rows),
            drawing=svg(drawn, title, "plot", f'width="100%" height="{HEIGHT:g}"'),
            columns=scale(self.across, columns),
        )

    def _rows(self, labels: Sequence[str]) -> Markup:
        ticks = "".join(
            f'<text x="100%" y="{self.y(tick) + 4}" text-anchor="end">{escape(label)}</text>'
            for tick, label in zip(self.up.ticks, labels, strict=True)
        )
        return Markup(f'<svg class="scale" width="100%" height="{HEIGHT:g}" aria-hidden="true">{ticks}</svg>')


def fine_log_axis(values: Sequence[float]) -> Axis:
    """A logarithmic axis that ends at 1, 2 or 5 times a power of ten; up to two decades each of these carries a tick,
    beyond that each power."""
    whole = log_axis(values)
    decades = range(round(math.log10(whole.low)), round(math.log10(whole.high)))
    steps = [times * 10.0**power for power in decades for times in (1, 2, 5)] + [whole.high]
    positive = [value for value in values if value > 0] or [1.0]
    low = max(step for step in steps if step <= min(positive))
    high = min(step for step in steps if step >= max(positive) and step > low)
    within = [step for step in steps if low <= step <= high]
    powers = [10.0**power for power in (*decades, decades[-1] + 1) if low <= 10.0**power <= high]
    return Axis(low, high, tuple(within if high <= 100 * low else powers), log=True)


def apart(places: Sequence[float], least: float) -> list[float]:
    """`places` (px) with those that lie closer than `least` moved apart, in their order and within the drawing."""
    order = sorted(range(len(places)), key=lambda index: places[index])
    moved, below = list(places), float("-inf")
    for index in order:
        moved[index] = below = max(places[index], below + least)
    above = HEIGHT + least
    for index in reversed(order):
        moved[index] = above = min(moved[index], above - least)
    return moved
