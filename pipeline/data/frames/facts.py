"""What is known of each recording from before it was binned: how much of it the frames hold."""

from __future__ import annotations

import numpy as np

FACTS = np.dtype(
    [
        (name, "<i8")
        for name in (
            "events",
            "kept",  # of them inside the window of steps x step_us
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
    """The first and the last of the middle 98 % of `count` events."""
    return count // 100, count - 1 - count // 100
