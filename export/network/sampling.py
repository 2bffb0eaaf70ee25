"""Draws a random sample of a data set, stratified by class, with a recorded seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from spikeport.export.network.readout import UNLABELED

SEED = 0  # default seed


class DrawnJson(TypedDict):
    """`Drawn` as JSON."""

    rows: list[int]
    of: int
    seed: int
    classes: int


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A drawn sample of a data set.

    Attributes:
        rows: int64, sorted row numbers.
        of: number of rows in the data set.
        seed: seed of the draw.
        classes: number of classes that the draw was stratified by; 0 if labels were not known.
    """

    rows: np.ndarray
    of: int
    seed: int
    classes: int

    @property
    def whole(self) -> bool:
        """Whether the sample contains all rows."""
        return len(self.rows) == self.of

    def as_dict(self) -> DrawnJson:
        """The fields as a JSON object."""
        return {"rows": self.rows.tolist(), "of": self.of, "seed": self.seed, "classes": self.classes}


def draw(count: int, of: int, labels: np.ndarray | None = None, *, seed: int = SEED) -> Drawn:
    """Draws rows at random without replacement, stratified by class if labels are known.

    Each class gets one row, and the remaining rows are distributed in proportion to the sizes of the classes. Rows
    without a label count as one class. If there are fewer rows to draw than classes, the classes are drawn too.

    Args:
        count: number of rows to draw. All rows are taken if there are not more.
        of: number of rows in the data set.
        labels: class numbers `[of]`, UNLABELED (-1) for unknown ones; None if no label is known.
        seed: seed of the draw.
    """
    groups = np.unique(labels) if labels is not None and np.any(labels != UNLABELED) else np.zeros(0, np.int64)
    classes = int(np.count_nonzero(groups != UNLABELED))
    if count >= of:
        return Drawn(rows=np.arange(of, dtype=np.int64), of=of, seed=seed, classes=classes)
    generator = np.random.default_rng(seed)
    if not classes:
        rows = generator.permutation(of)[:count]
        return Drawn(rows=np.sort(rows).astype(np.int64), of=of, seed=seed, classes=0)
    pools = [generator.permutation(np.flatnonzero(labels == group)) for group in groups]
    if count < len(pools):
        counts = np.isin(np.arange(len(pools)), generator.permutation(len(pools))[:count]).astype(np.int64)
    else:
        counts = 1 + shares(np.array([len(pool) - 1 for pool in pools]), count - len(pools))
    rows = np.concatenate([pool[:n] for pool, n in zip(pools, counts, strict=True)])
    return Drawn(rows=np.sort(rows).astype(np.int64), of=of, seed=seed, classes=classes)


def words(drawn: DrawnJson, what: str = "recordings") -> str:
    """Describes a drawn sample in words.

    Args:
        drawn: result of `Drawn.as_dict`.
        what: plural noun for the rows.

    >>> words({"rows": [0, 3], "of": 40, "seed": 7, "classes": 10})
    '2 of 40 recordings drawn by class, seed 7'
    """
    count, of = len(drawn["rows"]), drawn["of"]
    if count == of:
        return f"all {of:,} {what}"
    return f"{count:,} of {of:,} {what} drawn {'by class' if drawn['classes'] else 'at random'}, seed {drawn['seed']}"


def shares(sizes: np.ndarray, total: int) -> np.ndarray:
    """Distributes a total over classes in proportion to their sizes, by the largest remainder method.

    Args:
        sizes: int64 `[classes]`, sizes of the classes.
        total: number to distribute, at most the sum of `sizes`.

    Returns:
        int64 `[classes]`, each at most the class's size. Equal remainders: the first class gets more.
    """
    if not total:
        return np.zeros_like(sizes)
    exact = sizes * total
    parts, remainders = exact // sizes.sum(), exact % sizes.sum()
    parts[np.argsort(-remainders, kind="stable")[: total - parts.sum()]] += 1
    return parts
