"""Which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from spikeport.export.network.readout import SILENT, UNLABELLED

CLASSES_DRAWN = 20  # more do not fit a page; their mistakes are listed all the same
MISTAKES = 10
CLASSES_COUNTED = 1_000  # a table has as many cells as the square of this


class Mistake(TypedDict):
    """How many of the `of` recordings with class `label` were predicted as another class."""

    label: str
    predicted: str
    count: int
    of: int


class ShadedCell(TypedDict):
    """A cell of the confusion matrix: a count, its share of the row, and whether it is on the diagonal."""

    count: int
    share: float
    own: bool


class ShadedRow(TypedDict):
    """A row of the confusion matrix."""

    label: str
    total: int
    cells: list[ShadedCell]


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray | str:
    """`[K, K + 1]` int64: how many recordings of class i were taken for class j, in the last column for none (SILENT).
    Unlabelled ones are left out. Of more than CLASSES_COUNTED classes a sentence stands in its place. Raises ValueError
    for a label or a class that is none of the K.
    """
    if classes > CLASSES_COUNTED:
        return f"a table of {classes:,} classes was not made: {CLASSES_COUNTED:,} are the most"
    true, given = np.asarray(labels, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    known = true != UNLABELLED
    true, given = true[known], np.where(given == SILENT, classes, given)[known]
    if true.size and not (0 <= true.min() <= true.max() < classes and 0 <= given.min() <= given.max() <= classes):
        raise ValueError(f"labels or answers are outside the {classes} classes")
    counts = np.zeros((classes, classes + 1), dtype=np.int64)
    np.add.at(counts, (true, given), 1)
    return counts


def mistakes(counts: Sequence[Sequence[int]], classes: Sequence[str], silent: Sequence[int] = ()) -> list[Mistake]:
    """The most frequent mistakes, at most MISTAKES: {label, predicted, count, of (recordings of that label)}.
    `silent`: recordings of each class without an answer, which is no mistake for another class.
    """
    found: list[Mistake] = [
        {"label": classes[i], "predicted": classes[j], "count": count, "of": sum(row) + (silent[i] if silent else 0)}
        for i, row in enumerate(counts)
        for j, count in enumerate(row)
        if i != j and count
    ]
    found.sort(key=lambda one: one["count"], reverse=True)
    return found[:MISTAKES]


def shaded(counts: Sequence[Sequence[int]], classes: Sequence[str], silent: Sequence[int] = ()) -> list[ShadedRow]:
    """Rows to draw: {label, total, cells: [{count, share (of the row), own}]}, with `silent` one more cell for no
    answer; none of more than CLASSES_DRAWN."""
    if len(classes) > CLASSES_DRAWN:
        return []
    whole = [[*row, silent[i]] if silent else row for i, row in enumerate(counts)]
    return [
        {
            "label": classes[i],
            "total": sum(row),
            "cells": [
                {"count": count, "share": count / sum(row) if any(row) else 0.0, "own": i == j}
                for j, count in enumerate(row)
            ],
        }
        for i, row in enumerate(whole)
    ]
