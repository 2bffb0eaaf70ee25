"""The terms of an energy estimate: synapse, neuron, routing, static, overhead. Arrays are `[3, N]` pJ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.hardware_profiles.constants import Constant, EnergyConstant
from spikeport.hardware_profiles.profile import HardwareProfile, known
from spikeport.pipeline.profiling.counts import Activity, LayerActivity
from spikeport.pipeline.profiling.energy.latency import Latency
from spikeport.pipeline.profiling.energy.memory import MemoryEnergy, memory_energy, state_pj
from spikeport.pipeline.profiling.energy.messages import Messages
from spikeport.pipeline.profiling.energy.placement import Placement

PJ_PER_UJ = 1e6


@dataclass(frozen=True, kw_only=True)
class LayerEnergyArrays:
    """Dynamic energy of one layer by term. Arrays are `[3, N]` pJ: low, nominal and high of every sample.

    Attributes:
        name: the layer.
        synapse_pj: synaptic operations.
        neuron_pj: neuron updates.
        routing_pj: messages.
        memory: addressing and memory, for profiles with a [memory] section; else None.
    """

    name: str
    synapse_pj: np.ndarray
    neuron_pj: np.ndarray
    routing_pj: np.ndarray
    memory: MemoryEnergy | None = None

    @property
    def dynamic_pj(self) -> np.ndarray:
        """Sum of the terms, `[3, N]`."""
        terms = self.synapse_pj + self.neuron_pj + self.routing_pj
        return terms if self.memory is None else terms + self.memory.addressing_pj + self.memory.memory_pj


def energy_pj(constant: Constant, counted: np.ndarray) -> np.ndarray:
    """Low, nominal and high energy of counted operations.

    Args:
        constant: energy of one operation, pJ.
        counted: number of operations, `[N]`, or `[3, N]` with low, nominal and high numbers.

    Returns:
        `[3, N]` pJ.
    """
    return np.array(constant.interval)[:, None] * counted


def counted_synops(profile: HardwareProfile, layer: LayerActivity) -> np.ndarray | None:
    """Synaptic operations of a layer by the accounting of the device.

    Depending on the device, zero weights are counted or not, and an event with a value counts once or as often as its
    value.

    Args:
        profile: the device.
        layer: counts of the layer.

    Returns:
        `[N]`; None where the values are needed and unknown.
    """
    skip = profile.accounting.zero_weight == "skip"
    if layer.takes_values and profile.accounting.graded_event == "by_value":
        return layer.effective_carried_synops if skip else layer.carried_synops
    return layer.effective_synops if skip else layer.synops


def synop_constant(profile: HardwareProfile, layer: LayerActivity) -> EnergyConstant | None:
    """Energy of one synaptic operation, with a multiplication where events have values.

    Messages of sigma-delta networks are integers with a sign: a device without an energy of a multiply-accumulate has
    none for them, whatever its rule for counts at the input.

    Args:
        profile: the device.
        layer: the layer, whose kind may have a constant of its own.

    Returns:
        The constant in pJ; None where it is unknown.
    """
    if layer.multiplies or (layer.takes_values and profile.accounting.graded_event == "mac"):
        return profile.constant("synop_mac")
    return profile.constant(f"synop_{layer.kind}", "synop")


def layer_energy(
    profile: HardwareProfile, layer: LayerActivity, active: np.ndarray, messages: Messages
) -> LayerEnergyArrays:
    """All terms of one layer.

    Args:
        profile: the device.
        layer: counts of the layer.
        active: active neuron updates, `[N]`.
        messages: messages of the layer.
    """
    synop, synops = synop_constant(profile, layer), counted_synops(profile, layer)
    assert synop is not None  # sample_energies has checked
    assert synops is not None
    emitted = [
        energy_pj(constant, counted)
        for op, counted in (
            ("spike_local", messages.total),
            ("message_out", messages.total),
            ("spike_out", layer.spikes),
        )
        if (constant := profile.constant(op))
    ]
    return LayerEnergyArrays(
        name=layer.name,
        synapse_pj=energy_pj(synop, synops),
        neuron_pj=_neuron_pj(profile, layer, active),
        routing_pj=np.sum([np.zeros((3, active.size)), *emitted], axis=0),
        memory=memory_energy(profile, profile.memory, layer, synops) if profile.memory else None,
    )


def _neuron_pj(profile: HardwareProfile, layer: LayerActivity, active: np.ndarray) -> np.ndarray:
    """Neuron energy `[3, N]` pJ: nominal by the active rule, low with all updates inactive, high with all active.

    With a [memory] section: the computations of the updates, which do not depend on the rule.
    """
    if profile.memory is not None:
        return state_pj(profile, layer)
    if profile.accounting.neuron_update == "on_event":
        return energy_pj(profile.energy_per_operation("neuron_event"), layer.events)
    on, off = (
        profile.energy_per_operation("neuron_active").interval,
        profile.energy_per_operation("neuron_inactive").interval,
    )
    return np.stack(
        [
            np.full(active.size, layer.updates * min(on[0], off[0])),
            active * on[1] + (layer.updates - active) * off[1],
            np.full(active.size, layer.updates * max(on[2], off[2])),
        ]
    )


def neuron_bracket_pj(profile: HardwareProfile, activity: Activity) -> tuple[float, float] | None:
    """Bounds of the neuron energy of a sample at nominal constants.

    Args:
        profile: the device.
        activity: the counts.

    Returns:
        Energy in pJ with all updates inactive, and with all active. None where neurons are updated by events, and for
        profiles with a [memory] section.
    """
    if profile.accounting.neuron_update == "on_event" or profile.memory is not None:
        return None
    updates = sum(layer.updates for layer in activity.layers)
    inactive, active = (profile.energy_per_operation(op).interval[1] for op in ("neuron_inactive", "neuron_active"))
    return updates * inactive, updates * active


def static_mw(profile: HardwareProfile, placement: Placement | None) -> np.ndarray | None:
    """Static power of the chips in use.

    Args:
        profile: the device.
        placement: cores of the layers; None where they are unknown.

    Returns:
        `[3]` mW: low, nominal and high; None where a factor is unknown.
    """
    static = profile.static
    per_chip, per_core, per_mhz = (known(x) for x in (static.per_chip_mw, static.per_core_mw, static.per_mhz_mw))
    clock_hz = profile.device.operating_point.clock_hz
    if per_chip is None and per_core is None:
        return None
    if (placement is None and (static.scale != "chip" or per_core)) or (per_mhz and clock_hz is None):
        return None
    cores = sum(placement.cores) if placement else 0
    chips = {
        "chip": 1.0,
        "used_chips": float(placement.chips if placement else 0),
        "used_cores": cores / placement.cores_per_chip if placement else 0.0,
    }[static.scale]
    power_mw = np.zeros(3)
    for constant, times in ((per_chip, chips), (per_core, cores), (per_mhz, (clock_hz or 0.0) / 1e6)):
        if constant is not None:
            power_mw += np.array(constant.interval) * times
    return power_mw


def overhead_pj(profile: HardwareProfile, activity: Activity, time: Latency) -> np.ndarray | None:
    """Fixed overhead of an inference.

    Args:
        profile: the device.
        activity: the counts.
        time: time of each inference.

    Returns:
        `[3, N]` pJ; 0 where the profile does not include overhead, None where it depends on an unknown time.
    """
    overhead, fixed = profile.overhead, np.zeros((3, activity.samples))
    if not overhead.included:
        return fixed
    for constant, times in ((known(overhead.per_step_uj), activity.steps), (known(overhead.per_inference_uj), 1)):
        if constant is not None:
            fixed += np.array(constant.interval)[:, None] * times * PJ_PER_UJ
    host = known(overhead.host_mw)
    if host is None:
        return fixed
    return None if time.time_us is None else fixed + np.array(host.interval)[:, None] * time.time_us * 1e3
