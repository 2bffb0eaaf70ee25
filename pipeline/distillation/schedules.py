"""Schedules: functions of x, the share of the training that is over, in [0, 1]."""

from __future__ import annotations

import math
from typing import Literal

from spikeport.errors import UserError

PhaseShape = Literal["cosine", "logistic", "step"]
Shape = Literal["constant", "cosine", "logistic", "step", "rise"]
LOGISTIC_EDGE = math.log(99)  # the logistic is at 0.99 where the switch starts and at 0.01 where it ends


def scheduled(x: float, shape: Shape, start: float, end: float) -> float:
    """The factor of a loss's weight.

    Args:
        x: share of the training that is over.
        shape: "constant" is 1; "rise" is one minus the cosine of `phased_weight`, 0 up to `start` and 1 from `end` on;
            other shapes as there.
        start: where the change begins.
        end: where it ends.
    """
    if shape == "constant":
        return 1.0
    if shape == "rise":
        return 1.0 - phased_weight(x, start, end, "cosine")
    return phased_weight(x, start, end, shape)


def phased_weight(x: float, start: float = 0.42, end: float = 0.58, shape: PhaseShape = "cosine") -> float:
    """Falling weight of a teacher: 1 up to `start`, 0 from `end` on (three phases of CKD, arXiv 2507.09269).

    start = end gives 1 for x < start, else 0. start >= 1 gives 1.

    Args:
        x: share of the training that is over.
        start: where it begins to fall.
        end: where it reaches 0.
        shape: between the two, "cosine" is (1 + cos(pi (x - start) / (end - start))) / 2 and "step" falls halfway.
            "logistic" is 0.99 at `start` and 0.01 at `end` and has no flat parts.

    Raises:
        UserError: the shape is unknown.
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
        raise UserError(f"{shape!r} is not a shape", where="phase_shape", hint="use cosine, logistic or step")
    if share <= 0 or share >= 1:
        return float(share <= 0)
    return (1 + math.cos(math.pi * share)) / 2


def replacement_probability(x: float, power: float = 3.0) -> float:
    """P = min(1, x^power): probability that a sample of the hybrid stream is events (He et al., arXiv 2303.13077).

    Its mean over the training is 1 / (power + 1).

    Args:
        x: share of the training that is over, 0 to 1.
        power: exponent.
    """
    return min(1.0, x**power)


def switch_probability(share: float, steps: int) -> float:
    """The probability p of a switch at each step that makes `share` the expected share of frames after it.

    The first of independent draws u_t < p is the switch: at step t with probability p (1 - p)^(t - 1), nowhere with
    (1 - p)^T. Frames from the switch on are then (1/T) sum_t 1 - (1 - p)^t of all, which `share` is solved for.

    Args:
        share: expected share, 0 to 1.
        steps: T.
    """
    from scipy.optimize import root_scalar  # it takes a while to import

    def excess(p: float) -> float:
        return sum(1 - (1 - p) ** t for t in range(1, steps + 1)) / steps - share

    return float(root_scalar(excess, bracket=(0.0, 1.0)).root)
