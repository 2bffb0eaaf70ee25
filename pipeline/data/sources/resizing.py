"""Scales events of a large sensor to a smaller one."""

from __future__ import annotations

import numpy as np

from spikeport.errors import UserError
from spikeport.pipeline.data.events import check_events

VERSION = 1  # change it whenever what comes out changes, so that cached frames are made again


def shrink(events: np.ndarray, origin: str, *, sensor: tuple[int, int], target: tuple[int, int]) -> np.ndarray:
    """The events on `target` pixels: row y of H becomes row floor(y * height / H).

    Args:
        events: events of the large sensor.
        origin: file or key, for error messages.
        sensor: height and width of the large sensor.
        target: height and width of the result.

    Raises:
        UserError: an event lies outside `sensor`, or `target` is larger.
    """
    if target[0] > sensor[0] or target[1] > sensor[1]:
        raise UserError(
            f"frames of {target[0]} x {target[1]} are larger than this sensor",
            where="data.height, data.width (data.channels)",
            cause=f"it has {sensor[0]} x {sensor[1]} pixels",
            hint="lower data.height and data.width (data.channels)",
        )
    check_events(events, *sensor, where=origin)
    return _scaled(events, sensor, target)


def fill(events: np.ndarray, origin: str, *, target: tuple[int, int]) -> np.ndarray:
    """Scales the bounding box of events to a sensor.

    Args:
        events: EVENT_DTYPE `[N]`.
        origin: the file, for errors; not used.
        target: height and width of the sensor.
    """
    moved = events.copy()
    moved["x"] -= moved["x"].min()
    moved["y"] -= moved["y"].min()
    return _scaled(moved, (int(moved["y"].max()) + 1, int(moved["x"].max()) + 1), target)


def _scaled(events: np.ndarray, sensor: tuple[int, int], target: tuple[int, int]) -> np.ndarray:
    out = events.copy()
    for field, old, new in (("y", sensor[0], target[0]), ("x", sensor[1], target[1])):
        out[field] = events[field].astype(np.int64) * new // old
    return out
