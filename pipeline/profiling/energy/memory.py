"""Energy of operations, addressing and memory accesses of a layer, for profiles with a [memory] section.

Source: Lemaire et al., ICONIP 2022 (E = E_ops + E_addr + E_mem). Arrays are `[3, N]` pJ: low, nominal, high.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.hardware_profiles.constants import Constant
from spikeport.hardware_profiles.profile import HardwareProfile
from spikeport.hardware_profiles.schema import Memory
from spikeport.pipeline.profiling.counts import LayerActivity


@dataclass(frozen=True, kw_only=True)
class MemoryEnergy:
    """Energy of addressing and memory of one layer.

    Attributes:
        addressing_pj: address computations, `[3, N]` pJ.
        by_buffer_pj: accesses by buffer, `[3, N]` pJ each.
        buffer_bytes: nominal size of each buffer, bytes.
    """

    addressing_pj: np.ndarray
    by_buffer_pj: dict[str, np.ndarray]
    buffer_bytes: dict[str, float]

    @property
    def memory_pj(self) -> np.ndarray:
        """Sum over the buffers, `[3, N]`."""
        return np.sum(list(self.by_buffer_pj.values()), axis=0)


def state_pj(profile: HardwareProfile, layer: LayerActivity) -> np.ndarray:
    """Energy of neuron updates without synapses; threshold comparisons are not included.

    N T (state_muls (e_mul + e_add) + state_adds e_add) for N neurons and T time steps. A leak is a multiplication and
    an addition. Adding the synaptic current to the membrane is one addition, and so is a bias. Neurons of an input
    layer also multiply each input value. IF neurons without bias need no pass over the N T states, here and in memory.

    Args:
        profile: the device.
        layer: counts of the layer.

    Returns:
        `[3, N]` pJ.
    """
    add, mac = _add_pj(profile), _mac_pj(profile)
    per_sample = layer.updates * (layer.state_muls * mac + layer.state_adds * add)
    weighed = layer.events if layer.kind == "input" else np.zeros_like(layer.events)
    return per_sample[:, None] + np.outer(mac, weighed)


def memory_energy(profile: HardwareProfile, memory: Memory, layer: LayerActivity, synops: np.ndarray) -> MemoryEnergy:
    """Energy of addressing and memory accesses of a layer.

    Addressing, dense: an addition per event and output. Addressing, convolution: an addition per event and weight
    (Cout / groups * kernel, at the edges too) and two multiply-accumulates per event.

    Memory: each event is read once from the input queue, and each spike is written once to the output queue. Each
    operation reads its weight, and reads and writes one state. A pass over all neurons reads and writes every state and
    reads every bias. A queue has space for one event of every source, with the own spikes of a recurrent layer.
    Weights and states have a buffer of exactly their size. Delay lines are not counted.

    Args:
        profile: the device.
        memory: its [memory] section.
        layer: counts of the layer.
        synops: synaptic operations of the layer, `[N]`.
    """
    add, mac = _add_pj(profile), _mac_pj(profile)
    addressing = np.outer(add * layer.addressed_synapses, layer.events)
    if layer.kind == "conv":
        addressing += np.outer(2 * mac, layer.events)
    passes = layer.updates if layer.state_muls or layer.state_adds else 0
    into_state = layer.events if layer.kind == "input" else synops
    moved = {
        "input": (layer.inputs, memory.event_bytes, layer.events),
        "output": (layer.neurons, memory.event_bytes, layer.spikes),
        "weights": (layer.weights + layer.biases, memory.weight_bytes, synops + layer.updates * bool(layer.biases)),
        "states": (
            layer.neurons * layer.state_words,
            memory.state_bytes,
            2 * (into_state + passes * layer.state_words),
        ),
    }
    return MemoryEnergy(
        addressing_pj=addressing,
        by_buffer_pj={
            name: np.outer(_word_pj(memory, held, width), words) for name, (held, width, words) in moved.items()
        },
        buffer_bytes={name: held * width.interval[1] for name, (held, width, _) in moved.items()},
    )


def _word_pj(memory: Memory, held: int, width: Constant) -> np.ndarray:
    """Energy of reading or writing one word in a buffer of `held` words, `[3]` pJ."""
    low, nominal, high = width.interval
    return np.array(width.interval) * np.array(memory.byte_pj((held * low, held * nominal, held * high)))


def _add_pj(profile: HardwareProfile) -> np.ndarray:
    return np.array(profile.energy_per_operation("add").interval)


def _mac_pj(profile: HardwareProfile) -> np.ndarray:
    return np.array(profile.energy_per_operation("mul").interval) + _add_pj(profile)
