"""Confusion matrix of a classification, and its most frequent mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from spikeport.export.network.readout import SILENT, UNLABELED

CLASSES_DRAWN = 20  # most classes of a drawn matrix; mistakes are listed for more classes too
MISTAKES = 10  # most mistakes in the list
CLASSES_COUNTED = 1_000  # most classes of a matrix, whose number of cells is the square of it


class Mistake(TypedDict):
    """A kind of mistake and its frequency.

    Attributes:
        label: true class.
        predicted: predicted class.
        count: recordings with this mistake.
        of: recordings of the true class.
    """

    label: str
    predicted: str
    count: int
    of: int


class ShadedCell(TypedDict):
    """A cell of the confusion matrix.

    Attributes:
        count: number of recordings.
        share: share of the recordings of its row, 0 to 1.
        own: whether it is on the diagonal.
    """

    count: int
    share: float
    own: bool


class ShadedRow(TypedDict):
    """A row of the confusion matrix.

    Attributes:
        label: true class.
        total: recordings of the class.
        cells: cells by predicted class.
    """

    label: str
    total: int
    cells: list[ShadedCell]


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray | str:
    """Counts recordings by label and predicted class. Unlabeled recordings are left out.

    Args:
        labels: int `[N]`, UNLABELED where unknown.
        predicted: int `[N]`, SILENT where there is no answer.
        classes: number of classes, K.

    Returns:
        int64 `[K, K + 1]`: rows are labels, columns are predicted classes, and the last column is no answer. For more
        than CLASSES_COUNTED classes, the reason why there is no matrix.

    Raises:
        ValueError: a label or a predicted class is outside the K classes.
    """
    if classes > CLASSES_COUNTED:
        return f"a table of {classes:,} classes was not made: {CLASSES_COUNTED:,} are the most"
    true, given = np.asarray(labels, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    known = true != UNLABELED
    true, given = true[known], np.where(given == SILENT, classes, given)[known]
    if true.size and not (0 <= true.min() <= true.max() < classes and 0 <= given.min() <= given.max() <= classes):
        raise ValueError(f"labels or answers are outside the {classes} classes")
    counts = np.zeros((classes, classes + 1), dtype=np.int64)
    np.add.at(counts, (true, given), 1)
    return counts


def mistakes(counts: Sequence[Sequence[int]], classes: Sequence[str], silent: Sequence[int] = ()) -> list[Mistake]:
    """The most frequent mistakes, at most MISTAKES.

    Args:
        counts: `[K][K]`, rows are labels, columns are predicted classes.
        classes: names of the K classes.
        silent: `[K]`, recordings of each label without an answer. They count as recordings of the label, but not as
            mistakes. Empty: not known.
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
    """Rows of the matrix for drawing; empty for more than CLASSES_DRAWN classes.

    Args:
        counts: `[K][K]`, rows are labels, columns are predicted classes.
        classes: names of the K classes.
        silent: `[K]`, recordings of each label without an answer, drawn as one more cell. Empty: no such cell.
    """
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
