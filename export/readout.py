"""One rule that turns output spikes into a class, shared by training, the reference and Lava."""

from __future__ import annotations

import numpy as np


def classify(spikes: np.ndarray) -> np.ndarray:
    """Class of each sample: most spikes; among equals the earlier ones (smaller sum of steps); then the lower index.

    `spikes`: `[N, T, K]` of 0 and 1. Returns int64 `[N]`.

    >>> classify(np.array([[[0, 0, 1], [0, 1, 0]]]))
    array([2])
    """
    samples, steps, _ = spikes.shape
    if samples == 0:
        return np.zeros(0, dtype=np.int64)
    weight = steps * steps - np.arange(steps, dtype=np.int64)  # a later step can never outweigh one more spike
    return np.argmax(np.einsum("ntk,t->nk", spikes.astype(np.int64), weight), axis=1)
