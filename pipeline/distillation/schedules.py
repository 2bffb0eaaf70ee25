"""What changes over training, as functions of progress x in [0, 1]."""

from __future__ import annotations

import math
from typing import Literal

from spikeport.errors import UserError

PhaseShape = Literal["cosine", "logistic", "step"]
Shape = Literal["constant", "cosine", "logistic", "step", "rise"]
LOGISTIC_EDGE = math.log(99)  # the logistic is at 0.99 where the switch starts and at 0.01 where it ends


def scheduled(x: float, shape: Shape, start: float, end: float) -> float:
    """A term's share of its weight: 1 throughout ("constant"), `phased_weight`, or its cosine turned round ("rise":
    0 up to `start`, 1 from `end` on)."""
    if shape == "constant":
        return 1.0
    if shape == "rise":
        return 1.0 - phased_weight(x, start, end, "cosine")
    return phased_weight(x, start, end, shape)


def phased_weight(x: float, start: float = 0.42, end: float = 0.58, shape: PhaseShape = "cosine") -> float:
    """Weight of the teacher: 1 up to `start`, 0 from `end` on, falling between.

    "cosine": (1 + cos(pi (x - start) / (end - start))) / 2. "step": falls halfway. "logistic": has no flat
    parts, so it never quite reaches 1 or 0. start = end: 1 for x < start, else 0. start >= 1: always 1.
    """
    if start >= 1:
        return 1.0
    if start == end:
        return float(x < start)
    share = (x - start) / (end - start)
    if shape == "step":
        return float(share < 0.5)
    if shape == "logistic":
        return 1 / (1 + math.exp(min(LOGISTIC_EDGE * (2 * share - 1), 700.0)))
    if shape != "cosine":
        raise UserError(f"{shape!r} is no shape", where="phase_shape", hint="use cosine, logistic or step")
    if share <= 0 or share >= 1:
        return float(share <= 0)
    return (1 + math.cos(math.pi * share)) / 2


def replacement_probability(x: float, power: float = 3.0) -> float:
    """P = min(1, x^power): the chance that a slot of the hybrid stream holds events. Its mean over training
    is 1 / (power + 1)."""
    return min(1.0, x**power)
