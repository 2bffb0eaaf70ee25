"""Drawings with two axes. Horizontal positions are percentages and vertical positions are pixels. Each axis is a
separate drawing, so that text has the same size at every width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from spikeport.pipeline.report.charts.svg import Axis, log_axis, scale, svg

HEIGHT = 260.0  # height of the drawing, px; its width is that of the column


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A drawing and its axes.

    Attributes:
        rows: labels of the vertical axis, to the left of the drawing.
        drawing: the drawing.
        columns: labels of the horizontal axis, below the drawing.
    """

    rows: Markup
    drawing: Markup
    columns: Markup


@dataclass(frozen=True, kw_only=True)
class Plane:
    """The coordinate system of a drawing.

    Attributes:
        across: horizontal axis, to the right.
        up: vertical axis, upward.
        height: height of the drawing, px.
    """

    across: Axis
    up: Axis
    height: float = HEIGHT

    def y(self, value: float) -> float:
        """Position of `value` in px from the top.

        Args:
            value: a value on the axis.
        """
        return round(self.height * (1 - self.up.at(value) / 100), 2)

    def plot(self, body: Markup, title: str, description: str, rows: Sequence[str], columns: Sequence[str]) -> Plot:
        """Draws `body` on a grid at the ticks of both axes.

        Args:
            body: the marks, as markup.
            title: title of the drawing.
            description: text for screen readers.
            rows: labels of the vertical ticks.
            columns: labels of the horizontal ticks.
        """
        ends = [(f"{x}%", f"{x}%", 0.0, self.height) for x in map(self.across.at, self.across.ticks)]
        ends += [("0", "100%", y, y) for y in map(self.y, self.up.ticks)]
        grid = [f'<line class="grid" x1="{x}" x2="{to_x}" y1="{y}" y2="{to_y}"/>' for x, to_x, y, to_y in ends]
        drawn = Markup("<desc>{}</desc>").format(description) + Markup("".join(grid)) + body
        return Plot(
            rows=self._rows(rows),
            drawing=svg(drawn, title, "plot", f'width="100%" height="{self.height:g}"'),
            columns=scale(self.across, columns),
        )

    def _rows(self, labels: Sequence[str]) -> Markup:
        ticks = "".join(
            f'<text x="100%" y="{self.y(tick) + 4}" text-anchor="end">{escape(label)}</text>'
            for tick, label in zip(self.up.ticks, labels, strict=True)
        )
        return Markup(f'<svg class="scale" width="100%" height="{self.height:g}" aria-hidden="true">{ticks}</svg>')


def fine_log_axis(values: Sequence[float]) -> Axis:
    """A logarithmic axis that begins and ends at 1, 2 or 5 times a power of ten.

    Up to two decades, each of these values has a tick. Longer axes have a tick at each power of ten.

    Args:
        values: the values to show; values of 0 or less are ignored.
    """
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
    """Moves positions apart that are too close to each other, in their order and within the drawing.

    Args:
        places: positions in px.
        least: least distance in px.
    """
    order = sorted(range(len(places)), key=lambda index: places[index])
    moved, below = list(places), float("-inf")
    for index in order:
        moved[index] = below = max(places[index], below + least)
    above = HEIGHT + least
    for index in reversed(order):
        moved[index] = above = min(moved[index], above - least)
    return moved
