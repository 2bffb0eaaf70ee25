"""How a quantity spreads over samples or repeats."""

from __future__ import annotations

from typing import Any

import numpy as np

RESAMPLES = 10_000
CHUNK_VALUES = 1 << 22  # drawn at a time, to bound memory


def over_samples(values: np.ndarray, *, seed: int = 0) -> dict[str, Any]:
    """Mean of `[N]` values with its 95 % bootstrap interval (percentiles of resampled means), spread and quantiles."""
    values = np.asarray(values, dtype=np.float64)
    rng = np.random.default_rng(seed)
    rows = max(1, CHUNK_VALUES // values.size)
    means = np.concatenate(
        [
            values[rng.integers(0, values.size, (min(rows, RESAMPLES - start), values.size))].mean(axis=1)
            for start in range(0, RESAMPLES, rows)
        ]
    )
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
