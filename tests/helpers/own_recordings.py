"""Own recordings of 64 x 48 pixels in four classes, clean or with one fault, in files as people have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

COUNTS = {"circle": 14, "cross": 12, "ring": 11, "square": 10}
WIDTH, HEIGHT = 64, 48
Columns = dict[str, np.ndarray]
Writer = Callable[[Path, Columns], None]


def columns_of(seed: int, events: int = 1500, ms: int = 300) -> Columns:
    """t in whole milliseconds, in us, from 0 to `ms`; x, y and p, over the whole sensor."""
    draws = np.random.default_rng(seed)
    t = np.sort(draws.integers(0, ms, events)) * 1000
    t[0], t[-1] = 0, ms * 1000
    x, y, p = draws.integers(0, (WIDTH, HEIGHT, 2), (events, 3)).T
    x[:2], y[:2] = (0, WIDTH - 1), (0, HEIGHT - 1)
    return {"t": t, "x": x, "y": y, "p": p}


def write_npy(path: Path, columns: Columns) -> None:
    """A structured array with the fields t, x, y, p."""
    kinds = [(name, column.dtype) for name, column in columns.items()]
    table = np.empty(len(columns["t"]), kinds)
    for name, column in columns.items():
        table[name] = column
    np.save(path.with_suffix(".npy"), table)


def write_npz(path: Path, columns: Columns) -> None:
    """An array for each column."""
    np.savez(path.with_suffix(".npz"), **columns)


def write_csv(path: Path, columns: Columns) -> None:
    """A line of names, and one event in each line."""
    lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    path.with_suffix(".csv").write_text("\n".join(lines) + "\n")


def write_table(path: Path, columns: Columns) -> None:
    """An array `[N, 4]` without names, in the order x, y, p, t."""
    np.save(path.with_suffix(".npy"), np.stack([columns[name] for name in "xypt"], axis=1))


def write_set(
    folder: Path,
    change: Callable[[Columns], Mapping[str, np.ndarray]] = dict,
    writers: tuple[Writer, ...] = (write_npy,),
    counts: Mapping[str, int] = COUNTS,
    seed: int = 0,
    events: int = 1500,
) -> Path:
    """Writes `<folder>/<class>/<n>.<ext>`; equal seeds give the same events. Writers take turns."""
    for label, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True)
        for n in range(count):
            writer = writers[n % len(writers)]
            writer(folder / name / f"{n:02}", dict(change(columns_of(seed + 100 * label + n, events))))
    return folder
