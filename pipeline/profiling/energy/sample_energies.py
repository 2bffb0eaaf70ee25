"""Energy of an inference on a device: counted operations times sourced constants, as an interval.

Unknown terms are None and are listed in `unknown_terms`. None of them is counted as 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.errors import UserError
from spikeport.hardware_profiles.constants import Sourced
from spikeport.hardware_profiles.profile import HardwareProfile
from spikeport.hardware_profiles.schema import ActiveRule, fields_of
from spikeport.pipeline.profiling.counts import Activity
from spikeport.pipeline.profiling.energy.active_rule import active_updates, rule_of
from spikeport.pipeline.profiling.energy.latency import BY_WORK, Latency, latency
from spikeport.pipeline.profiling.energy.messages import Messages, count_messages
from spikeport.pipeline.profiling.energy.one_answer import one_answer
from spikeport.pipeline.profiling.energy.placement import Placement
from spikeport.pipeline.profiling.energy.readings import Live, board_pj, live
from spikeport.pipeline.profiling.energy.terms import (
    LayerEnergyArrays,
    counted_synops,
    energy_pj,
    layer_energy,
    neuron_bracket_pj,
    overhead_pj,
    static_mw,
    synop_constant,
)

DYNAMIC_TERMS = ("synop", "synop_mac", "neuron_active", "neuron_inactive", "neuron_event")


@dataclass(frozen=True, kw_only=True)
class SampleEnergies:
    """Energy of each sample on one device. Arrays are `[3, N]` pJ (low, nominal, high), None where a term is unknown.

    Low uses low constants with every update inactive, high uses high constants with every update active.

    Attributes:
        profile: the device.
        activity: the counts.
        active_rule: the rule for active neuron updates.
        layers: terms of each layer.
        dynamic_pj: sum of the terms.
        static_pj: static power times latency.
        total_pj: dynamic and static energy, with fixed overhead where the profile includes it.
        ann_pj: operations of one dense pass of an ANN of the same shape: low, nominal, high.
        neuron_bracket_pj: mean nominal neuron energy with all updates inactive, and with all active.
        placement: cores of the network; None where they are unknown.
        messages: messages of each layer.
        latency: time of each sample in a stream, T steps.
        answer: time of each sample by itself, from its first input to its answer.
        isolated_pj: dynamic energy of each sample by itself.
        static_mw: `[3]` static power of the chips in use, mW.
        period_us: duration of a recording, T dt, µs; None where dt is unknown.
        live: energy at the pace of the sensor.
        board_pj: expected board reading.
        unknown_terms: terms without a published value.
        used: the constants that were multiplied, by name.
    """

    profile: HardwareProfile
    activity: Activity
    active_rule: ActiveRule
    layers: tuple[LayerEnergyArrays, ...]
    dynamic_pj: np.ndarray | None
    static_pj: np.ndarray | None
    total_pj: np.ndarray | None
    ann_pj: tuple[float, ...] | None
    neuron_bracket_pj: tuple[float, float] | None
    placement: Placement | None
    messages: tuple[Messages, ...]
    latency: Latency
    answer: Latency
    isolated_pj: np.ndarray | None
    static_mw: np.ndarray | None
    period_us: float | None
    live: Live | None
    board_pj: np.ndarray | None
    unknown_terms: tuple[str, ...]
    used: tuple[tuple[str, Sourced], ...]

    @property
    def rule_counts(self) -> bool:
        """Whether a number depends on the rule for active neuron updates."""
        by_work = self.profile.latency.model in BY_WORK and self.latency.time_us is not None
        return self.neuron_bracket_pj is not None or by_work


def sample_energies(
    profile: HardwareProfile,
    activity: Activity,
    *,
    placement: Placement | None = None,
    active_rule: str | None = None,
    dt_s: float | None = None,
) -> SampleEnergies:
    """Energy of each sample of `activity` on the device of `profile`.

    E_dyn = sum S e_synop + A e_active + I e_inactive + M e_message; E_static = P t; E_total = E_dyn + E_static
    (+ overhead where the profile includes it). A profile with a [memory] section counts the computations of neurons,
    addressing and memory accesses instead (see `memory`). Hops need a mapping onto tiles and are not counted, so
    routing is a lower bound.

    Args:
        profile: the device.
        activity: counts of the network.
        placement: cores of the layers. Without it, time and static power that depend on it are unknown.
        active_rule: the rule for active neuron updates; None or "" for the profile's own.
        dt_s: duration of a time step of the recordings in s; None where it is unknown.

    Raises:
        UserError: the profile is that of a GPU, or the rule is unknown.
    """
    if profile.device.kind in ("gpu", "cpu"):
        raise UserError(
            f"{profile.device.id} is a {profile.device.kind}: its profile has energies of MACs, not of spikes",
            where="profile.hardware",
            hint="name it as the baseline instead",
        )
    rule = rule_of(profile.accounting.active_rule, active_rule, activity)
    active = [active_updates(layer, rule) for layer in activity.layers]
    messages = count_messages(activity, placement)
    time = latency(profile, activity, active, placement, messages)
    unknown_terms = list(profile.unknown_terms)
    known = [
        synop_constant(profile, layer) is not None and counted_synops(profile, layer) is not None
        for layer in activity.layers
    ]
    needed = "synop_mac" if any(layer.multiplies for layer in activity.layers) else "synop"
    if not all(known):
        unknown_terms = [needed, *(term for term in unknown_terms if term != "synop")]
    if time.time_us is None and "latency" not in unknown_terms and profile.accounting.scope == "incremental":
        unknown_terms.append("latency")

    layers: tuple[LayerEnergyArrays, ...] = ()
    dynamic = static = total = bracket = isolated = None
    alone = one_answer(activity)
    active_alone = [active_updates(layer, rule) for layer in alone.layers]
    power_mw = static_mw(profile, placement)
    period_us = dt_s * activity.steps * 1e6 if dt_s else None
    if profile.accounting.scope == "all_in":
        synop = profile.constant("synop")
        if synop is not None and needed not in unknown_terms:
            total = energy_pj(synop, all_synops(profile, activity))
    elif not set(unknown_terms) & set(DYNAMIC_TERMS):
        layers = _layers(profile, activity, active, messages)
        dynamic = np.sum([layer.dynamic_pj for layer in layers], axis=0)
        if profile.device.kind == "neuromorphic":
            isolated = np.sum([layer.dynamic_pj for layer in _layers(profile, alone, active_alone, messages)], axis=0)
        if power_mw is not None and time.time_us is not None:
            static = power_mw[:, None] * time.time_us * 1e3  # 1 mW for 1 µs is 1000 pJ
        if static is None and time.time_us is not None and "static" not in unknown_terms:
            unknown_terms.append("static")  # power is known per chip or core, but their number is not
        bracket = neuron_bracket_pj(profile, activity)
        overhead = overhead_pj(profile, activity, time)
        if static is not None and overhead is not None:
            total = dynamic + static + overhead
    mac = profile.constant("synop_mac")
    return SampleEnergies(
        profile=profile,
        activity=activity,
        active_rule=rule,
        layers=layers,
        dynamic_pj=dynamic,
        static_pj=static,
        total_pj=total,
        ann_pj=tuple(energy * activity.ann_macs for energy in mac.interval) if mac else None,
        neuron_bracket_pj=bracket,
        placement=placement,
        messages=messages,
        latency=time,
        answer=latency(profile, alone, active_alone, placement, messages),
        isolated_pj=isolated,
        static_mw=power_mw,
        period_us=period_us,
        live=live(dynamic, power_mw, time, period_us),
        board_pj=board_pj(profile, activity, dynamic, time, placement),
        unknown_terms=tuple(unknown_terms),
        used=_used(profile, activity, has_static=static is not None, has_ann=mac is not None),
    )


def _layers(
    profile: HardwareProfile, activity: Activity, active: list[np.ndarray], messages: tuple[Messages, ...]
) -> tuple[LayerEnergyArrays, ...]:
    return tuple(layer_energy(profile, *entry) for entry in zip(activity.layers, active, messages, strict=True))


def _used(
    profile: HardwareProfile, activity: Activity, *, has_static: bool, has_ann: bool
) -> tuple[tuple[str, Sourced], ...]:
    """The constants that were multiplied, by name."""
    memory = profile.memory
    ops = [f"synop_{layer.kind}" for layer in activity.layers if profile.constant(f"synop_{layer.kind}")]
    ops = list(dict.fromkeys(ops)) or ["synop"]
    if any(layer.multiplies for layer in activity.layers):
        ops = ["synop_mac"]
    if profile.accounting.scope == "incremental":
        on_event = profile.accounting.neuron_update == "on_event"
        neuron = ["neuron_event"] if on_event else ["neuron_active", "neuron_inactive"]
        ops += ["add", "mul"] if memory else neuron
        ops += ["spike_local", "message_out", "spike_out"]
    ops += ["synop_mac"] if has_ann and "synop_mac" not in ops else []
    named: list[tuple[str, Sourced]] = [(op, constant) for op in ops if (constant := profile.constant(op))]
    if memory is not None and profile.constant("synop"):
        named += [(f"memory {key}", entry) for key, entry in fields_of(memory)]
    if has_static:
        static = profile.static
        for key, power in (
            ("static per chip", static.per_chip_mw),
            ("static per core", static.per_core_mw),
            ("static per MHz", static.per_mhz_mw),
        ):
            if power is not None and power.value is not None:
                named.append((key, power))
    return tuple(named)


def all_synops(profile: HardwareProfile, activity: Activity) -> np.ndarray:
    """Sums the synaptic operations of all layers by the accounting of a device.

    Args:
        profile: the device.
        activity: the counts.

    Returns:
        `[N]`, one sum per sample; layers with unknown counts are left out.
    """
    found = [counted_synops(profile, layer) for layer in activity.layers]
    return np.sum([each for each in found if each is not None], axis=0)
