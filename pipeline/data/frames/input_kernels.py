# mypy: disallow-untyped-defs=False, disallow-untyped-decorators=False
# numba infers these types when it compiles.
"""Compiled loop of `frames.inputs`."""

from __future__ import annotations

import numpy as np

from spikeport.compiled import entry_point


@entry_point
def interleave(planes, pixels):
    """Fills `pixels` `[N, places * channels]`, float32, channels fastest, from bytes `[N, channels, places]`."""
    count, channels, places = planes.shape
    for n in range(count):
        plane, pixel = planes[n], pixels[n]
        if channels == 2:  # the usual two polarities, both at once so that stores are whole
            off, on = plane[0], plane[1]
            for place in range(places):
                pixel[2 * place] = np.float32(off[place])
                pixel[2 * place + 1] = np.float32(on[place])
        else:
            for channel in range(channels):
                for place in range(places):
                    pixel[place * channels + channel] = np.float32(plane[channel, place])
