# mypy: disallow-untyped-defs=False, disallow-untyped-decorators=False
"""N-MNIST bytes to bits of frames in one compiled pass."""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.data.nmnist import EVENT_BYTES, OVERFLOW_US, OVERFLOW_Y


def _compiled(function):
    """Kept for the next process where numba finds a folder that it may write to."""
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no such folder
        return njit(nogil=True)(function)


@_compiled
def bin_bytes(content, length, sensor_height, sensor_width, steps, step_us, height, width, bits):
    """Sets the bits of one recording, `content[:length]`, in `bits`, which holds zeros. Returns its events.

    -1: these bytes are no recording of that sensor. What is then in `bits` means nothing.
    """
    if length % EVENT_BYTES:
        return -1
    events, wrapped, last, step, end = 0, 0, 0, -1, 0
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
        if step < 0:  # the first event is time zero
            step, end = 0, t + step_us
        while t >= end and step < steps:
            step, end = step + 1, end + step_us
        if step < steps:
            flat = ((step * 2 + (high >> 7)) * height + y) * width + x
            bits[flat >> 3] |= 128 >> (flat & 7)
    return events if events else -1
