"""Which samples stand for a whole set: drawn by class, with a seed that is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.export.network.readout import UNLABELLED

SEED = 0  # of a draw that nobody gave another


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """`rows`: sorted row numbers int64 in a set of `of`. `classes`: how many the draw went by; 0: labels were not
    known, and each row was as likely as any. `whole`: nothing was drawn, all rows were taken."""

    rows: np.ndarray
    of: int
    seed: int
    classes: int

    @property
    def whole(self) -> bool:
        return len(self.rows) == self.of

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON: rows, of, seed, classes."""
        return {"rows": self.rows.tolist(), "of": self.of, "seed": self.seed, "classes": self.classes}


def draw(count: int, of: int, labels: np.ndarray | None = None, *, seed: int = SEED) -> Drawn:
    """`count` of the rows 0 .. `of` - 1 (all where there are no more), drawn at random without replacement.

    With `labels` int `[of]` they are drawn class by class: one of each class as far as they go, the rest in proportion
    to the classes' sizes; rows without a label count as a class. Fewer than there are classes come from as many
    classes, drawn too.
    """
    groups = np.unique(labels) if labels is not None and np.any(labels != UNLABELLED) else np.zeros(0, np.int64)
    classes = int(np.count_nonzero(groups != UNLABELLED))
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


def words(drawn: Mapping[str, Any], what: str = "recordings") -> str:
    """What `Drawn.as_dict` says, for people.

    >>> words({"rows": [0, 3], "of": 40, "seed": 7, "classes": 10})
    '2 of 40 recordings drawn by class, seed 7'
    """
    count, of = len(drawn["rows"]), drawn["of"]
    if count == of:
        return f"all {of:,} {what}"
    return f"{count:,} of {of:,} {what} drawn {'by class' if drawn['classes'] else 'at random'}, seed {drawn['seed']}"


def shares(sizes: np.ndarray, total: int) -> np.ndarray:
    """`total` divided in proportion to `sizes` by largest remainders; never more than a size. Ties: first class."""
    if not total:
        return np.zeros_like(sizes)
    exact = sizes * total
    parts, remainders = exact // sizes.sum(), exact % sizes.sum()
    parts[np.argsort(-remainders, kind="stable")[: total - parts.sum()]] += 1
    return parts
