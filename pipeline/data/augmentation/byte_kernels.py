# mypy: disallow-untyped-defs=False, disallow-untyped-decorators=False
# numba infers these types when it compiles.
"""Compiled loops over bytes for `geometry` and `events`: one thread, without the interpreter's lock."""

from __future__ import annotations

import numpy as np

from spikeport.compiled import entry_point


@entry_point
def move(frames, step_stride, sample_stride, height, width, offsets, moved):
    """Fills `moved` `[T, B, planes, H * W]` with the flat planes of `frames`, shifted by `offsets[b]` down and right.

    Each plane is copied as one run; pixels that wrapped around the left or right edge are then set to 0.
    """
    steps, samples, planes, size = moved.shape
    for t in range(steps):
        for b in range(samples):
            down, right = offsets[b, 0], offsets[b, 1]
            if abs(down) >= height or abs(right) >= width:
                moved[t, b] = 0
                continue
            far = down * width + right
            first, last = max(far, 0), size + min(far, 0)
            edge = 0 if right > 0 else width + right
            for plane in range(planes):
                to = moved[t, b, plane]
                start = t * step_stride + b * sample_stride + plane * size + first - far
                to[:first] = 0
                to[last:] = 0
                part, source = to[first:last], frames[start : start + last - first]
                for i in range(last - first):
                    part[i] = source[i]
                if right != 0:
                    for row in range(edge, size, width):
                        to[row : row + abs(right)] = 0


@entry_point
def thin(frames, draws, limits, thinned):
    """Fills `kept` `[T, B, places]` with the bytes of sample b whose random number is at least `limits[b]`, else with
    0.
    """
    steps, samples, places = thinned.shape
    none = np.uint8(0)
    for t in range(steps):
        for b in range(samples):
            limit, frame, draw, out = limits[b], frames[t, b], draws[t, b], thinned[t, b]
            for i in range(places):
                out[i] = frame[i] if draw[i] >= limit else none
