"""Properties of each recording before it is binned, from which `data.windows` finds wrong units and sensor sizes."""

from __future__ import annotations

import numpy as np

FACTS = np.dtype(
    [
        (name, "<i8")
        for name in (
            "events",
            "in_window",  # of them inside the window of steps x step_us
            "on",
            "duration_us",
            "core_start_us",  # where the middle 98 % of the events begin, from the first event on
            "core_us",  # how long they last
            "x_min",
            "x_max",
            "y_min",
            "y_max",
            "empty",  # frames without an event
            "late_us",  # the largest step back in time before events were sorted on request
        )
    ]
)


def tails(count: int) -> tuple[int, int]:
    """Indices of the first and the last of the middle 98 % of `count` events.

    Args:
        count: number of events, at least 1.

    >>> tails(1000)
    (10, 989)
    """
    return count // 100, count - 1 - count // 100
