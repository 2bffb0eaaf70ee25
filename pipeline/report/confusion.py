"""Which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

CLASSES_DRAWN = 20  # more do not fit a page; their mistakes are listed all the same
MISTAKES = 10


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """`[K, K]` int64: how many recordings of class i were taken for class j."""
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (np.asarray(labels), np.asarray(predicted)), 1)
    return counts


def mistakes(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> list[dict[str, Any]]:
    """The most frequent mistakes, at most MISTAKES: {label, predicted, count, of (recordings of that label)}."""
    found: list[dict[str, Any]] = [
        {"label": classes[i], "predicted": classes[j], "count": count, "of": sum(row)}
        for i, row in enumerate(counts)
        for j, count in enumerate(row)
        if i != j and count
    ]
    found.sort(key=lambda one: one["count"], reverse=True)
    return found[:MISTAKES]


def shaded(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Rows to draw: {label, total, cells: [{count, share (of the row), own}]}; none of more than CLASSES_DRAWN."""
    if len(classes) > CLASSES_DRAWN:
        return []
    return [
        {
            "label": classes[i],
            "total": sum(row),
            "cells": [
                {"count": count, "share": count / sum(row) if any(row) else 0.0, "own": i == j}
                for j, count in enumerate(row)
            ],
        }
        for i, row in enumerate(counts)
    ]
