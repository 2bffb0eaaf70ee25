"""Means over runs, and paired differences between settings with intervals of Student's t."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def mean_sd(values: Sequence[float]) -> dict[str, Any]:
    """{mean, sd, n} of `values` (at least one); sd has divisor n - 1 and is None for one value."""
    array = np.asarray(values, dtype=float)
    sd = float(array.std(ddof=1)) if array.size > 1 else None
    return {"mean": float(array.mean()), "sd": sd, "n": int(array.size)}


def paired_t(differences: Sequence[float]) -> dict[str, Any]:
    """Mean of paired differences (at least one) with a 95 % interval: d +- t(n - 1) s / sqrt(n).

    {value, n, low, high}; low and high are None for a single pair, which says nothing about others.
    """
    from scipy.special import stdtrit  # the quantile of Student's t; scipy.stats takes a second to import

    array = np.asarray(differences, dtype=float)
    value, n = float(array.mean()), int(array.size)
    if n < 2:
        return {"value": value, "n": n, "low": None, "high": None}
    half = float(stdtrit(n - 1, 0.975) * array.std(ddof=1) / n**0.5)
    return {"value": value, "n": n, "low": value - half, "high": value + half}
