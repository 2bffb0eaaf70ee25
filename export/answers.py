"""What a network answered, held against what was right: the one place where classes are compared with labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from export.readout import SILENT, UNLABELLED


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Of the samples that have a label, in their order: `right` and `silent` (no output spike, so no answer, and not
    right), bool `[n]` each. `unlabelled`: how many were left out."""

    right: np.ndarray
    silent: np.ndarray
    unlabelled: int = 0

    def __len__(self) -> int:
        return len(self.right)

    @property
    def share(self) -> float | None:
        """Share of right ones; silent ones count as wrong. None where no sample has a label."""
        return float(np.mean(self.right)) if len(self) else None


def held_against(labels: Any, predicted: Any) -> Answers:
    """Classes `predicted` `[N]` (SILENT: no answer) against `labels` `[N]` (UNLABELLED: nobody knows, left out).

    >>> held_against([0, 1, -1, 1], [0, 0, -1, -1])
    Answers(right=array([ True, False, False]), silent=array([False, False,  True]), unlabelled=1)
    """
    true, given = np.asarray(labels, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    known = true != UNLABELLED
    true, silent = true[known], given[known] == SILENT
    return Answers(right=(given[known] == true) & ~silent, silent=silent, unlabelled=int(np.count_nonzero(~known)))
