"""Turns events of a sensor that was not mounted upright."""

from __future__ import annotations

import numpy as np

from spikeport.pipeline.data.events import check_events

LARGEST_DVS128 = 127
_TURNED = ("rotate-90", "rotate-270", "transpose")  # whose width is the stored height


def turned(events: np.ndarray, orientation: str, sensor: tuple[int, int], *, where: str) -> np.ndarray:
    """The events on an upright sensor.

    Args:
        events: events as stored.
        sensor: height and width of the upright sensor.
        orientation: "as-stored"; "dvs128": x = 127 - x and y = 127 - y; "mirror-x" and "mirror-y" reverse an axis;
            "rotate-90", "-180" and "-270" turn clockwise; "transpose" swaps x and y.
        where: the file, for error messages.

    Raises:
        UserError: an event lies outside the sensor as it is stored.
    """
    if orientation == "as-stored":
        return events
    height, width = sensor
    if orientation == "dvs128":
        stored = (LARGEST_DVS128 + 1, LARGEST_DVS128 + 1)
    else:
        stored = (width, height) if orientation in _TURNED else sensor
    check_events(events, *stored, where=where, ordered=False)
    x, y = events["x"], events["y"]
    out = events.copy()
    out["x"], out["y"] = {
        "dvs128": lambda: (LARGEST_DVS128 - x, LARGEST_DVS128 - y),
        "mirror-x": lambda: (width - 1 - x, y),
        "mirror-y": lambda: (x, height - 1 - y),
        "rotate-90": lambda: (width - 1 - y, x),
        "rotate-180": lambda: (width - 1 - x, height - 1 - y),
        "rotate-270": lambda: (y, height - 1 - x),
        "transpose": lambda: (y, x),
    }[orientation]()
    return out
