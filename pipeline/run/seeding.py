"""Seeds of a run: one for each purpose, so that no random number depends on how many others are drawn."""

from __future__ import annotations

import zlib

import numpy as np


def derived_seed(seed: int, purpose: str, *numbers: int) -> int:
    """A seed that is independent of the seeds of all other purposes and numbers.

    Args:
        seed: seed of the run; negative ones count modulo 2^64.
        purpose: any text. Trained weights depend on it: another text draws other numbers.
        numbers: for example epoch and batch.

    >>> derived_seed(1, "shuffle", 0) == derived_seed(1, "shuffle", 1)
    False
    """
    words = [seed % 2**64, zlib.crc32(purpose.encode()), *numbers]
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> 1)
