"""How a quantity spreads over samples or repeats, and how two spread together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

RESAMPLES = 10_000
CHUNK_VALUES = 1 << 22  # drawn at a time, to bound memory


def over_samples(values: np.ndarray, *, seed: int = 0) -> dict[str, Any]:
    """Mean of `[N]` values with its 95 % bootstrap interval (percentiles of resampled means), spread and quantiles."""
    values = np.asarray(values, dtype=np.float64)
    means = np.concatenate([values[rows].mean(axis=1) for rows in _draws(values.size, seed)])
    low, high = np.percentile(means, (2.5, 97.5))
    return {
        "n": values.size,
        "mean": float(values.mean()),
        "low": float(low),
        "high": float(high),
        "std": float(values.std(ddof=1)) if values.size > 1 else None,
        "p50": float(np.percentile(values, 50)),
        "p95": float(np.percentile(values, 95)),
        "interval": f"95 % bootstrap of the mean, {RESAMPLES} resamples, seed {seed}",
    }


def over_repeats(values: np.ndarray) -> dict[str, float]:
    """Median of repeated measurements, with the 2.5 and 97.5 % quantiles of the repeats: {low, nominal, high}."""
    low, nominal, high = np.percentile(np.asarray(values, dtype=np.float64), (2.5, 50, 97.5))
    return {"low": float(low), "nominal": float(nominal), "high": float(high)}


def paired_changes(values: np.ndarray, first: np.ndarray, *, seed: int = 0) -> list[dict[str, Any]]:
    """How the columns of `values` differ from those of `first`, `[N, M]` each with row i the same sample: M times
    {n, difference, ratio}.

    `difference`: the mean of `values - first`; `ratio`: the mean of `values` over that of `first`, None where that may
    be 0. Each {value, low, high}, a 95 % bootstrap interval: percentiles over samples drawn with replacement, the same
    ones for both, so that what makes a sample costly in both makes no difference wider. Raises ValueError where the two
    do not pair.
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
        # A ratio of 1 + difference / first is exactly 1 where nothing differs, in whichever order the sums were made.
        divisible = firsts[:, m].min() > 0
        changes.append(
            {
                "n": n,
                "difference": _percentiles(mean_difference[m], differences[:, m]),
                "ratio": _percentiles(1 + mean_difference[m] / mean_first[m], 1 + differences[:, m] / firsts[:, m])
                if divisible
                else None,
            }
        )
    return changes


def _draws(samples: int, seed: int) -> Iterator[np.ndarray]:
    """Rows of `samples` indices drawn with replacement, RESAMPLES rows in chunks."""
    rng = np.random.default_rng(seed)
    rows = max(1, CHUNK_VALUES // samples)
    for start in range(0, RESAMPLES, rows):
        yield rng.integers(0, samples, (min(rows, RESAMPLES - start), samples))


def _times_drawn(rows: np.ndarray) -> np.ndarray:
    """How often each sample stands in each row of indices, float64 `[rows, samples]`: sums of many columns are then one
    product."""
    drawn, samples = rows.shape
    places = rows + samples * np.arange(drawn)[:, None]
    return np.bincount(places.ravel(), minlength=rows.size).reshape(rows.shape).astype(np.float64)


def _percentiles(value: float, resampled: np.ndarray) -> dict[str, float]:
    low, high = np.percentile(resampled, (2.5, 97.5))
    return {"value": float(value), "low": float(low), "high": float(high)}
