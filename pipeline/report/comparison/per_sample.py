"""Counts and energies of each test recording from samples.csv, and paired changes between two runs."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NotRequired, TypedDict

import numpy as np

from spikeport.pipeline.profiling.percentiles import RESAMPLES, Bootstrapped, PairedChange, paired_changes

SEED = 0
CHANGE = (
    f"95 % bootstrap over the recordings ({RESAMPLES:,} resamples, seed {SEED}; with few recordings too narrow). "
    "Energies at nominal constants and one training of each run: uncertainty of constants and seeds is not included"
)
COUNTS = {"spikes_per_sample": "spikes", "synops_per_sample": "synops"}  # key in compare.json: column in samples.csv


class ChangedValue(TypedDict):
    """A difference or ratio with its 95 % bootstrap interval.

    Attributes:
        value: the value; None where it is unknown, with the `reason`.
        low: lower end of the interval.
        high: upper end of the interval.
        reason: why the value is unknown.
    """

    value: float | None
    low: NotRequired[float]
    high: NotRequired[float]
    reason: NotRequired[str]


class Change(TypedDict):
    """Paired change of a quantity between two runs.

    Attributes:
        n: number of recordings; None where they are not paired.
        difference: difference of the means.
        ratio: ratio of the means.
    """

    n: int | None
    difference: ChangedValue
    ratio: ChangedValue


@dataclass(frozen=True, kw_only=True)
class PerSample:
    """The columns of samples.csv that contain numbers.

    Attributes:
        keys: keys of the test recordings, in the order of the rows.
        columns: float64 `[n]` each, NaN where unknown; energies in µJ.
    """

    keys: tuple[str, ...]
    columns: Mapping[str, np.ndarray]

    def at(self, keys: Sequence[str], columns: Sequence[str]) -> np.ndarray:
        """Values of some recordings and columns.

        Args:
            keys: keys of the recordings.
            columns: names of the columns.

        Returns:
            float64 `[len(keys), len(columns)]`; NaN for a column that is missing.
        """
        row_of = {key: row for row, key in enumerate(self.keys)}
        rows = [row_of[key] for key in keys]
        unknown = np.full(len(self.keys), np.nan)
        return np.stack([self.columns.get(column, unknown)[rows] for column in columns], axis=1)

    def has_mean(self, column: str, mean: float) -> bool:
        """Whether `column` has this mean; sums in another order may differ by rounding."""
        return column in self.columns and math.isclose(self.columns[column].mean(), mean, rel_tol=1e-9)


def read_per_sample(text: str) -> PerSample:
    """Reads the columns of samples.csv that contain only numbers.

    Args:
        text: content of the file, as `csv_tables.samples_csv` writes it.
    """
    head, *rows = csv.reader(io.StringIO(text))
    columns = {}
    for name, *values in zip(head, *rows, strict=True):
        try:
            columns[name] = np.array([float(value) if value else np.nan for value in values])
        except ValueError:  # classes
            continue
    return PerSample(keys=tuple(row[head.index("key")] for row in rows), columns=columns)


def dynamic_column(hardware: str) -> str:
    """Name of the column of dynamic energy in µJ on a device."""
    return f"{hardware}_dynamic_uj"


def why_unmatched(run: PerSample | None, first: PerSample | None, names: tuple[str, str]) -> str:
    """Why the recordings of two runs cannot be matched one by one; empty where they have the same keys.

    Args:
        run: the recordings of a run; None where it has no samples.csv.
        first: the recordings of the first run.
        names: labels of both runs.
    """
    without = [name for name, table in zip(names, (run, first), strict=True) if table is None]
    if run is None or first is None:
        return f"{' and '.join(without)} (made by an older Spikeport) kept no samples.csv: spikeport report writes it"
    twice = [name for name, table in zip(names, (run, first), strict=True) if len(set(table.keys)) < len(table.keys)]
    if twice:
        return f"{' and '.join(twice)} has recordings of the same key"
    return "" if set(run.keys) == set(first.keys) else "they were tested on different recordings"


def changes(run: PerSample, first: PerSample, columns: Sequence[str]) -> dict[str, Change]:
    """Paired changes from `first` to `run` by column, with recordings matched by key.

    Args:
        run: the recordings of a run.
        first: the same recordings of the first run.
        columns: names of the columns.
    """
    keys = sorted(run.keys)  # the same draws for any order of the rows
    mine, its = run.at(keys, columns), first.at(keys, columns)
    known = np.asarray(np.isfinite(mine).all(axis=0) & np.isfinite(its).all(axis=0))
    found = iter(paired_changes(mine[:, known], its[:, known], seed=SEED))
    return {
        column: _change(next(found)) if has else no_change("unknown for a recording")
        for column, has in zip(columns, known, strict=True)
    }


def no_change(reason: str) -> Change:
    """A change that is not known, with the reason."""
    return {"n": None, "difference": _unknown(reason), "ratio": _unknown(reason)}


def _change(found: PairedChange) -> Change:
    ratio = (
        _unknown("its mean over recordings of the first may be zero") if found.ratio is None else _known(found.ratio)
    )
    return {"n": found.n, "difference": _known(found.difference), "ratio": ratio}


def _known(found: Bootstrapped) -> ChangedValue:
    return {"value": found.value, "low": found.low, "high": found.high}


def _unknown(reason: str) -> ChangedValue:
    return {"value": None, "reason": reason}
