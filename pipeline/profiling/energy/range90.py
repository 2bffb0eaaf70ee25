"""The range of nine tenths of draws of all uncertain constants: narrower than all constants low, or all high, at once.

Each constant is drawn by itself: half of the draws lie between its low end and its nominal value, half between the
nominal value and its high end, evenly in each half. The nominal value is the median. No source states a distribution,
so this one is a convention, and the range is no confidence interval. What moves together is one draw: layers with the
same constant, the energy of neuron updates with the rule for active ones, the energy of messages, the memory, and the
times that make up a step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spikeport.hardware_profiles.board import ends, fixed_costs
from spikeport.pipeline.profiling.energy.estimate_parts import Ends, Range90
from spikeport.pipeline.profiling.energy.terms import PJ_PER_UJ, synop_constant

if TYPE_CHECKING:
    from spikeport.pipeline.profiling.energy.sample_energies import SampleEnergies

DRAWS, SEED = 10_000, 0
SHARES = (0.05, 0.95)
PLACES = (-1.0, 0.0, 1.0)  # of the low end, the nominal value and the high end


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

    def draw(interval: np.ndarray) -> np.ndarray:
        return np.interp(rng.uniform(-1.0, 1.0, DRAWS), PLACES, interval)

    dynamic = np.sum([draw(interval) for interval in _dynamic_terms(energies).values()], axis=0)
    static_mw, time_us = energies.static_mw, energies.latency.time_us
    time = None if time_us is None else draw(time_us.mean(axis=1))
    total = live = board = None
    if static_mw is not None and time is not None:
        power = draw(static_mw)
        total = dynamic + power * time / 1e3
        if energies.period_us:
            live = dynamic + power * np.maximum(time, energies.period_us) / 1e3
    if energies.board_pj is not None and energies.placement is not None and time is not None:
        once, reset, step_us, host_mw = fixed_costs(
            energies.profile, energies.activity.steps, energies.placement.chips, lambda constant: draw(ends(constant))
        )
        host_us = np.maximum(time, step_us * energies.activity.steps)
        board = dynamic + once + reset + host_mw * host_us / 1e3
        if total is not None and energies.profile.overhead.included:
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


def _quantiles(values: np.ndarray) -> Ends:
    low, high = np.quantile(values, SHARES).tolist()
    return Ends(low=low, high=high)
