"""How far two samples are apart, by the distances of their members."""

from __future__ import annotations

import numpy as np


def energy_coefficient(first: np.ndarray, second: np.ndarray) -> float:
    """The energy coefficient of inhomogeneity of two samples: 0 for one distribution, 1 where nothing is alike.

    (2 E|X - Y| - E|X - X'| - E|Y - Y'|) / 2 E|X - Y| with unbiased means over pairs, at least 0 (Szekely and Rizzo,
    Journal of Statistical Planning and Inference 143:1249, 2013).

    Args:
        first: `[N, F]`.
        second: `[M, F]`.

    >>> energy_coefficient(np.array([[0.0], [0.0]]), np.array([[3.0], [3.0]]))
    1.0
    """
    from scipy.spatial.distance import cdist  # it takes a while to import

    between = cdist(first, second).mean()
    if between == 0:
        return 0.0
    within = sum(cdist(each, each).sum() / max(1, len(each) * (len(each) - 1)) for each in (first, second))
    return float(max(0.0, (2 * between - within) / (2 * between)))
