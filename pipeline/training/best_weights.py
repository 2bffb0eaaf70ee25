"""The choice among the weights of a training's epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from spikeport.pipeline.training.results import BestEpoch

SCORE_EPOCHS = 5
ROUNDING = 1e-9  # of means of equal scores, which is no rise


class BestWeights:
    """The weights with the best validation score, averaged over the last 5 epochs; of equal ones the later.

    A single score of a small validation set varies too much to choose by. Without scores the last weights are kept.

    Attributes:
        scores: the scores of all epochs so far.
        chosen: the epoch whose weights are kept.
        weights: these weights, on the CPU.
        risen: the epoch in which the mean that weights are kept by rose last; of equal ones the first.
    """

    def __init__(self) -> None:
        self.scores: list[float] = []
        self.chosen = BestEpoch(None, None)
        self.weights: dict[str, Tensor] = {}
        self.risen = 0

    def update(self, epoch: int, score: float | None, model: nn.Module, *, score_start: bool) -> None:
        """Keeps the weights of an epoch if none before were better.

        Args:
            epoch: its number, 0 before training.
            score: its validation score, None where there is none.
            model: the network with the weights of this epoch.
            score_start: whether the weights before training are kept against any with a lower score.
        """
        smoothed_score = None
        if score is not None:
            self.scores.append(score)
            smoothed_score = float(np.mean(self.scores[-SCORE_EPOCHS:]))
        below_start = score is not None and score_start and score < self.scores[0]
        best = self.chosen.score
        better = smoothed_score is None or best is None or (smoothed_score >= best and not below_start)
        rises = smoothed_score is None or best is None or smoothed_score > best + ROUNDING
        if not self.weights or (better and rises):
            self.risen = epoch
        if not self.weights or better:
            self.weights = {key: tensor.detach().cpu().clone() for key, tensor in model.state_dict().items()}
            self.chosen = BestEpoch(epoch, smoothed_score)

    def kept_score(self, epoch: int) -> float | None:
        """The validation score of the epoch whose weights are kept; None where there is none.

        Args:
            epoch: number of the epoch that was scored last.
        """
        back = epoch - (self.chosen.epoch or 0)
        return self.scores[-1 - back] if back < len(self.scores) else None

    def to_tree(self) -> dict[str, object]:
        """Numbers and tensors for a checkpoint."""
        best = {"epoch": self.chosen.epoch, "score": self.chosen.score, "weights": self.weights, "risen": self.risen}
        return {"scores": self.scores, "best": best if self.weights else {}}

    def load_tree(self, tree: Mapping[str, Any]) -> None:
        """Restores the state that `to_tree` returned.

        Args:
            tree: the state.
        """
        self.scores, best = list(tree["scores"]), tree["best"]
        self.chosen, self.weights = BestEpoch(best.get("epoch"), best.get("score")), best.get("weights", {})
        self.risen = best.get("risen", self.chosen.epoch or 0)
