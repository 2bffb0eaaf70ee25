"""Intervals: for one accuracy (Wilson), and for two students on the same recordings (Bonett and Price)."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikeport.export.network.accuracy import Correctness

Z95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution


def wilson(correct: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of the share `correct / n`: (low, high) within 0..1.

    Center (p + z^2/2n) / (1 + z^2/n), half width z sqrt(p(1-p)/n + z^2/4n^2) / (1 + z^2/n) (Wilson, JASA 22, 1927).
    Raises ValueError where `correct` is outside 0..n or n is 0.
    """
    if not 0 <= correct <= n or n == 0:
        raise ValueError(f"{correct} of {n} is no share")
    share, shrink = correct / n, 1 + Z95**2 / n
    center = (share + Z95**2 / (2 * n)) / shrink
    half = Z95 * (share * (1 - share) / n + Z95**2 / (4 * n**2)) ** 0.5 / shrink
    # The ends are exact where nothing or everything is correct; rounding must not move them.
    return (0.0 if correct == 0 else center - half), (1.0 if correct == n else center + half)


def share(answers: Correctness) -> dict[str, Any]:
    """Accuracy over labelled samples: {value, n, silent, low, high}, without `silent` where it was not counted, with
    `unlabelled` where some were left out; {value: None, reason} where there is none."""
    n = len(answers)
    if not n:
        why = f"none of {answers.unlabelled:,} has a label" if answers.unlabelled else "there was nothing to test on"
        return {"value": None, "reason": why}
    hits = int(np.count_nonzero(answers.correct))
    low, high = wilson(hits, n)
    found: dict[str, Any] = {"value": hits / n, "n": n, "silent": answers.silent_count, "low": low, "high": high}
    if answers.silent is None:
        del found["silent"]
    return found | ({"unlabelled": answers.unlabelled} if answers.unlabelled else {})


def paired_difference(first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    """Accuracy of `first` minus that of `second` (bool `[n]` each, row i the same recording), with a 95 % interval.

    Only recordings on which one is right and the other wrong carry information: b for `first`, c for `second`.
    Value (b - c) / n; interval d +- z sqrt((p + q - d^2) / (n + 2)) with p = (b+1)/(n+2), q = (c+1)/(n+2), d = p - q
    (Bonett and Price, J. Educ. Behav. Stat. 37, 2012). Raises ValueError where the two do not pair.
    """
    one, two = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if one.shape != two.shape or one.ndim != 1 or one.size == 0:
        raise ValueError(f"{one.shape} and {two.shape} recordings do not pair")
    n, only_first, only_second = one.size, int((one & ~two).sum()), int((two & ~one).sum())
    p, q = (only_first + 1) / (n + 2), (only_second + 1) / (n + 2)
    center, half = p - q, Z95 * ((p + q - (p - q) ** 2) / (n + 2)) ** 0.5
    return {
        "value": (only_first - only_second) / n,
        "n": n,
        "low": max(-1.0, center - half),
        "high": min(1.0, center + half),
        "only_first": only_first,
        "only_second": only_second,
    }
