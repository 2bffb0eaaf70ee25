"""Weight and threshold of relays: neurons that pass a spike on in the same logical step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from spikeport.errors import NeedsAdaptError, UserError
from spikeport.export.lowering.branches.populations import Population
from spikeport.export.network.fixed_point import BIAS_LIMIT, WEIGHT_LIMIT

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


def relay_of(members: list[Population], weights: list[list[np.ndarray]], scale: float | None) -> Relay:
    """The relays of a layer. Its largest weight or bias sets its scale, so that a relay whose weight then is the
    largest of the chip costs no resolution; it must be above the threshold.

    Args:
        members: populations that the layer computes.
        weights: of each, the weights of its inputs, and of its recurrent connection if there is one.
        scale: integer units per float unit if the weights are on a grid already, else None.

    Raises:
        UserError: on the given scale a relay would need a weight that the chip does not have.
    """
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
    free = 0.0  # weight of a relay that costs nothing
    for p, own in zip(members, weights, strict=True):
        assert p.step is not None
        to_level = level / (divisor_of(p) * np.min(p.step.threshold))
        gain = np.max(np.abs(p.step.gain))
        bias = gain * _largest_bias(p) + divisor_of(p) * np.max(np.abs(p.step.drive))
        largest = gain * max(float(np.max(np.abs(array), initial=0.0)) for array in own)
        free = max(free, to_level * largest, to_level * bias * WEIGHT_LIMIT / BIAS_LIMIT)
    pulse = max(free, ABOVE * level)
    return Relay(level, pulse, pulse / free if free else 1.0)


def slow_current_fault(population: Population, relays: list[str]) -> UserError:
    """The refusal of relays in the layer of a population whose current lasts longer than a time step.

    Args:
        population: the population.
        relays: names of the populations that would be passed on.
    """
    cause = "a relay beside neurons whose current lasts would fire more than once"
    if population.part is not None:
        return NeedsAdaptError(
            "its neurons have different decays, and their currents last", where=population.part.of,
            cause=f"they would be in several layers with relays between them, and {cause}",
            hint="train one pair of time constants for this layer; --allow-vector for simulators only",
        )  # fmt: skip
    return UserError(
        f"a branch passes {population.name}: {', '.join(relays)} would need relays in its layer", where=population.name,
        cause=cause,
        hint="use neurons without synaptic current (LIF or IF) there, or let the branch end before them",
    )  # fmt: skip


def _largest_bias(population: Population) -> float:
    """Bound of a population's biases, in units of its voltage times its divisor."""
    sums = [
        np.max(np.abs(path.layer.gain)) * np.max(np.abs(path.layer.bias)) * divisor_of(population) / path.layer.divisor
        for path in population.paths
    ]
    return float(sum(sums))


def divisor_of(population: Population) -> int:
    """Factor of the population's voltage, so that every path has whole weights: all divisors divide it.

    Args:
        population: the population.
    """
    return math.lcm(*(path.layer.divisor for path in population.paths))
