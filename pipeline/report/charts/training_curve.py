"""Charts of a training: accuracy and loss by epoch, with the kept epoch marked."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import groupby

from markupsafe import Markup

from spikeport.pipeline.report.charts.plane import Plane, Plot
from spikeport.pipeline.report.charts.svg import MARKS, ROW, Axis
from spikeport.pipeline.report.content.training_json import TrainingJson, TrainingsJson

ACCURACY_HEIGHT, LOSS_HEIGHT = 160.0, 80.0  # px
MOST_TICKS = 6
POINT = 3  # width of a line that stands for a single point, in percent of the drawing
STYLES = {"validation": 0, "training": 1, "majority": 2, "chance": 3}  # line styles of the page, `of-N`


def accuracy_plot(training: TrainingJson, guesses: TrainingsJson) -> Plot | None:
    """Draws training and validation accuracy by epoch; None where neither was counted.

    Args:
        training: the training.
        guesses: the trainings of the run, for the lines of a guess and of the most frequent class.
    """
    epochs = training["epochs"]
    curves = {
        "training": [each["training_accuracy"] for each in epochs],
        "validation": [each["validation_accuracy"] for each in epochs],
    }
    if all(value is None for values in curves.values() for value in values):
        return None
    plane = Plane(across=epoch_axis(training), up=Axis(0.0, 1.0, (0.0, 0.25, 0.5, 0.75, 1.0)), height=ACCURACY_HEIGHT)
    levels = {"chance": guesses["chance"], "majority": guesses["majority"]}
    body = [_level(plane, name, value) for name, value in levels.items() if value is not None]
    kept_value = None if epochs[-1]["validation_accuracy"] is None else training["kept_validation"]
    return _plot("Accuracy", plane, training, curves, kept_value, lambda value: f"{100 * value:.4g} %", "".join(body))


def loss_plot(training: TrainingJson) -> Plot | None:
    """Draws the training loss by epoch, and the validation loss where there is one; None where there is no loss.

    Args:
        training: the training.
    """
    epochs = training["epochs"]
    curves = {
        "training": [each["losses"].get("loss") for each in epochs],
        "validation": [each["validation_loss"] for each in epochs],
    }
    values = [value for each in curves.values() for value in each if value is not None]
    if not values:
        return None
    plane = Plane(across=epoch_axis(training), up=round_axis(min(0.0, *values), max(values), 3), height=LOSS_HEIGHT)
    kept_value = None if epochs[-1]["validation_loss"] is None else training["kept_validation"]
    return _plot("Loss", plane, training, curves, kept_value, lambda value: f"{value:.4g}")


def epoch_axis(training: TrainingJson) -> Axis:
    """The axis of epochs: from 1, or from 0 where the weights before the training are kept or there is one epoch.

    Args:
        training: the training.
    """
    last = training["epochs"][-1]["epoch"]
    first = 0 if training["kept_epoch"] == 0 or last == 1 else 1
    step = _round_step((last - first) / (MOST_TICKS - 1), whole=True)
    ticks = [first, *range(int(step), last + 1, int(step))] if step > 1 else list(range(first, last + 1))
    return Axis(float(first), float(last), tuple(map(float, ticks)))


def round_axis(low: float, high: float, parts: int) -> Axis:
    """A linear axis from a round value below `low` to one above `high`.

    Args:
        low: the smallest value.
        high: the largest value.
        parts: most parts between ticks, about.
    """
    step = _round_step(((high - low) or 1.0) / parts, whole=False)
    first, last = math.floor(low / step), max(math.ceil(high / step), math.floor(low / step) + 1)
    return Axis(first * step, last * step, tuple(round(step * number, 12) for number in range(first, last + 1)))


def key(name: str) -> Markup:
    """Legend entry: the line of a curve, or the mark of the kept epoch.

    Args:
        name: a key of STYLES, or `kept`.
    """
    y = ROW / 2
    if name == "kept":
        drawn = (
            f'<line class="before" x1="17" x2="17" y2="{ROW}"/><svg x="17" overflow="visible">{MARKS["measured"]}</svg>'
        )
    else:
        drawn = f'<g class="trend of-{STYLES[name]}"><line class="way" x2="34" y1="{y:g}" y2="{y:g}"/></g>'
    return Markup(f'<svg class="key" width="34" height="{ROW}" aria-hidden="true">{drawn}</svg>')


def _plot(
    what: str,
    plane: Plane,
    training: TrainingJson,
    curves: dict[str, list[float | None]],
    kept_value: float | None,
    text: Callable[[float], str],
    below: str = "",
) -> Plot:
    """Draws `curves` above `below`, a stroke at the kept epoch, and a mark at `kept_value`; `text` writes a value."""
    kept_epoch, epochs = training["kept_epoch"], [each["epoch"] for each in training["epochs"]]
    body, description = below, []
    if kept_epoch is not None:
        x = plane.across.at(kept_epoch)
        body += f'<line class="before" x1="{x}%" x2="{x}%" y1="0" y2="{plane.height:g}"/>'
        description.append(f"epoch {kept_epoch} kept")
    body += "".join(_line(plane, name, epochs, values) for name, values in curves.items())
    if kept_epoch is not None and kept_value is not None:
        y = round(plane.y(kept_value) - ROW / 2, 2)
        body += f'<svg x="{plane.across.at(kept_epoch)}%" y="{y}" overflow="visible">{MARKS["measured"]}</svg>'
    for name, values in curves.items():
        found = [(epoch, value) for epoch, value in zip(epochs, values, strict=True) if value is not None]
        ends = dict((found[0], found[-1])) if found else {}
        description += [f"{name} {text(value)} in epoch {epoch}" for epoch, value in ends.items()]
    columns = [f"{tick:,.0f}" for tick in plane.across.ticks]
    title = f"{what} by epoch, {training['stage']}"
    return plane.plot(Markup(body), title, "; ".join(description), [text(tick) for tick in plane.up.ticks], columns)


def _line(plane: Plane, name: str, epochs: Sequence[int], values: Sequence[float | None]) -> str:
    """One path for each part without a gap; a single point is a short line, within the drawing."""
    points = [(plane.across.at(epoch), value) for epoch, value in zip(epochs, values, strict=True)]
    parts = [list(part) for known, part in groupby(points, lambda point: point[1] is not None) if known]
    drawn = ""
    for part in parts:
        spots = [f"{x:g} {plane.y(value):g}" for x, value in part if value is not None]
        if len(spots) == 1:
            x, y = spots[0].split()
            spots = [f"{min(max(float(x) - POINT / 2, 0), 100 - POINT):g} {y}h{POINT}"]
        drawn += "M" + "L".join(spots)
    if not drawn:
        return ""
    return (
        f'<svg width="100%" height="{plane.height:g}" viewBox="0 0 100 {plane.height:g}" preserveAspectRatio="none" '
        f'overflow="visible"><g class="trend of-{STYLES[name]}"><path class="way" fill="none" '
        f'vector-effect="non-scaling-stroke" d="{drawn}"/></g></svg>'
    )


def _level(plane: Plane, name: str, value: float) -> str:
    y = plane.y(value)
    return f'<g class="trend of-{STYLES[name]}"><line class="way" x1="0" x2="100%" y1="{y}" y2="{y}"/></g>'


def _round_step(least: float, *, whole: bool) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is `least` or more; 1 or more where `whole`."""
    if whole and least <= 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(times * power for times in (1, 2, 5, 10) if times * power >= least * (1 - 1e-9))
