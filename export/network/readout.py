"""Converts outputs to classes, by one rule for training, the reference backend and Lava.

The class is computed from spike counts, from the membrane of an output layer that never fires, or from a linear layer
that the host applies to spike counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from spikeport.errors import UserError

SILENT = -1  # class of a sample without output spikes
UNLABELED = -1  # label of a sample of unknown class, which accuracies do not include


@dataclass(frozen=True, kw_only=True)
class Readout:
    """Rule that converts outputs to classes.

    Attributes:
        kind: "spikes" (the class with the most spikes), "membrane" (the highest voltage of the last layer), "linear"
            (the host computes `weight` times spike counts plus `bias` times steps) or "values" (the largest value that
            the last layer of a sigma-delta network sends).
        over_time: reduction of voltages or values over time steps: "sum", "max" or "last". The sum of the messages of
            a sigma-delta layer is its activation, less what its threshold holds back.
        weight: float64 `[K, outputs]` of a linear read-out, else None.
        bias: float64 `[K]` of a linear read-out, or None.
    """

    kind: Literal["spikes", "membrane", "linear", "values"] = "spikes"
    over_time: Literal["sum", "max", "last"] = "sum"
    weight: np.ndarray | None = None
    bias: np.ndarray | None = None

    def check(self, outputs: int) -> None:
        """Checks that the read-out is valid for a layer.

        Args:
            outputs: number of output neurons.

        Raises:
            UserError: it is not valid.
        """
        if self.kind not in ("spikes", "membrane", "linear", "values") or self.over_time not in ("sum", "max", "last"):
            raise UserError(f"read-out {self.kind!r} over {self.over_time!r} is unknown",
                            hint="use spikes, membrane or values (sum, max or last), or linear")  # fmt: skip
        if (self.weight is not None) != (self.kind == "linear"):
            raise UserError(f"a {self.kind} read-out with{'' if self.weight is not None else 'out'} weights")
        if self.weight is None:
            return
        shapes = self.weight.shape, None if self.bias is None else self.bias.shape
        if self.weight.ndim != 2 or shapes[0][1] != outputs or shapes[1] not in (None, shapes[0][:1]):
            raise UserError(f"the host's read-out has weight and bias {shapes}, the network {outputs} outputs")
        if not np.all(np.isfinite(self.weight)) or (self.bias is not None and not np.all(np.isfinite(self.bias))):
            raise UserError("the host's read-out holds NaN or infinity")

    @property
    def word(self) -> str:
        """The read-out as a word of `SpikingGraph.readout` and `--readout`, such as "membrane-sum"."""
        return f"{self.kind}-{self.over_time}" if self.kind in ("membrane", "values") else self.kind

    def outputs(self, neurons: int) -> int:
        """Number of classes for a number of output neurons.

        Args:
            neurons: number of output neurons.
        """
        return neurons if self.weight is None else len(self.weight)

    def __str__(self) -> str:
        return f"{self.kind} ({self.over_time} over time)" if self.kind in ("membrane", "values") else self.kind

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Readout) and all(
            np.array_equal(getattr(self, key), getattr(other, key)) if key in ("weight", "bias")
            else getattr(self, key) == getattr(other, key) for key in vars(self)
        )  # fmt: skip

    def classes(self, spikes: np.ndarray, levels: np.ndarray | None = None) -> np.ndarray:
        """Predicts the class of each sample.

        Args:
            spikes: output spikes `[N, T, outputs]`.
            levels: `[N, T, outputs]`, voltages for a membrane read-out, values for a read-out of values.

        Returns:
            int64 `[N]`. SILENT (-1) for samples without an output spike, except with a read-out of `levels`.

        Raises:
            ValueError: a read-out of levels without `levels`.
        """
        if self.kind == "spikes":
            return classify(spikes)
        found = np.argmax(self.scores(spikes, levels), axis=1)
        return np.where(spikes.any(axis=(1, 2)), found, SILENT) if self.kind == "linear" else found

    def scores(self, spikes: np.ndarray, levels: np.ndarray | None = None) -> np.ndarray:
        """What the classes are compared by. The largest score wins; equal spike counts as in `classify`, else the lower
        index.

        Args:
            spikes, levels: as for `classes`.

        Returns:
            `[N, K]` for K classes: spike counts, voltages or values over time (int64), or results of the linear layer
            (float64).

        Raises:
            ValueError: a read-out of levels without `levels`.
        """
        if self.kind in ("spikes", "linear"):
            counts = spikes.sum(axis=1, dtype=np.int64)
            if self.weight is None:
                return counts
            scores = counts @ self.weight.T
            return scores if self.bias is None else scores + spikes.shape[1] * self.bias
        if levels is None:
            raise ValueError(f"a {self.kind} read-out needs the voltages or values of the last layer")
        over = {
            "sum": lambda v: v.sum(axis=1, dtype=np.int64),
            "max": lambda v: v.max(axis=1).astype(np.int64),
            "last": lambda v: v[:, -1].astype(np.int64),
        }
        return over[self.over_time](levels)


def classify(spikes: np.ndarray) -> np.ndarray:
    """Predicts the class with the most spikes.

    Among equal counts, the class with the smaller sum of spike times wins, then the lower index.

    Args:
        spikes: `[N, T, K]` of 0 and 1.

    Returns:
        int64 `[N]`, SILENT (-1) for samples without spikes.

    >>> classify(np.array([[[0, 0, 1], [0, 1, 0]], [[0, 0, 0], [0, 0, 0]]]))
    array([ 2, -1])
    """
    samples, steps, _ = spikes.shape
    if samples == 0:
        return np.zeros(0, dtype=np.int64)
    weight = steps * steps - np.arange(steps, dtype=np.int64)  # a later step can never outweigh one more spike
    scores = np.einsum("ntk,t->nk", spikes.astype(np.int64), weight)
    return np.where(scores.any(axis=1), np.argmax(scores, axis=1), SILENT)
