"""Compares predicted classes with labels. All accuracies of the project are computed here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.export.network.readout import SILENT, UNLABELED


@dataclass(frozen=True, kw_only=True)
class Correctness:
    """Which of the labeled samples were classified correctly.

    Attributes:
        correct: bool `[n]`, one for each labeled sample, in order.
        silent: bool `[n]`, samples without any output spike. They have no class and count as wrong. None if the
            predictions are from a version of Spikeport that assigned silent samples to class 0.
        unlabeled: number of samples without a label, which are in neither array.
    """

    correct: np.ndarray
    silent: np.ndarray | None
    unlabeled: int = 0

    def __len__(self) -> int:
        return len(self.correct)

    @property
    def silent_count(self) -> int | None:
        """Number of silent samples; None if it is unknown."""
        return None if self.silent is None else int(np.count_nonzero(self.silent))

    @property
    def accuracy(self) -> float | None:
        """Fraction of correct samples, 0 to 1; None without any labeled sample."""
        return float(np.mean(self.correct)) if len(self) else None


def compare_with_labels(labels: Any, predicted: Any, *, silent_known: bool = True) -> Correctness:
    """Compares predicted classes with labels.

    Args:
        labels: integers `[N]`, UNLABELED (-1) if the class is unknown. Such samples are excluded.
        predicted: integers `[N]`, SILENT (-1) if a sample has no class.
        silent_known: False for predictions in which silent samples appear as class 0.

    >>> compare_with_labels([0, 1, -1, 1], [0, 0, -1, -1])
    Correctness(correct=array([ True, False, False]), silent=array([False, False,  True]), unlabeled=1)
    """
    true, given = np.asarray(labels, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    labeled = true != UNLABELED
    true, silent = true[labeled], given[labeled] == SILENT
    return Correctness(
        correct=(given[labeled] == true) & ~silent,
        silent=silent if silent_known else None,
        unlabeled=int(np.count_nonzero(~labeled)),
    )
