"""Fixed costs of a board beside the operations of its cores: host, embedded processors, input, output and reset.

    board reading = dynamic energy of the cores + per step * T + per inference + host power * time + reset * chips
    time          = max(modeled time, board step * T)

It is what a meter would show above the power of the idle board. Sources are in `[overhead]` of each profile, and in its
energy `reset_chip`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spikeport.hardware_profiles.constants import Constant
from spikeport.hardware_profiles.profile import HardwareProfile, known
from spikeport.json_values import JsonValue

SMALL_NEURONS = 5000  # neurons below which a network is compared with the measured small ones
FIRING = 0.1  # of all neurons in a step: the slope of scaled-up keyword spotting is met at 0.088 to 0.093


def has_board(profile: HardwareProfile) -> bool:
    """Whether a profile has a fixed cost of its board with a known number."""
    overhead = profile.overhead
    costs = (overhead.per_step_uj, overhead.per_inference_uj, overhead.host_mw)
    return any(known(cost) for cost in costs) or profile.constant("reset_chip") is not None


def board_overhead_uj(profile: HardwareProfile, steps: int, time_us: np.ndarray, chips: int) -> np.ndarray:
    """Fixed costs of an inference on a board.

    Args:
        profile: the device.
        steps: time steps of an inference.
        time_us: `[3, N]` µs: low, nominal and high of the modeled time of each inference.
        chips: chips in use.

    Returns:
        `[3, N]` µJ.
    """
    once_uj, reset_uj, step_us, host_mw = fixed_costs(profile, steps, chips, ends)
    host_us = np.maximum(time_us, step_us[:, None] * steps)
    return (once_uj + reset_uj)[:, None] + host_mw[:, None] * host_us / 1e3


def fixed_costs(
    profile: HardwareProfile, steps: int, chips: int, values: Callable[[Constant | None], np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What an inference costs on a board whatever its network is.

    Args:
        profile: the device.
        steps: time steps of an inference.
        chips: chips in use.
        values: the values of a constant that are wanted: its ends, or draws.

    Returns:
        Energy of the steps and the inference in µJ, energy of the reset in µJ, the shortest step of the board in µs,
        and the power of the host in mW, each of the shape of `values`.
    """
    overhead = profile.overhead
    once_uj = values(overhead.per_step_uj) * steps + values(overhead.per_inference_uj)
    reset_uj = values(profile.constant("reset_chip")) / 1e6 * chips
    return once_uj, reset_uj, values(overhead.board_step_us), values(overhead.host_mw)


@dataclass(frozen=True, kw_only=True)
class SmallNetworkFactor(JsonValue):
    """How far estimates of small networks are below what was measured.

    Attributes:
        neurons: neurons of the network.
        low: smallest measured energy over its estimate.
        high: largest measured energy over its estimate.
    """

    neurons: int
    low: float
    high: float


def small_network_factor(profile: HardwareProfile, neurons: int) -> SmallNetworkFactor | None:
    """Measured over estimated dynamic energy of the published small networks of a device.

    Their spikes are not published: estimates are those where a tenth of the neurons fires in each step.

    Args:
        profile: the device.
        neurons: neurons of the network that is estimated.

    Returns:
        The factors; None for a larger network, and for a device without such measurements.
    """
    if neurons >= SMALL_NEURONS:
        return None
    factors = []
    for entry in profile.published:
        if entry.steps is None or not entry.value or entry.unit not in ("mJ", "uJ") or not entry.neuron_updates:
            continue
        synops, updates = FIRING * math.prod(entry.synops_if_all_fire), math.prod(entry.neuron_updates)
        measured_pj = entry.value * {"mJ": 1e9, "uJ": 1e6}[entry.unit]
        operations_pj = synops * profile.energy_per_operation("synop", "synop_dense").interval[1]
        updates_pj = [
            updates * profile.energy_per_operation(op).interval[1] for op in ("neuron_active", "neuron_inactive")
        ]
        factors += [measured_pj / (operations_pj + each) for each in updates_pj]
    return SmallNetworkFactor(neurons=neurons, low=min(factors), high=max(factors)) if factors else None


def ends(constant: Constant | None) -> np.ndarray:
    """(low, nominal, high) of a constant; zeros where it is not known.

    Args:
        constant: a constant of a profile; None if the profile has no such constant.
    """
    found = known(constant)
    return np.array(found.interval if found else (0.0, 0.0, 0.0))
