"""Splits whose groups (persons, scenes, sessions) never stand on both sides, and splits that a file states."""

from __future__ import annotations

import numpy as np

from spikeport.errors import UserError
from spikeport.pipeline.data.splits.split_file import GivenParts
from spikeport.pipeline.run.sections.data import Data

ORDERS = 64  # random orders of the groups that are tried


def stated_split(labels: np.ndarray, given: GivenParts, data: Data) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of training, validation and test part, as a file states them, or in whole groups if it states only those.

    Without validation rows in the file, at least `data.validation` are drawn from the training rows, in whole groups.

    Args:
        labels: int64 `[N]`, classes.
        given: parts, and groups if there are.
        data: the recipe's section [data].

    Raises:
        UserError: a part that is needed is empty, or a number of the recipe contradicts the file.
    """
    if given.parts is None:
        assert given.groups is not None
        return _by_group(labels, given.groups, data)
    train, validation, test = (np.flatnonzero(given.parts == part) for part in ("train", "validation", "test"))
    for name, rows in (("test", test), ("validation", validation)):
        if len(rows) and name in data.model_fields_set and getattr(data, name) not in (0, len(rows)):
            raise UserError(f"data.{name} is {getattr(data, name)}, and the file states {len(rows)} recordings",
                            where="data.splits", hint=f"leave {name} out")  # fmt: skip
    for part, rows in (("train", train), ("test", test)):
        if not len(rows):
            raise UserError(f"no recording has the part {part}", where="data.splits",
                            hint=f"write {part} in the column part of some recordings")  # fmt: skip
    if not len(validation) and data.validation:
        generator = np.random.default_rng(data.split_seed)
        validation = _drawn_groups(labels, train, given.groups, data.validation, generator, "data.validation")
        train = np.setdiff1d(train, validation)
    return train, validation, test


def _drawn_groups(
    labels: np.ndarray, rows: np.ndarray, groups: np.ndarray | None, size: int, generator: np.random.Generator,
    where: str,
) -> np.ndarray:  # fmt: skip
    """Rows of whole groups (None: each row is one), in random order until `size` is reached; sorted.

    Of several random orders the one is taken whose classes are nearest to those of `rows`.
    """
    own = rows if groups is None else groups[rows]
    names, number = np.unique(own, return_inverse=True)
    counts = np.bincount(number)
    share = np.bincount(labels[rows]) / max(len(rows), 1)
    best, least = None, np.inf
    for _ in range(ORDERS):
        order = generator.permutation(len(names))
        reached = np.cumsum(counts[order])
        taken = order[: int(np.searchsorted(reached, size)) + 1]
        chosen = rows[np.isin(number, taken)]
        found = np.bincount(labels[chosen], minlength=len(share)) / max(len(chosen), 1)
        off = float(np.abs(found - share).sum()) + abs(len(chosen) - size) / max(size, 1)
        if len(chosen) < len(rows) and len(chosen) >= size and off < least:
            best, least = chosen, off
    if best is None:
        raise UserError(
            "too few recordings" if groups is None else "too few groups", where=where,
            cause=f"{size} recordings were asked of {len(rows)} in {len(names)} groups, and some must be left to train",
            hint=f"lower {where}, or add recordings",
        )  # fmt: skip
    return np.sort(best)


def _by_group(labels: np.ndarray, groups: np.ndarray, data: Data) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of each part in whole groups: numbers of recordings are the least, a part has the groups that reach it.

    With folds, the test part is fold `data.fold` of scikit-learn's StratifiedGroupKFold.
    """
    generator = np.random.default_rng(data.split_seed)
    rows = np.arange(len(labels))
    count = len(np.unique(groups))
    if data.folds:
        from sklearn.model_selection import StratifiedGroupKFold

        if data.folds > count:
            raise UserError(f"{data.folds} folds need a group each", where="data.folds",
                            cause=f"{count} groups are here", hint="lower data.folds")  # fmt: skip
        folds = StratifiedGroupKFold(n_splits=data.folds, shuffle=True, random_state=data.split_seed)
        test = np.sort(list(folds.split(rows, labels, groups))[data.fold][1])
    else:
        if not data.test:
            raise UserError("how many to test on?", where="data.test", hint="give the least number of test recordings")
        test = _drawn_groups(labels, rows, groups, data.test, generator, "data.test")
    rest = np.setdiff1d(rows, test)
    validation = np.empty(0, np.int64)
    if data.validation:
        validation = _drawn_groups(labels, rest, groups, data.validation, generator, "data.validation")
    train = np.setdiff1d(rest, validation)
    return train, validation, test
