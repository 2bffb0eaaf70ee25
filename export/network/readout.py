"""How output becomes a class: one rule for training, the reference and Lava.

On chip a network gives spikes. Beside their counts a class can come from the membrane of an output layer that never
fires, or from a linear layer that the host computes from the counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from spikeport.errors import UserError

SILENT = -1  # the class of a sample whose outputs never fired: no answer
UNLABELLED = -1  # the label of a sample whose class nobody knows: left out of every accuracy


@dataclass(frozen=True, kw_only=True)
class Readout:
    """`kind`: "spikes", "membrane" (voltages of the last layer, `over_time` "sum", "max" or "last") or "linear"
    (the host's float64 `weight` `[K, outputs]` times spike counts, plus steps times `bias` `[K]`).
    """

    kind: Literal["spikes", "membrane", "linear"] = "spikes"
    over_time: Literal["sum", "max", "last"] = "sum"
    weight: np.ndarray | None = None
    bias: np.ndarray | None = None

    def check(self, outputs: int) -> None:
        """Raises UserError where this cannot read `outputs` neurons."""
        if self.kind not in ("spikes", "membrane", "linear") or self.over_time not in ("sum", "max", "last"):
            raise UserError(f"read-out {self.kind!r} over {self.over_time!r} is unknown",
                            hint="use spikes, membrane (sum, max or last) or linear")  # fmt: skip
        if (self.weight is not None) != (self.kind == "linear"):
            raise UserError(f"a {self.kind} read-out with{'' if self.weight is not None else 'out'} weights")
        if self.weight is None:
            return
        shapes = self.weight.shape, None if self.bias is None else self.bias.shape
        if self.weight.ndim != 2 or shapes[0][1] != outputs or shapes[1] not in (None, shapes[0][:1]):
            raise UserError(f"the host's read-out has weight and bias {shapes}, the network {outputs} outputs")
        if not np.all(np.isfinite(self.weight)) or (self.bias is not None and not np.all(np.isfinite(self.bias))):
            raise UserError("the host's read-out holds NaN or infinity")

    def outputs(self, neurons: int) -> int:
        """How many classes this can tell apart from so many output neurons."""
        return neurons if self.weight is None else len(self.weight)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Readout) and all(
            np.array_equal(getattr(self, key), getattr(other, key)) if key in ("weight", "bias")
            else getattr(self, key) == getattr(other, key) for key in vars(self)
        )  # fmt: skip

    def classes(self, spikes: np.ndarray, membrane: np.ndarray | None = None) -> np.ndarray:
        """Class of each sample, int64 `[N]`, from spikes `[N, T, outputs]` or membranes of that shape.

        SILENT where a sample has no output spike, whose class the host's bias or the order of classes would make up; a
        membrane always answers. Raises ValueError where a membrane read-out is given none.
        """
        if self.kind == "spikes":
            return classify(spikes)
        if self.kind == "linear":
            assert self.weight is not None
            counts = spikes.sum(axis=1, dtype=np.int64)
            scores = counts @ self.weight.T
            found = np.argmax(scores if self.bias is None else scores + spikes.shape[1] * self.bias, axis=1)
            return np.where(counts.any(axis=1), found, SILENT)
        if membrane is None:
            raise ValueError("a membrane read-out needs membranes")
        over = {
            "sum": lambda v: v.sum(axis=1, dtype=np.int64),
            "max": lambda v: v.max(axis=1),
            "last": lambda v: v[:, -1],
        }
        return np.argmax(over[self.over_time](membrane), axis=1)


def classify(spikes: np.ndarray) -> np.ndarray:
    """Class of each sample: most spikes; among equals the earlier ones (smaller sum of steps); then the lower index;
    SILENT where there is no spike.

    `spikes`: `[N, T, K]` of 0 and 1. Returns int64 `[N]`.

    >>> classify(np.array([[[0, 0, 1], [0, 1, 0]], [[0, 0, 0], [0, 0, 0]]]))
    array([ 2, -1])
    """
    samples, steps, _ = spikes.shape
    if samples == 0:
        return np.zeros(0, dtype=np.int64)
    weight = steps * steps - np.arange(steps, dtype=np.int64)  # a later step can never outweigh one more spike
    scores = np.einsum("ntk,t->nk", spikes.astype(np.int64), weight)
    return np.where(scores.any(axis=1), np.argmax(scores, axis=1), SILENT)
