"""How samples share Lava: many back to back in one network where that is exact, else one network a sample.

netx can reset neurons at intervals, never synapses. What a synapse still holds when the neurons reset belongs to the
sample before, and before the first frame has travelled through, to none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from spikeport.export.network.fixed_point import DECAY_ONE
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork


@dataclass(frozen=True, kw_only=True)
class SampleSchedule:
    """`together`: many samples in one network, one every `period` steps, its neurons reset every `interval` steps.

    `flush`: `(time step, layer, synapse)` whose buffer is emptied after that step, before the first frame reaches it.
    `why`: the reason in words.
    """

    together: bool
    interval: int
    period: int
    flush: tuple[tuple[int, int, str], ...] = ()
    cause: str = ""


def schedule(network: IntegerNetwork, steps: int) -> SampleSchedule:
    """How samples of `steps` frames run exactly.

    Without delays and recurrence block k takes a frame in at logical step t, its neurons reset at logical step 0 of
    each sample, and its synapse holds one step: nothing crosses, whatever fires before the first frame.

    Delays: a spike may arrive after the reset that follows it. A neuron without input that starts at 0 and whose bias
    alone never makes it fire is *quiet*. If all layers before the last delayed one are quiet, layer k is silent from
    the first reset after its last input arrived until the next sample; blank steps until every delay line is empty
    make samples independent (`_spacing`). Else one network a sample.

    Recurrence: spikes of a sample's last step enter the next one's first, and no number of blank steps need end them:
    one network a sample.

    In a network of its own, a layer that is not quiet can fire before the first frame; delay lines and recurrent
    synapses that would carry those spikes past the reset are emptied (`flush`).
    """
    delayed = [index for index, layer in enumerate(network.layers) if layer.max_delay]
    if any(layer.weight_rec is not None for layer in network.layers):
        return one_by_one(network, steps, "recurrent spikes of one sample would enter the next")
    if not delayed:
        return SampleSchedule(together=True, interval=steps, period=steps, cause="no synapse keeps more than one step")
    interval, period = min(
        (_spacing(network.layers[: delayed[-1] + 1], steps, interval) for interval in _intervals(network, steps)),
        key=lambda pair: pair[1],
    )
    if not all(quiet(layer, interval) for layer in network.layers[: delayed[-1]]):
        return one_by_one(network, steps, "delayed spikes that a bias alone fires would enter the next sample")
    return SampleSchedule(together=True, interval=interval, period=period, cause="blank steps empty the delay lines")


def quiet(layer: IntegerLayer, steps: int) -> bool:
    """Whether neurons that start at 0 and get no input fire in none of `steps` steps. Input neurons are: their bias
    comes from outside, and is 0 between samples.
    """
    bias = 64 * layer.bias_map
    if layer.kind == "input" or bias.max() <= 0:
        return True
    kept, threshold = DECAY_ONE - np.asarray(layer.v_decay, np.int64), 64 * np.asarray(layer.vth_mant, np.int64)
    voltage = np.zeros_like(bias)
    for _ in range(steps):
        before, voltage = voltage, np.minimum((voltage * kept) // DECAY_ONE + np.maximum(bias, 0), (1 << 23) - 1)
        if np.any(voltage > threshold):
            return False
        if np.array_equal(before, voltage):
            return True
    return True


def _intervals(network: IntegerNetwork, steps: int) -> range:
    return range(steps, steps + sum(layer.max_delay for layer in network.layers) + 1)


def _spacing(layers: Iterable[IntegerLayer], steps: int, interval: int) -> tuple[int, int]:
    """`interval` and the fewest intervals, in steps, after which every delay line of `layers` is empty.

    Layer k hears nothing from step `silent` on (`steps` for the frames), so its delay line is empty `max_delay` later,
    and it is silent itself from the next reset on.
    """
    silent, period = steps, interval
    for layer in layers:
        empty = silent + layer.max_delay
        silent = -(-empty // interval) * interval
        if layer.max_delay:
            period = max(period, silent)
    return interval, period


def one_by_one(network: IntegerNetwork, steps: int, cause: str) -> SampleSchedule:
    """Block k takes frame 0 in at time step k + 2; its synapse hears it one step earlier, its own spikes one later."""
    loud = [not quiet(layer, len(network.layers) + 1) for layer in network.layers]
    flush = []
    for index, layer in enumerate(network.layers):
        if layer.max_delay and any(loud[:index]):
            flush.append((index, index, "synapse"))
        if layer.weight_rec is not None and any(loud[: index + 1]):
            flush.append((index + 1, index, "synapse_rec"))
    return SampleSchedule(together=False, interval=steps, period=steps, flush=tuple(flush), cause=cause)
