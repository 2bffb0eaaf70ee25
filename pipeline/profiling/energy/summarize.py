"""Energy estimate of a report: means of sample energies, with a description in words."""

from __future__ import annotations

import numpy as np

from spikeport.hardware_profiles.board import small_network_factor
from spikeport.pipeline.profiling.energy import describe
from spikeport.pipeline.profiling.energy.active_rule import neuron_by_rule_pj
from spikeport.pipeline.profiling.energy.estimate import EnergyEstimate
from spikeport.pipeline.profiling.energy.estimate_parts import (
    BreakEven,
    ConstantEffect,
    LayerEnergy,
    NeuronBracket,
    ProfileFile,
)
from spikeport.pipeline.profiling.energy.one_answer import steps_to_answer
from spikeport.pipeline.profiling.energy.range90 import range90
from spikeport.pipeline.profiling.energy.readings import NO_STEP, busiest_core
from spikeport.pipeline.profiling.energy.sample_energies import SampleEnergies, all_synops
from spikeport.pipeline.profiling.energy.terms import PJ_PER_UJ, LayerEnergyArrays
from spikeport.pipeline.profiling.percentiles import over_samples
from spikeport.values import Interval


def summarize(energies: SampleEnergies, sensitivity: tuple[ConstantEffect, ...] = ()) -> EnergyEstimate:
    """Means over samples in µJ per inference, with assumptions and sources in words.

    Args:
        energies: energies of each sample.
        sensitivity: effects of the uncertain constants.
    """
    device, profile, ann = energies.profile.device, energies.profile, energies.ann_pj
    headline = energies.total_pj if energies.dynamic_pj is None else energies.dynamic_pj
    bracket = by_rule = operations = break_even = small = None
    if energies.dynamic_pj is not None:
        small = small_network_factor(profile, energies.activity.neurons)
    if energies.neuron_bracket_pj is not None:
        inactive, active = (energy / PJ_PER_UJ for energy in energies.neuron_bracket_pj)
        bracket = NeuronBracket(all_inactive=inactive, all_active=active)
        found = neuron_by_rule_pj(energies.activity, energies.neuron_bracket_pj)
        by_rule = {str(rule): energy / PJ_PER_UJ for rule, energy in found.items()}
    if ann is not None and profile.memory is None:
        break_even = _break_even(energies)
    elif ann is not None and energies.layers:  # memory of the ANN is unknown: operations compare with operations
        operations = _micro(np.sum([e.synapse_pj + e.neuron_pj for e in energies.layers], axis=0))
    return EnergyEstimate(
        hardware=device.id,
        name=device.name,
        kind=device.kind,
        dynamic_uj=mean_uj(energies.dynamic_pj),
        static_uj=mean_uj(energies.static_pj),
        total_uj=mean_uj(energies.total_pj),
        latency_us=_mean(energies.answer.time_us),
        edp_uj_us=_mean(_energy_delay(energies)),
        per_sample_uj=None if headline is None else over_samples(headline[1] / PJ_PER_UJ),
        active_rule=energies.active_rule if energies.rule_counts else None,
        neuron_bracket_uj=bracket,
        layers=tuple(map(_layer, energies.layers)),
        unknown_terms=energies.unknown_terms,
        basis=describe.basis(energies),
        scope=describe.scope(energies),
        assumptions=tuple(describe.assumptions(energies)),
        not_included=tuple(describe.not_included(energies)),
        sources=tuple(describe.sources(energies)),
        placement=None if energies.placement is None else energies.placement.summarize(),
        backend=energies.activity.backend,
        profile=ProfileFile(file=profile.file, sha256=profile.sha256),
        neuron_by_rule_uj=by_rule,
        ann_uj=None if ann is None else _interval(*(energy / PJ_PER_UJ for energy in ann)),
        break_even=break_even,
        operations_uj=operations,
        sensitivity=sensitivity,
        board_uj=mean_uj(energies.board_pj),
        live_uj=None if energies.live is None else mean_uj(energies.live.energy_pj),
        live_unknown=NO_STEP if energies.static_pj is not None and energies.period_us is None else None,
        duty=None if energies.live is None else _mean(energies.live.duty),
        interval_us=_mean(energies.latency.time_us),
        steps_to_answer=None if energies.answer.time_us is None else steps_to_answer(energies.activity),
        steps_between=None if energies.latency.time_us is None else energies.activity.steps,
        isolated_uj=mean_uj(energies.isolated_pj),
        range90_uj=range90(energies),
        busiest_core=busiest_core(profile, energies.activity, energies.placement),
        small_networks=small,
        unknown_overhead=tuple(describe.unknown_overhead(energies)),
    )


def mean_uj(energy_pj: np.ndarray | None) -> Interval | None:
    """Mean energy over samples, µJ.

    Args:
        energy_pj: low, nominal and high energies `[3, N]`, pJ; None if unknown.
    """
    return None if energy_pj is None else _micro(energy_pj)


def _layer(layer: LayerEnergyArrays) -> LayerEnergy:
    memory = layer.memory
    return LayerEnergy(
        name=layer.name,
        synapse_uj=_micro(layer.synapse_pj),
        neuron_uj=_micro(layer.neuron_pj),
        routing_uj=_micro(layer.routing_pj),
        addressing_uj=None if memory is None else _micro(memory.addressing_pj),
        memory_uj=None if memory is None else _micro(memory.memory_pj),
        memory_by_buffer_uj=None
        if memory is None
        else {name: _micro(energy) for name, energy in memory.by_buffer_pj.items()},
        buffer_bytes=None if memory is None else memory.buffer_bytes,
    )


def _energy_delay(energies: SampleEnergies) -> np.ndarray | None:
    """Energy-delay product, total energy times the time to the answer, `[3, N]` µJ µs."""
    time_us = energies.answer.time_us
    return None if energies.total_pj is None or time_us is None else energies.total_pj / PJ_PER_UJ * time_us


def _break_even(energies: SampleEnergies) -> BreakEven | None:
    synop, mac = energies.profile.constant("synop"), energies.profile.constant("synop_mac")
    if synop is None or mac is None or not synop.value or mac.value is None:
        return None
    activity = energies.activity
    return BreakEven(
        events_per_synapse=mac.value / synop.value,
        here=float(all_synops(energies.profile, activity).mean()) / activity.ann_macs,
        firing=1 - activity.activation_sparsity,
        ann_bits=activity.steps.bit_length(),
    )


def _micro(energy_pj: np.ndarray) -> Interval:
    return _interval(*(energy_pj / PJ_PER_UJ).mean(axis=1).tolist())


def _mean(values: np.ndarray | None) -> Interval | None:
    return None if values is None else _interval(*values.mean(axis=1).tolist())


def _interval(low: float, nominal: float, high: float) -> Interval:
    """An interval from its ends. Equal ends may differ in the last bit, since sums may have different orders."""
    return Interval(low=min(low, nominal), nominal=nominal, high=max(high, nominal))
