"""The range of nine tenths of draws of all uncertain constants: narrower than all constants low, or all high, at once.

Each constant is drawn by itself: half of the draws lie between its low end and its nominal value, half between the
nominal value and its high end, evenly in each half. The nominal value is the median. No source states a distribution,
so this one is a convention, and the range is no confidence interval. What moves together is one draw: layers with the
same constant, the energy of neuron updates with the rule for active ones, the energy of messages, the memory, and the
times that make up a step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from spikeport.hardware_profiles.profile import known
from spikeport.pipeline.profiling.energy.estimate_parts import Ends, Range90
from spikeport.pipeline.profiling.energy.terms import PJ_PER_UJ, synop_constant

if TYPE_CHECKING:
    from spikeport.hardware_profiles.constants import Constant
    from spikeport.pipeline.profiling.energy.sample_energies import SampleEnergies

DRAWS, SEED = 10_000, 0
SHARES = (0.05, 0.95)
Draw = Callable[[np.ndarray], np.ndarray]  # of (low, nominal, high): `[DRAWS]`


def piecewise(ends: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Values of a constant at drawn places.

    Args:
        ends: (low, nominal, high).
        places: -1 (low) to 0 (nominal) to 1 (high), `[DRAWS]`.
    """
    low, nominal, high = ends
    return nominal + np.where(places < 0, nominal - low, high - nominal) * places


def range90(energies: SampleEnergies) -> Range90 | None:
    """The 5 % and 95 % quantiles of each energy over draws of the constants, means over samples.

    Args:
        energies: energies of each sample.

    Returns:
        None where the dynamic energy is unknown.
    """
    if energies.dynamic_pj is None:
        return None
    rng = np.random.default_rng(SEED)

    def draw(ends: np.ndarray) -> np.ndarray:
        return piecewise(ends, rng.uniform(-1.0, 1.0, DRAWS))

    dynamic = np.sum([draw(ends) for ends in _dynamic_terms(energies).values()], axis=0)
    static_mw, time_us = energies.static_mw, energies.latency.time_us
    time = None if time_us is None else draw(time_us.mean(axis=1))
    total = live = board = None
    if static_mw is not None and time is not None:
        power = draw(static_mw)
        total = dynamic + power * time / 1e3
        if energies.period_us:
            live = dynamic + power * np.maximum(time, energies.period_us) / 1e3
    overhead = energies.profile.overhead
    if energies.board_pj is not None and energies.placement is not None and time is not None:
        steps = energies.activity.steps
        once = draw(_ends(overhead.per_step_uj)) * steps + draw(_ends(overhead.per_inference_uj))
        reset = draw(_ends(energies.profile.constant("reset_chip"))) / PJ_PER_UJ * energies.placement.chips
        host_us = np.maximum(time, draw(_ends(overhead.board_step_us)) * steps)
        host_mw = draw(_ends(overhead.host_mw))
        board = dynamic + once + reset + host_mw * host_us / 1e3
        if total is not None and overhead.included:
            total = total + once + host_mw * time / 1e3
    return Range90(
        dynamic=_quantiles(dynamic),
        total=None if total is None or energies.total_pj is None else _quantiles(total),
        live=None if live is None else _quantiles(live),
        board=None if board is None else _quantiles(board),
        draws=DRAWS,
        seed=SEED,
    )


def _dynamic_terms(energies: SampleEnergies) -> dict[str, np.ndarray]:
    """(low, nominal, high) in µJ of what each draw moves."""
    terms: dict[str, np.ndarray] = {}
    for layer, counted in zip(energies.layers, energies.activity.layers, strict=True):
        synop = synop_constant(energies.profile, counted)
        named = {
            f"synapses {synop.op if synop else ''}": layer.synapse_pj,
            "neurons": layer.neuron_pj,
            "routing": layer.routing_pj,
        }
        if layer.memory is not None:
            named |= {"addressing": layer.memory.addressing_pj, "memory": layer.memory.memory_pj}
        for name, energy in named.items():
            terms[name] = terms.get(name, np.zeros(3)) + energy.mean(axis=1) / PJ_PER_UJ
    return terms


def _ends(constant: Constant | None) -> np.ndarray:
    found = known(constant)
    return np.array(found.interval if found else (0.0, 0.0, 0.0))


def _quantiles(values: np.ndarray) -> Ends:
    low, high = np.quantile(values, SHARES).tolist()
    return Ends(low=low, high=high)
