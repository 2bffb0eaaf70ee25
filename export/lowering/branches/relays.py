"""Weight and threshold of relays: neurons that pass a spike on in the same logical step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from spikeport.errors import UserError
from spikeport.export.lowering.branches.populations import Population
from spikeport.export.network.fixed_point import WEIGHT_LIMIT

ABOVE = 1.02  # least weight of a relay over its threshold, so that rounding keeps it above


@dataclass(frozen=True)
class Relay:
    """Relay neurons of a layer.

    Attributes:
        level: their threshold, the largest of the layer, since all rows share one on the chip.
        pulse: weight of their input.
        cost: by how much they lower the scale of the layer; 1 if not.
    """

    level: float
    pulse: float
    cost: float = 1.0


def relay_of(members: list[Population], rows: list[np.ndarray], scale: float | None) -> Relay:
    """The relays of a layer. The layer's largest weight sets its scale, so that a relay with this weight costs no
    resolution; it must be above the threshold."""
    thresholds = [divisor_of(p) * np.max(p.step.threshold) for p in members if p.step is not None]
    level = float(max(thresholds))
    if not np.isfinite(level):
        return Relay(level, 0.0)
    if scale is not None:
        weight = 2 * (math.floor(scale * level / 2) + 1)
        if weight > WEIGHT_LIMIT:
            raise UserError(f"a relay needs weight {weight}", where=members[0].name,
                            cause=f"{WEIGHT_LIMIT} is the largest",
                            hint="quantize this layer with a smaller scale")  # fmt: skip
        return Relay(level, weight / scale)
    largest = 0.0
    for p, row in zip(members, rows, strict=False):
        assert p.step is not None
        gain = np.max(np.abs(p.step.gain)) * level / (divisor_of(p) * np.min(p.step.threshold))
        largest = max(largest, float(np.max(np.abs(row), initial=0.0) * gain))
    pulse = max(largest, ABOVE * level)
    return Relay(level, pulse, pulse / largest if largest else 1.0)


def divisor_of(population: Population) -> int:
    """Factor of the population's voltage, so that every path has whole weights: all divisors divide it."""
    return math.lcm(*(path.layer.divisor for path in population.paths))
