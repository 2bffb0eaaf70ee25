"""Events as a structured array, and the checks that every such array must pass."""

from __future__ import annotations

import numpy as np

from spikeport.errors import UserError

# The order is the one in which tonic's readers fill fields: by position, not by name.
EVENT_DTYPE = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", np.int8)])


def columns(events: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """t, x, y and p, each as contiguous int64.

    Args:
        events: EVENT_DTYPE `[N]`.
    """
    t, x, y, p = (events[name].astype(np.int64) for name in ("t", "x", "y", "p"))
    return t, x, y, p


def in_order(events: np.ndarray) -> tuple[np.ndarray, int]:
    """The events sorted by time (stable), and the largest step back in time in microseconds.

    Args:
        events: EVENT_DTYPE `[N]`.
    """
    t = events["t"].astype(np.int64)
    late = int((t[:-1] - t[1:]).max(initial=0))
    return (events[np.argsort(t, kind="stable")], late) if late else (events, 0)


def check_events(events: np.ndarray, height: int, width: int, *, where: str, ordered: bool = True) -> None:
    """Checks events against a sensor.

    Args:
        events: structured array with x, y, t and p.
        height: rows of the sensor.
        width: columns of the sensor.
        where: file or key, for error messages.
        ordered: whether times must not decrease.

    Raises:
        UserError: naming the first event that this sensor cannot have sent.
    """
    t, x, y, p = columns(events)
    if ordered and len(t) and (t[0] < 0 or (t[1:] < t[:-1]).any()):
        bad = 0 if t[0] < 0 else int(np.argmax(t[1:] < t[:-1])) + 1
        raise UserError(
            "time runs backwards",
            where=where,
            cause=f"event {bad} is at {t[bad]} us, " + (f"after one at {t[bad - 1]} us" if bad else "before zero"),
            hint="record or convert this file again, events sorted by time from 0 us on"
            + ("; where the clock began again, cut it into its takes; or set data.sort = true" if bad else ""),
        )
    if _any_outside(x, width) or _any_outside(y, height):
        bad = int(np.argmax((x < 0) | (x >= width) | (y < 0) | (y >= height)))
        raise UserError(
            "an event lies outside the sensor",
            where=where,
            cause=f"event {bad} is at x = {x[bad]}, y = {y[bad]}; the sensor is {width} wide and {height} high; all "
            f"events lie in x = {x.min()} to {x.max()}, y = {y.min()} to {y.max()}",
            hint=_hint_inside(x, y, height, width),
        )
    if _any_outside(p, 2):
        bad = int(np.argmax((p < 0) | (p > 1)))
        raise UserError(
            "polarity must be 0 or 1", where=where, cause=f"event {bad} has {p[bad]}", hint="convert the file"
        )


def _hint_inside(x: np.ndarray, y: np.ndarray, height: int, width: int) -> str:
    """A hint for events outside the sensor, from their bounding box."""
    if height == 1 and not y.any():
        return "set data.channels, or data.width of a sensor of one row, to the number of channels"
    if min(x.min(), y.min()) >= 1 and x.max() <= width and y.max() <= height:
        return f"these coordinates seem to count from 1: {reading_from_one(height, width)}, or subtract 1 from x and y"
    if min(x.min(), y.min()) >= 0 and x.max() < height and y.max() < width:
        return 'x and y seem to be swapped: set data.orientation = "transpose", or convert the file'
    return (
        "set data.height and data.width to the sensor's size, or data.sensor = [width, height] to scale a larger "
        "sensor to them, and data.crop to use a part of it; or remove the file if it is damaged"
    )


def reading_from_one(height: int, width: int) -> str:
    """The settings with which coordinates that count from 1 are read, as text.

    Args:
        height: rows of the sensor.
        width: columns of the sensor.

    >>> reading_from_one(48, 64)
    'set data.sensor = [65, 49] and data.crop = [1, 1, 64, 48]'
    """
    return f"set data.sensor = [{width + 1}, {height + 1}] and data.crop = [1, 1, {width}, {height}]"


def _any_outside(column: np.ndarray, size: int) -> bool:
    """Whether an int64 value is not in 0..size-1; as unsigned a negative value is huge, so that one pass is enough."""
    return len(column) > 0 and bool(column.view(np.uint64).max() >= size)
