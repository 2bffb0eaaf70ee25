"""Which neuron goes to which core: one greedy partition, stated, as a lower bound of what a compiler would need.

Layers do not share cores. A layer's neurons are taken in order (dense: by index; convolution: row, column, channel, so
that neurons of a core read a small window) and go to the current core until one limit would be passed. On a core:

* an input axon for each neuron of the layer before (or of the same layer, where recurrent) that has a synapse there;
* for each input axon a list of its synapses there, stored in blocks of `block_weights`, each with a header and rounded
  up to whole words. Weights of value zero are stored. A dense layer needs no index beside a weight; a convolution is
  expanded (no weight is shared between neurons) and stores the index of the neuron with each weight;
* an output axon for each neuron and each core of the layer behind (or of its own, where recurrent) that it reaches;
  the last layer has one a neuron, to the host.

A chip's own compiler may share convolution weights and do better, or add what is not public and do worse.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from spikeport.export.network.integer_network import IntegerLayer


@dataclass(frozen=True, kw_only=True)
class CoreLimits:
    """What one core holds; None where no number is public."""

    neurons: int | None = None
    synapse_bits: int | None = None
    axons_in: int | None = None
    axons_out: int | None = None
    decay_profiles: int | None = None
    threshold_profiles: int | None = None


@dataclass(frozen=True, kw_only=True)
class Storage:
    """How a core stores one input axon's list of synapses, in bits."""

    word: int
    block_weights: int
    header: int

    def table(self, largest: int, bits_per_weight: int) -> np.ndarray:
        """Bits of a list of 0, 1, ... `largest` synapses, int64 `[largest + 1]`."""
        sizes = np.arange(largest + 1, dtype=np.int64)
        full, rest = sizes // self.block_weights, sizes % self.block_weights
        block = -(-(self.block_weights * bits_per_weight + self.header) // self.word)
        last = np.where(rest > 0, -(-(rest * bits_per_weight + self.header) // self.word), 0)
        return (full * block + last) * self.word


@dataclass(kw_only=True)
class Core:
    """What one core holds of one layer. `broken`: limits that not even a single neuron keeps."""

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
    """The cores of one layer, what closed each of them ("" for the last), and the cores that each neuron of the layer
    before reaches here."""

    cores: tuple[Core, ...]
    closed_by: tuple[str, ...]
    reach: np.ndarray = field(repr=False)


def place(
    layer: IntegerLayer, limits: CoreLimits, reached: np.ndarray, storage: Storage | None, bits_per_weight: int
) -> Placement:
    """The greedy partition of one layer. `reached`: cores of the layer behind that each neuron reaches, flat."""
    if layer.weight_rec is None:
        return _place(layer, limits, reached, storage, bits_per_weight)
    own = 1  # every recurrent neuron reaches all cores of its layer, whose number is what we look for
    while True:
        placed = _place(layer, limits, reached + own, storage, bits_per_weight)
        if len(placed.cores) <= own:
            return placed
        own = len(placed.cores)


def inputs_of(layer: IntegerLayer) -> Iterator[tuple[int, np.ndarray]]:
    """Each neuron (flat index) in the order of placement, with the flat indices of the inputs it has synapses from."""
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
