"""Distribution of a quantity over samples or repeats, and of the difference of two."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from spikeport.json_values import JsonValue
from spikeport.values import Interval

RESAMPLES = 10_000
CHUNK_VALUES = 1 << 22  # values drawn at a time, to limit memory


@dataclass(frozen=True, kw_only=True)
class SampleStatistics(JsonValue):
    """Distribution of a quantity over samples.

    Attributes:
        n: number of samples.
        mean: their mean.
        low: lower end of the interval of the mean.
        high: upper end of the interval of the mean.
        std: standard deviation with n - 1 in the denominator; None for one sample.
        p50: median.
        p95: 95th percentile.
        interval: how `low` and `high` were computed, in words.
    """

    n: int
    mean: float
    low: float
    high: float
    std: float | None
    p50: float
    p95: float
    interval: str


@dataclass(frozen=True, kw_only=True)
class Bootstrapped(JsonValue):
    """A value with its 95 % bootstrap interval.

    Attributes:
        value: the value.
        low: lower end of the interval.
        high: upper end of the interval.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class PairedChange(JsonValue):
    """Difference of two quantities of the same samples.

    Attributes:
        n: number of samples.
        difference: mean of `values - first`.
        ratio: mean of `values` over the mean of `first`; None where the latter may be 0.
    """

    n: int
    difference: Bootstrapped
    ratio: Bootstrapped | None


def over_samples(values: np.ndarray, *, seed: int = 0) -> SampleStatistics:
    """Mean with its 95 % bootstrap interval (percentiles of resampled means), and quantiles.

    Args:
        values: `[N]`, one value per sample.
        seed: seed of the resampling.
    """
    values = np.asarray(values, dtype=np.float64)
    means = np.concatenate([values[rows].mean(axis=1) for rows in _draws(values.size, seed)])
    low, high = np.percentile(means, (2.5, 97.5))
    return SampleStatistics(
        n=values.size,
        mean=float(values.mean()),
        low=float(low),
        high=float(high),
        std=float(values.std(ddof=1)) if values.size > 1 else None,
        p50=float(np.percentile(values, 50)),
        p95=float(np.percentile(values, 95)),
        interval=f"95 % bootstrap of the mean, {RESAMPLES} resamples, seed {seed}",
    )


def over_repeats(values: np.ndarray) -> Interval:
    """Median of repeated measurements, with their 2.5 and 97.5 % quantiles.

    Args:
        values: `[N]`, one value per repeat.
    """
    low, nominal, high = np.percentile(np.asarray(values, dtype=np.float64), (2.5, 50, 97.5))
    return Interval(low=float(low), nominal=float(nominal), high=float(high))


def paired_changes(values: np.ndarray, first: np.ndarray, *, seed: int = 0) -> list[PairedChange]:
    """Differences between the columns of two tables of the same samples, with 95 % bootstrap intervals.

    The intervals are percentiles over samples drawn with replacement. Both tables use the same draws, so variance that
    they share does not widen the interval of the difference.

    Args:
        values: `[N, M]`, row i is sample i.
        first: `[N, M]`, the table to compare with.
        seed: seed of the draws.

    Returns:
        One change per column.

    Raises:
        ValueError: the tables have different shapes, or no rows.
    """
    values, first = np.asarray(values, dtype=np.float64), np.asarray(first, dtype=np.float64)
    if values.shape != first.shape or values.ndim != 2 or not len(values):
        raise ValueError(f"{values.shape} and {first.shape} samples do not pair")
    n, columns = values.shape
    table = np.concatenate((values - first, first), axis=1)
    means = np.concatenate([_times_drawn(rows) @ table for rows in _draws(n, seed)]) / n
    differences, firsts = means[:, :columns], means[:, columns:]
    mean_difference, mean_first = np.ascontiguousarray(table.T).mean(axis=1).reshape(2, columns)
    changes = []
    for m in range(columns):
        # 1 + difference / first is exactly 1 for equal values, whatever the order of the sums.
        divisible = firsts[:, m].min() > 0
        changes.append(
            PairedChange(
                n=n,
                difference=_percentiles(mean_difference[m], differences[:, m]),
                ratio=_percentiles(1 + mean_difference[m] / mean_first[m], 1 + differences[:, m] / firsts[:, m])
                if divisible
                else None,
            )
        )
    return changes


def _draws(samples: int, seed: int) -> Iterator[np.ndarray]:
    """Rows of `samples` indices drawn with replacement, RESAMPLES rows in chunks."""
    rng = np.random.default_rng(seed)
    rows = max(1, CHUNK_VALUES // samples)
    for start in range(0, RESAMPLES, rows):
        yield rng.integers(0, samples, (min(rows, RESAMPLES - start), samples))


def _times_drawn(rows: np.ndarray) -> np.ndarray:
    """Count of each sample in each row of indices, float64 `[rows, samples]`, so that sums are one matrix product."""
    drawn, samples = rows.shape
    cells = rows + samples * np.arange(drawn)[:, None]
    return np.bincount(cells.ravel(), minlength=rows.size).reshape(rows.shape).astype(np.float64)


def _percentiles(value: float, resampled: np.ndarray) -> Bootstrapped:
    low, high = np.percentile(resampled, (2.5, 97.5))
    return Bootstrapped(value=float(value), low=float(low), high=float(high))
