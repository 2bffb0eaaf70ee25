"""Small SVG drawings. Positions are percentages, so a drawing fills its column while its text has a fixed size.

Every function is pure and returns markup that is safe to insert: titles are escaped, and the rest is numbers. Colors
come from CSS classes of the page, so the drawings follow its light, dark and print styles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from spikeport.values import IntervalJson

ROW = 26  # height of one row of a dot chart, px
RASTER_ROWS, RASTER_CELLS = 320, 12_000  # most rows and cells of an input raster; pixels are pooled to fit
FRAME_SIDE = 64  # most pixels on a side of a drawn event frame


@dataclass(frozen=True)
class Axis:
    """A linear or logarithmic axis.

    Attributes:
        low: value at its start.
        high: value at its end.
        ticks: values that have a tick.
        log: whether it is logarithmic.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def at(self, value: float) -> float:
        """Position of `value` in percent of the width, clipped to 0 to 100.

        Args:
            value: a value on the axis.
        """
        if self.log:
            if value <= 0:
                return 0.0
            part = math.log10(value / self.low) / math.log10(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return round(100 * min(1.0, max(0.0, part)), 3)


def share_axis(lowest: float) -> Axis:
    """An axis for shares that ends at 1 and begins at a round value, `lowest` or less.

    Args:
        lowest: the lowest share, 0 to 1.
    """
    steps = {0.9: 0.05, 0.8: 0.1, 0.7: 0.15, 0.6: 0.2, 0.5: 0.25, 0.0: 0.5}
    start = next(value for value in steps if value <= max(0.0, lowest))
    step = steps[start]
    count = round((1 - start) / step)
    return Axis(start, 1.0, tuple(round(start + step * i, 4) for i in range(count + 1)))


def difference_axis(largest: float) -> Axis:
    """A symmetric axis around zero that contains differences of shares up to ±`largest`.

    Args:
        largest: the largest absolute difference.
    """
    reach = next((r for r in (0.02, 0.05, 0.1, 0.2, 0.5) if r >= largest), 1.0)
    return Axis(-reach, reach, (-reach, 0.0, reach))


def log_axis(values: Sequence[float]) -> Axis:
    """A logarithmic axis of whole decades that contains all positive `values`, with at most six ticks.

    Args:
        values: the values; those that are not positive are ignored.
    """
    positive = [value for value in values if value > 0] or [1.0]
    low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
    high = max(high, low + 1)
    every = max(1, math.ceil((high - low) / 5))
    return Axis(10.0**low, 10.0**high, tuple(10.0**power for power in range(low, high + 1, every)), log=True)


def scale(axis: Axis, labels: Sequence[str]) -> Markup:
    """Draws the labels of an axis.

    Args:
        axis: the axis.
        labels: one label for each tick.
    """
    parts = []
    for tick, label in zip(axis.ticks, labels, strict=True):
        x = axis.at(tick)
        anchor = "start" if x < 4 else "end" if x > 96 else "middle"
        parts.append(f'<text x="{x}%" y="13" text-anchor="{anchor}">{escape(label)}</text>')
    return Markup(f'<svg class="scale" width="100%" height="18" aria-hidden="true">{"".join(parts)}</svg>')


def interval(
    axis: Axis,
    entry: IntervalJson,
    title: str,
    mark: str = "measured",
    total: float | None = None,
    before: float | None = None,
    floor: float | None = None,
) -> Markup:
    """Draws one row of a dot chart: an interval as a line with a mark at its nominal value.

    Args:
        axis: the axis.
        entry: the interval, in units of the axis.
        title: title of the drawing.
        mark: `measured` (filled circle), `modeled` (open diamond), `convention` (open square) or `floor` (a thin tick).
        total: a value to mark with a vertical line.
        before: the preceding value of a waterfall chart; a block is drawn from it to the nominal value.
        floor: a value to mark with a thin tick, besides the mark.
    """
    middle = ROW / 2
    low, nominal, high = (axis.at(end) for end in (entry["low"], entry["nominal"], entry["high"]))
    body = [f'<line class="grid" x1="{axis.at(t)}%" x2="{axis.at(t)}%" y1="0" y2="{ROW}"/>' for t in axis.ticks]
    if before is not None:
        left, right = sorted((axis.at(before), nominal))
        body.append(f'<rect class="step" x="{left}%" width="{right - left:.3f}%" y="4" height="{ROW - 8}"/>')
        body.append(f'<line class="before" x1="{axis.at(before)}%" x2="{axis.at(before)}%" y1="0" y2="{ROW - 4}"/>')
    if high > low:
        body.append(f'<line class="range {mark}" x1="{low}%" x2="{high}%" y1="{middle}" y2="{middle}"/>')
        body += [f'<line class="range" x1="{x}%" x2="{x}%" y1="{middle - 4}" y2="{middle + 4}"/>' for x in (low, high)]
    if total is not None:
        x = axis.at(total)
        body.append(f'<line class="total" x1="{x}%" x2="{x}%" y1="3" y2="{ROW - 3}"/>')
    if floor is not None:
        body.append(f'<svg x="{axis.at(floor)}%" overflow="visible">{MARKS["floor"]}</svg>')
    body.append(f'<svg x="{nominal}%" overflow="visible">{MARKS[mark]}</svg>')
    return svg("".join(body), title, "row", f'width="100%" height="{ROW}"')


def mark_key(mark: str) -> Markup:
    """Legend entry: the mark only.

    Args:
        mark: class of the mark.
    """
    inner = f'<svg x="10" overflow="visible">{MARKS[mark]}</svg>'
    return Markup(f'<svg class="key" width="20" height="{ROW}" aria-hidden="true">{inner}</svg>')


def bar(value: float | None, largest: float, title: str) -> Markup:
    """Draws a thin bar.

    Args:
        value: the value; None for no bar.
        largest: the value of a bar as wide as the column.
        title: title of the drawing.
    """
    if value is None or largest <= 0:
        return Markup("")
    width = round(100 * value / largest, 2)
    return svg(f'<rect width="{width}%" height="4" rx="1"/>', title, "bar", 'width="100%" height="4"')


def frame(events: np.ndarray, title: str) -> Markup:
    """Draws one event frame; frames of large sensors are pooled.

    Args:
        events: bool `[C, H, W]`, channel 0 OFF (muted color), channel 1 ON (accent color).
        title: title of the drawing.
    """
    pooled = pool(events, max(1, math.ceil(max(events.shape[1:]) / FRAME_SIDE)))
    height, width = pooled.shape[1:]
    drawn = "".join(
        f'<path class="{name}" d="{_runs(pooled[c])}"/>'
        for c, name in zip(range(pooled.shape[0]), ("off", "on"), strict=False)
    )
    return svg(drawn, title, "frame", f'viewBox="0 0 {width} {height}"')


def input_raster(frames: np.ndarray, title: str) -> tuple[Markup, int]:
    """Draws frames as a raster: time to the right, inputs downward, OFF above ON.

    A row is one input. Where there are too many inputs to draw, a row is a square of inputs of one polarity.

    Args:
        frames: bool `[T, C, H, W]`, or `[T, N]` of one-dimensional inputs, of which neighbors are pooled.
        title: title of the drawing.

    Returns:
        The drawing, and the side of the pooled squares in pixels (1: not pooled), or the number of pooled inputs.
    """
    names: tuple[str, ...] = ("off", "on")
    if frames.ndim == 2:
        frames, names = frames[:, None, None], ("on",)
    side, limit = 1, max(32, min(RASTER_ROWS, RASTER_CELLS // len(frames)))
    while side < max(frames.shape[2:]) and pool(frames[0], side).size > limit:
        side += 1
    steps = np.stack([pool(step, side) for step in frames])  # [T, C, h, w]
    rows = steps.reshape(len(steps), steps.shape[1], -1)
    height = rows.shape[1] * rows.shape[2]
    drawn = "".join(
        f'<path class="{name}" transform="translate(0 {c * rows.shape[2]})" d="{_runs(rows[:, c].T)}"/>'
        for c, name in zip(range(rows.shape[1]), names, strict=False)
    )
    view = f'viewBox="0 0 {len(steps)} {height}" preserveAspectRatio="none"'
    return svg(drawn, title, "raster", view), side


def output_row(spike_steps: Sequence[int], steps: int, title: str) -> Markup:
    """Draws the spikes of one output neuron, each as wide as one time step.

    Args:
        spike_steps: time steps with a spike.
        steps: number of time steps.
        title: title of the drawing.
    """
    marks = "".join(f'<rect x="{step + 0.08}" y="0.2" width="0.84" height="0.6"/>' for step in spike_steps)
    return svg(marks, title, "spikes", f'viewBox="0 0 {steps} 1" preserveAspectRatio="none"')


def pool(events: np.ndarray, side: int) -> np.ndarray:
    """Pools squares of `side` pixels: a square is true where one of its pixels is.

    Args:
        events: bool `[C, H, W]`.
        side: side of a square in pixels.

    Returns:
        Bool `[C, ceil(H / side), ceil(W / side)]`.
    """
    if side == 1:
        return events
    channels, height, width = events.shape
    padded = np.pad(events, ((0, 0), (0, -height % side), (0, -width % side)))
    blocks = padded.reshape(channels, padded.shape[1] // side, side, padded.shape[2] // side, side)
    return np.any(blocks, axis=(2, 4))


def _runs(cells: np.ndarray) -> str:
    """SVG path data that fills the true cells of bool `[rows, columns]`; neighbors in a row are one rectangle."""
    edges = np.diff(np.pad(cells.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    starts, ends = np.argwhere(edges == 1), np.argwhere(edges == -1)
    return "".join(
        f"M{x} {y}h{end - x}v1h-{end - x}z" for (y, x), (_, end) in zip(starts.tolist(), ends.tolist(), strict=True)
    )


def svg(body: str, title: str, kind: str, attributes: str) -> Markup:
    """Wraps markup in an `<svg>` element.

    Args:
        body: the content, as markup.
        title: text for screen readers; it is escaped.
        kind: CSS class.
        attributes: further attributes, as markup.
    """
    return Markup(f'<svg class="{kind}" role="img" {attributes}><title>{escape(title)}</title>{body}</svg>')


MARKS = {
    "measured": f'<circle class="mark measured" cy="{ROW / 2}" r="5"/>',
    "modeled": f'<path class="mark modeled" d="M0 {ROW / 2 - 6}l6 6l-6 6l-6 -6z"/>',
    "convention": f'<rect class="mark convention" x="-5" y="{ROW / 2 - 5}" width="10" height="10"/>',
    "floor": f'<path class="mark floor" d="M0 {ROW / 2 - 6}v12"/>',
}
