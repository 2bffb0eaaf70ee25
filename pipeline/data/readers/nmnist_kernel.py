# mypy: disallow-untyped-defs=False, disallow-untyped-decorators=False
"""Bins N-MNIST files to bits in one compiled pass."""

from __future__ import annotations

import numpy as np
from numba import njit

from spikeport.pipeline.data.readers.nmnist import EVENT_BYTES, OVERFLOW_US, OVERFLOW_Y


def _compiled(function):
    """Kept for the next process where numba finds a folder that it may write to."""
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no such folder
        return njit(nogil=True)(function)


@_compiled
def _time_of(content, number, wrapped):
    """The time of one event; `wrapped` is the sum of all wraps before it."""
    at = EVENT_BYTES * number
    marks = 0
    if wrapped:
        at = 0
        while number >= 0:
            if content[at + 1] == OVERFLOW_Y:
                marks += OVERFLOW_US
            else:
                number -= 1
            at += EVENT_BYTES
        at -= EVENT_BYTES
    high = np.int64(content[at + 2]) & 127
    return (high << 16 | np.int64(content[at + 3]) << 8 | np.int64(content[at + 4])) + marks


@_compiled
def bin_bytes(content, length, sensor_height, sensor_width, steps, step_us, height, width, bits, facts):
    """Sets the bits of one recording, `content[:length]`, in `bits` (which is 0), and its `facts` (fields of FACTS).

    Returns:
        Number of events; -1 if the bytes are not a recording of this sensor, and `bits` and `facts` are undefined.
    """
    if length % EVENT_BYTES:
        return -1
    events, wrapped, last, step, end = 0, 0, 0, -1, 0
    first, inside, on, filled = 0, 0, 0, 0
    x_min, x_max, y_min, y_max = 255, 0, 255, 0
    for at in range(0, length, EVENT_BYTES):
        x, y, high = np.int64(content[at]), np.int64(content[at + 1]), np.int64(content[at + 2])
        if y == OVERFLOW_Y:
            wrapped += OVERFLOW_US
            continue
        t = ((high & 127) << 16 | np.int64(content[at + 3]) << 8 | np.int64(content[at + 4])) + wrapped
        if x >= sensor_width or y >= sensor_height or t < last:
            return -1
        last = t
        events += 1
        on += high >> 7
        x_min, x_max, y_min, y_max = min(x_min, x), max(x_max, x), min(y_min, y), max(y_max, y)
        if step < 0:  # the first event is time zero
            first, step, end, filled = t, 0, t + step_us, 1
        if t >= end and step < steps:
            while t >= end and step < steps:
                step, end = step + 1, end + step_us
            if step < steps:
                filled += 1
            else:
                inside = events - 1
        if step < steps:
            flat = ((step * 2 + (high >> 7)) * height + y) * width + x
            bits[flat >> 3] |= 128 >> (flat & 7)
    if not events:
        return -1
    if step < steps:
        inside = events
    begin = _time_of(content, events // 100, wrapped)
    core = _time_of(content, events - 1 - events // 100, wrapped) - begin
    facts[0], facts[1], facts[2], facts[3] = events, inside, on, last - first
    facts[4], facts[5], facts[6], facts[7] = begin - first, core, x_min, x_max
    facts[8], facts[9], facts[10], facts[11] = y_min, y_max, steps - filled, 0
    return events
