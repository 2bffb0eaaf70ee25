"""Seeds of a run: one for each purpose, so that no draw depends on the number of other draws."""

from __future__ import annotations

import zlib

import numpy as np


def derived_seed(seed: int, purpose: str, *numbers: int) -> int:
    """A seed for one purpose at one place of a run, independent of every other."""
    words = [seed % 2**64, zlib.crc32(purpose.encode()), *numbers]
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> 1)
