"""Greedy partition of a network's neurons over cores, an estimate of the number of cores.

Layers do not share cores. The neurons of a layer are placed in order: dense layers by index, convolutions by row,
column and channel, so that the neurons of one core read a small window. A neuron goes to the current core unless it
would exceed one of the core's limits. A core stores:

* one input axon for each source neuron with a synapse on the core. Sources are the previous layer and, for recurrent
  layers, the layer itself;
* one list of synapses for each input axon, in blocks of `block_weights` weights. Each block has a header and is
  rounded up to whole words. Zero weights are stored. Dense layers store no index with a weight. Convolutions are
  expanded (no weight is shared between neurons) and store the index of the target neuron with each weight;
* one output axon for each neuron and each core that it reaches, in the next layer and, for recurrent layers, in its
  own layer. The last layer has one output axon per neuron, to the host.

A vendor's compiler may need fewer cores, for example by sharing convolution weights, or more, for reasons that are not
public.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from spikeport.export.network.integer_network import IntegerLayer


@dataclass(frozen=True, kw_only=True)
class CoreLimits:
    """Capacity of one core; None if no number is public.

    Attributes:
        neurons: number of neurons.
        synapse_bits: synapse memory in bits.
        axons_in: number of input axons.
        axons_out: number of output axons.
        decay_profiles: number of different pairs of current and voltage decay.
        threshold_profiles: number of different thresholds.
    """

    neurons: int | None = None
    synapse_bits: int | None = None
    axons_in: int | None = None
    axons_out: int | None = None
    decay_profiles: int | None = None
    threshold_profiles: int | None = None


@dataclass(frozen=True, kw_only=True)
class Storage:
    """How a core stores the list of synapses of one input axon.

    Attributes:
        word: size of a memory word in bits. Each block is rounded up to whole words.
        block_weights: largest number of weights in a block.
        header: size of a block's header in bits.
    """

    word: int
    block_weights: int
    header: int

    def table(self, largest: int, bits_per_weight: int) -> np.ndarray:
        """Sizes of lists of synapses.

        Args:
            largest: number of synapses in the longest list.
            bits_per_weight: bits of one weight with its delay and index.

        Returns:
            int64 `[largest + 1]`: bits of a list of 0, 1, ..., `largest` synapses.
        """
        sizes = np.arange(largest + 1, dtype=np.int64)
        full, rest = sizes // self.block_weights, sizes % self.block_weights
        block = -(-(self.block_weights * bits_per_weight + self.header) // self.word)
        last = np.where(rest > 0, -(-(rest * bits_per_weight + self.header) // self.word), 0)
        return (full * block + last) * self.word


@dataclass(kw_only=True)
class Core:
    """Usage of one core by one layer.

    Attributes:
        neurons: number of neurons.
        synapses: number of synapses, zero weights included.
        synapse_bits: used synapse memory in bits.
        axons_in: number of input axons.
        axons_out: number of output axons.
        decay_profiles: number of different pairs of current and voltage decay.
        threshold_profiles: number of different thresholds.
        broken: names of the limits that a single neuron exceeds already.
    """

    neurons: int = 0
    synapses: int = 0
    synapse_bits: int = 0
    axons_in: int = 0
    axons_out: int = 0
    decay_profiles: int = 0
    threshold_profiles: int = 0
    broken: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Partition of one layer.

    Attributes:
        cores: usage of each core.
        closed_by: name of the limit that filled each core, "" for a last core that is not full.
        reach: int64 `[inputs]`, number of these cores that each neuron of the previous layer reaches.
    """

    cores: tuple[Core, ...]
    closed_by: tuple[str, ...]
    reach: np.ndarray = field(repr=False)


def place(
    layer: IntegerLayer, limits: CoreLimits, reached: np.ndarray, storage: Storage | None, bits_per_weight: int
) -> Placement:
    """Partitions one layer over cores.

    Args:
        layer: the layer.
        limits: capacity of a core.
        reached: int64 `[neurons]`, number of cores of the next layer that each neuron reaches.
        storage: layout of lists of synapses; None if it is not public, then synapses take 0 bits.
        bits_per_weight: bits of one weight with its delay and index.
    """
    if layer.weight_rec is None:
        return _place(layer, limits, reached, storage, bits_per_weight)
    own = 1  # a recurrent neuron reaches all cores of its layer: repeat until their number is consistent
    while True:
        placed = _place(layer, limits, reached + own, storage, bits_per_weight)
        if len(placed.cores) <= own:
            return placed
        own = len(placed.cores)


def inputs_of(layer: IntegerLayer) -> Iterator[tuple[int, np.ndarray]]:
    """Yields each neuron in the order of placement: its flat index, and the flat indices of its inputs (int64).

    Args:
        layer: a layer with synapses.
    """
    if layer.kind == "input":
        nothing = np.zeros(0, dtype=np.int64)
        yield from ((index, nothing) for index in range(layer.neurons))
    elif layer.kind == "dense":
        inputs = np.arange(layer.weight.shape[1])
        yield from ((index, inputs) for index in range(layer.neurons))
    else:
        yield from _windows(layer)


def _windows(layer: IntegerLayer) -> Iterator[tuple[int, np.ndarray]]:
    channels, height, width = layer.input_shape
    outputs, rows, columns = layer.output_shape
    per_group, depth = outputs // layer.groups, channels // layer.groups

    def taps(place: int, axis: int, size: int) -> np.ndarray:
        first = place * layer.stride[axis] - layer.padding[axis]
        taken = first + layer.dilation[axis] * np.arange(layer.weight.shape[2 + axis])
        return taken[(taken >= 0) & (taken < size)]

    for row in range(rows):
        ys = taps(row, 0, height)
        for column in range(columns):
            window = (ys[:, None] * width + taps(column, 1, width)).ravel()
            for group in range(layer.groups):
                planes = np.arange(group * depth, (group + 1) * depth) * height * width
                inputs = (planes[:, None] + window).ravel()
                for channel in range(group * per_group, (group + 1) * per_group):
                    yield (channel * rows + row) * columns + column, inputs


def _place(
    layer: IntegerLayer, limits: CoreLimits, reached: np.ndarray, storage: Storage | None, bits_per_weight: int
) -> Placement:
    before = int(np.prod(layer.input_shape))
    largest = min(layer.neurons, limits.neurons or layer.neurons)
    growth = np.zeros(largest + 1, dtype=np.int64)
    if storage:
        growth = np.diff(storage.table(largest + 1, bits_per_weight))
    decays = np.stack([np.broadcast_to(value, layer.output_shape).ravel() for value in (layer.i_decay, layer.v_decay)])
    thresholds = np.broadcast_to(np.asarray(layer.vth_mant), layer.output_shape).ravel()
    recurrent = layer.neurons if layer.weight_rec is not None else 0

    cores: list[Core] = []
    closed_by: list[str] = []
    reach = np.zeros(before, dtype=np.int64)
    core, targets = Core(), np.zeros(before, dtype=np.int64)
    seen: tuple[set, set] = (set(), set())

    def close(reason: str) -> None:
        nonlocal core, targets, seen, reach
        reach = reach + (targets > 0)
        cores.append(core)
        closed_by.append(reason)
        core, targets, seen = Core(), np.zeros(before, dtype=np.int64), (set(), set())

    for neuron, inputs in inputs_of(layer):
        while True:
            grown = Core(
                neurons=core.neurons + 1,
                synapses=core.synapses + len(inputs) + recurrent,
                synapse_bits=core.synapse_bits
                + int(growth[targets[inputs]].sum())
                + recurrent * int(growth[core.neurons]),
                axons_in=(core.axons_in or recurrent) + int((targets[inputs] == 0).sum()),
                axons_out=core.axons_out + int(reached[neuron]),
                decay_profiles=len(seen[0] | {tuple(decays[:, neuron])}),
                threshold_profiles=len(seen[1] | {int(thresholds[neuron])}),
            )
            over = [
                key for key in CoreLimits.__dataclass_fields__
                if (limit := getattr(limits, key)) is not None and getattr(grown, key) > limit
            ]  # fmt: skip
            if not over or core.neurons == 0:
                break
            close(over[0])
        grown.broken = tuple(over)
        core = grown
        targets[inputs] += 1
        seen[0].add(tuple(decays[:, neuron]))
        seen[1].add(int(thresholds[neuron]))
        if over:
            close(over[0])
    if core.neurons:
        close("")
    return Placement(cores=tuple(cores), closed_by=tuple(closed_by), reach=reach)
