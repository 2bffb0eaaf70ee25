"""What a network answered, held against what was right: the one place where classes are compared with labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.export.network.readout import SILENT, UNLABELLED


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Of the samples that have a label, in their order: `right` and `silent` (no output spike, so no answer, and not
    right; None: an older Spikeport took them for class 0), bool `[n]` each. `unlabelled`: how many were left out."""

    right: np.ndarray
    silent: np.ndarray | None
    unlabelled: int = 0

    def __len__(self) -> int:
        return len(self.right)

    @property
    def silent_count(self) -> int | None:
        """How many had no answer; None where that was not counted."""
        return None if self.silent is None else int(np.count_nonzero(self.silent))

    @property
    def share(self) -> float | None:
        """Share of right ones; silent ones count as wrong. None where no sample has a label."""
        return float(np.mean(self.right)) if len(self) else None


def describe_predictions(predicted: np.ndarray) -> dict[str, Any]:
    """Classes as a run's manifest keeps them: {predicted, silent: how many are SILENT}; older ones have no `silent`."""
    return {"predicted": predicted.tolist(), "silent": int(np.count_nonzero(predicted == SILENT))}


def held_against(labels: Any, predicted: Any, *, counted: bool = True) -> Answers:
    """Classes `predicted` `[N]` (SILENT: no answer) against `labels` `[N]` (UNLABELLED: nobody knows, left out).
    `counted`: whether silent ones were told from class 0 when the classes were found.

    >>> held_against([0, 1, -1, 1], [0, 0, -1, -1])
    Answers(right=array([ True, False, False]), silent=array([False, False,  True]), unlabelled=1)
    """
    true, given = np.asarray(labels, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    known = true != UNLABELLED
    true, silent = true[known], given[known] == SILENT
    return Answers(
        right=(given[known] == true) & ~silent,
        silent=silent if counted else None,
        unlabelled=int(np.count_nonzero(~known)),
    )
