"""Decides how samples follow each other in Lava: in one network where that is exact, else one network for each sample.

netx resets neurons at intervals, but never synapses. The content of a synapse at the reset of its neurons belongs to
the previous sample or, before the first frame has arrived, to no sample.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from spikeport.export.network.fixed_point import DECAY_ONE, STATE_LIMIT, STATE_SHIFT
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork

BUFFER = "a_buff"  # Lava's name of what a synapse sends in the next step
STATES = {"delta": ("act", "residue"), "sigma-delta": ("sigma", "act", "residue"), "sigma": ("sigma",)}  # Lava's names


@dataclass(frozen=True, kw_only=True)
class SampleSchedule:
    """How samples follow each other.

    Attributes:
        shared: whether many samples run in one network.
        interval: time steps between resets of the neurons.
        period: time steps between the first frames of two samples.
        emptied: `(time step, layer, part, variable)`; this variable of a synapse or of the neurons is set to 0 after
            that step, counted from the first frame of each sample, before the frame reaches it.
        cause: the reason, for people.
    """

    shared: bool
    interval: int
    period: int
    emptied: tuple[tuple[int, int, str, str], ...] = ()
    cause: str = ""


def schedule(network: IntegerNetwork, steps: int) -> SampleSchedule:
    """The schedule for samples of `steps` frames under which Lava is exact.

    - Without delays and recurrence: layer k receives a frame at logical step t, its neurons are reset at logical step
      0 of each sample, and its synapse holds one step. No spike reaches another sample, whatever fires before the
      first frame.
    - Delays: a spike may arrive after the reset that follows it. A layer is called *quiet* if its neurons, starting at
      0 and without input, never fire from their bias alone. If all layers before the last delayed one are quiet, layer
      k is silent from the first reset after its last input until the next sample. Blank steps until every delay line
      is empty make samples independent (`_spacing`). Otherwise each sample gets a network of its own.
    - Sigma-delta neurons: netx does not reset them. Their states are set to 0 after the step before the first frame
      reaches the layer, for each sample.
    - Recurrence: spikes of a sample's last step enter the first step of the next one, and blank steps may not end
      them. Each sample gets a network of its own.

    In a network of its own, a layer that is not quiet can fire before the first frame. Delay lines and recurrent
    synapses that would carry such spikes past the reset are emptied (`emptied`).

    Args:
        network: the network.
        steps: number of frames of a sample.
    """
    if network.sends_values:
        return _set_to_zero(network, steps)
    delayed = [index for index, layer in enumerate(network.layers) if layer.max_delay]
    if any(layer.weight_rec is not None for layer in network.layers):
        return one_by_one(network, steps, "recurrent spikes of one sample would enter the next")
    if not delayed:
        return SampleSchedule(shared=True, interval=steps, period=steps, cause="no synapse keeps more than one step")
    interval, period = min(
        (_spacing(network.layers[: delayed[-1] + 1], steps, interval) for interval in _intervals(network, steps)),
        key=lambda pair: pair[1],
    )
    if not all(quiet(layer, interval) for layer in network.layers[: delayed[-1]]):
        return one_by_one(network, steps, "delayed spikes that a bias alone fires would enter the next sample")
    return SampleSchedule(shared=True, interval=interval, period=period, cause="blank steps empty the delay lines")


def quiet(layer: IntegerLayer, steps: int) -> bool:
    """Whether no neuron fires from its bias alone. Input neurons are quiet, since their bias is 0 between samples.

    Args:
        layer: the layer, with all states at 0 and without input.
        steps: number of time steps.
    """
    bias = layer.bias_map << STATE_SHIFT
    if layer.kind == "input" or bias.max() <= 0:
        return True
    factor, threshold = (
        DECAY_ONE - np.asarray(layer.v_decay, np.int64),
        np.asarray(layer.vth_mant, np.int64) << STATE_SHIFT,
    )
    voltage = np.zeros_like(bias)
    for _ in range(steps):
        before, voltage = voltage, np.minimum((voltage * factor) // DECAY_ONE + np.maximum(bias, 0), STATE_LIMIT - 1)
        if np.any(voltage > threshold):
            return False
        if np.array_equal(before, voltage):
            return True
    return True


def _intervals(network: IntegerNetwork, steps: int) -> range:
    return range(steps, steps + sum(layer.max_delay for layer in network.layers) + 1)


def _spacing(layers: Iterable[IntegerLayer], steps: int, interval: int) -> tuple[int, int]:
    """`interval`, and the smallest multiple of it after which every delay line of `layers` is empty.

    A layer receives nothing from step `silent` on (`steps` for the frames). Its delay line is then empty `max_delay`
    steps later, and the layer itself is silent from the next reset on.
    """
    silent, period = steps, interval
    for layer in layers:
        empty = silent + layer.max_delay
        silent = -(-empty // interval) * interval
        if layer.max_delay:
            period = max(period, silent)
    return interval, period


def one_by_one(network: IntegerNetwork, steps: int, cause: str) -> SampleSchedule:
    """The schedule with one network for each sample.

    Layer k receives frame 0 at time step k + 2, its synapse one step earlier, its own spikes one step later.

    Args:
        network: the network.
        steps: number of time steps of a sample.
        cause: reason for this schedule, for people.
    """
    loud = [not quiet(layer, len(network.layers) + 1) for layer in network.layers]
    emptied = []
    for index, layer in enumerate(network.layers):
        if layer.max_delay and any(loud[:index]):
            emptied.append((index, index, "synapse", BUFFER))
        if layer.weight_rec is not None and any(loud[: index + 1]):
            emptied.append((index + 1, index, "synapse_rec", BUFFER))
    return SampleSchedule(shared=False, interval=steps, period=steps, emptied=tuple(emptied), cause=cause)


def _set_to_zero(network: IntegerNetwork, steps: int) -> SampleSchedule:
    """The schedule of a sigma-delta network.

    Layer k receives frame 0 of a sample at step k + 2 of it, and its neurons are set to 0 after step k + 1. With
    delays, a blank step follows each sample, so that the delay line of layer k, which receives the first messages at
    step k + 1, can be emptied after step k.
    """
    delayed = any(layer.max_delay for layer in network.layers)
    emptied = []
    for index, layer in enumerate(network.layers):
        if layer.max_delay:
            emptied.append((index, index, "synapse", BUFFER))
        emptied += [(index + 1, index, "neuron", state) for state in STATES[layer.neuron]]
    return SampleSchedule(shared=True, interval=steps, period=steps + delayed, emptied=tuple(emptied),
                          cause="the states are set to 0 before each sample")  # fmt: skip
