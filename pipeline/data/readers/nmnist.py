"""Reads the .bin format of N-MNIST and N-Caltech101: 40 bits an event.

Most significant bits first: x 8, y 8, polarity 1, time 23 (microseconds). An entry with y = 240 is not an event: the
clock wrapped, and 2^13 microseconds are added to all later times.
"""

from __future__ import annotations

import numpy as np

from spikeport.pipeline.data.events import EVENT_DTYPE

EVENT_BYTES = 5
OVERFLOW_Y = 240
OVERFLOW_US = 1 << 13


def decode(content: bytes) -> np.ndarray:
    """Events of a file, which are not checked.

    Args:
        content: bytes of the file; their number is a multiple of EVENT_BYTES.

    Returns:
        EVENT_DTYPE `[N]`.
    """
    columns = np.frombuffer(content, np.uint8).reshape(-1, EVENT_BYTES).T
    x, y, high, middle, low = columns
    t = np.bitwise_and(high, 127, dtype=np.int64) << 16 | middle.astype(np.int64) << 8 | low
    marks = y == OVERFLOW_Y
    events = np.empty(len(t), EVENT_DTYPE)
    events["x"], events["y"], events["p"] = x, y, high >> 7
    events["t"] = t
    if marks.any():
        events["t"] += OVERFLOW_US * np.cumsum(marks)
        return events[~marks]
    return events
