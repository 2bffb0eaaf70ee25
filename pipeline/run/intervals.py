"""Statistics of accuracies: Wilson's interval of one, the paired difference of two, means and differences over runs.

All intervals are two-sided with 95 % confidence. Results are JSON objects with the keys of the typed dictionaries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import numpy as np

from spikeport.export.network.accuracy import Correctness

Z95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution


class Accuracy(TypedDict):
    """An accuracy with Wilson's interval, as in report.json.

    Attributes:
        value: share of correct samples, or None where nothing was measured.
        n: labeled samples.
        silent: samples without an output spike; absent where they were not counted.
        low: lower end of the interval.
        high: upper end of the interval.
        unlabeled: samples without a label, which are not counted in `n`.
        reason: why there is no value.
    """

    value: float | None
    n: NotRequired[int]
    silent: NotRequired[int]
    low: NotRequired[float]
    high: NotRequired[float]
    unlabeled: NotRequired[int]
    reason: NotRequired[str]


class PairedDifference(TypedDict):
    """Difference of two accuracies on the same recordings.

    Attributes:
        value: accuracy of the first minus that of the second.
        n: recordings.
        low: lower end of the interval.
        high: upper end of the interval.
        only_first: recordings that the first alone classifies correctly.
        only_second: recordings that the second alone classifies correctly.
    """

    value: float
    n: int
    low: float
    high: float
    only_first: int
    only_second: int


class MeanDeviation(TypedDict):
    """Mean and standard deviation over runs; `sd` is None for one run."""

    mean: float
    sd: float | None
    n: int


class MeanDifference(TypedDict):
    """Mean of paired differences over runs; `low` and `high` are None for a single pair."""

    value: float
    n: int
    low: float | None
    high: float | None


def wilson(correct: float, n: int) -> tuple[float, float]:
    """Wilson's score interval of the share `correct / n`.

    Center (p + z^2/2n) / (1 + z^2/n), half width z sqrt(p(1-p)/n + z^2/4n^2) / (1 + z^2/n) (Wilson, JASA 22, 1927).

    Args:
        correct: correct samples; a sample that was answered several times counts by its share of correct answers.
        n: all samples.

    Returns:
        Lower and upper end, within 0..1.

    Raises:
        ValueError: `correct` is not in 0..n, or n is 0.

    >>> [round(end, 4) for end in wilson(9, 10)]
    [0.5958, 0.9821]
    """
    if not 0 <= correct <= n or n == 0:
        raise ValueError(f"{correct} of {n} is not a share")
    share, shrink = correct / n, 1 + Z95**2 / n
    center = (share + Z95**2 / (2 * n)) / shrink
    half = Z95 * (share * (1 - share) / n + Z95**2 / (4 * n**2)) ** 0.5 / shrink
    # The ends are exact where nothing or everything is correct; rounding must not move them.
    return (0.0 if correct == 0 else center - half), (1.0 if correct == n else center + half)


def share(answers: Correctness) -> Accuracy:
    """Accuracy over the labeled samples with Wilson's interval.

    Args:
        answers: which labeled samples are correct.

    Returns:
        The accuracy, or the reason why there is none.
    """
    n = len(answers)
    if not n:
        why = f"none of {answers.unlabeled:,} has a label" if answers.unlabeled else "there was nothing to test on"
        return {"value": None, "reason": why}
    hits = int(np.count_nonzero(answers.correct))
    low, high = wilson(hits, n)
    found: Accuracy = {"value": hits / n, "n": n, "low": low, "high": high}
    if answers.silent_count is not None:
        found = {"value": hits / n, "n": n, "silent": answers.silent_count, "low": low, "high": high}
    if answers.unlabeled:
        found["unlabeled"] = answers.unlabeled
    return found


def paired_difference(first: np.ndarray, second: np.ndarray) -> PairedDifference:
    """Difference of two accuracies on the same recordings, with an interval.

    Only recordings that one alone classifies correctly carry information: b for `first`, c for `second`.
    Value (b - c) / n; interval d +- z sqrt((p + q - d^2) / (n + 2)) with p = (b+1)/(n+2), q = (c+1)/(n+2), d = p - q
    (Bonett and Price, J. Educ. Behav. Stat. 37, 2012).

    Args:
        first: bool `[n]`, which recordings the first classifies correctly.
        second: bool `[n]`, the same of the second, row i the same recording.

    Raises:
        ValueError: the two are not of one length, or empty.
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


def paired_shares(differences: np.ndarray, level: float) -> tuple[float, float]:
    """Mean of paired differences of shares of correct answers, and its one-sided lower bound.

    A recording may have been answered several times. Where each was answered once, the bound is Bonett and Price's,
    as in `paired_difference`: two imagined recordings, one answered correctly by each side alone, are added.

    Args:
        differences: float `[n]` in -1..1, a row a recording, n of 1 or more.
        level: confidence of the bound, such as 0.8.

    >>> [round(value, 4) for value in paired_shares(np.array([1.0, 1.0, 1.0, 0.0, 0.0, -1.0]), 0.975)]
    [0.3333, -0.2739]
    """
    from scipy.special import ndtri  # scipy.stats takes a second to import

    values = np.asarray(differences, dtype=float)
    n = values.size + 2
    center = values.sum() / n
    half = ndtri(level) * ((((values**2).sum() + 2) / n - center**2) / n) ** 0.5
    return float(values.mean()), max(-1.0, float(center - half))


def mean_sd(values: Sequence[float]) -> MeanDeviation:
    """Mean and standard deviation (divisor n - 1) of at least one value.

    Args:
        values: at least one value.

    >>> mean_sd([1.0, 3.0])
    {'mean': 2.0, 'sd': 1.4142135623730951, 'n': 2}
    """
    array = np.asarray(values, dtype=float)
    sd = float(array.std(ddof=1)) if array.size > 1 else None
    return {"mean": float(array.mean()), "sd": sd, "n": int(array.size)}


def paired_t(differences: Sequence[float], level: float = 0.975) -> MeanDifference:
    """Mean of at least one paired difference, with Student's interval d +- t(n - 1) s / sqrt(n).

    Args:
        differences: at least one difference.
        level: one-sided confidence of each end; 0.975 makes the interval of 95 %.
    """
    from scipy.special import stdtrit  # the quantile of Student's t; scipy.stats takes a second to import

    array = np.asarray(differences, dtype=float)
    value, n = float(array.mean()), int(array.size)
    if n < 2:
        return {"value": value, "n": n, "low": None, "high": None}
    half = float(stdtrit(n - 1, level) * array.std(ddof=1) / n**0.5)
    return {"value": value, "n": n, "low": value - half, "high": value + half}
