"""Packs an integer network for the compiled loops: geometry as tables, weights in the order in which events need them.

Inside, neurons are ordered channels last, and channels are padded to whole registers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.export.backends.reference import kernels as f
from spikeport.export.backends.reference.bounds import Bounds, bounds
from spikeport.export.backends.reference.conv_tables import padded_taps, reached_outputs, tap_order
from spikeport.export.network.connectivity import effective_fan_out_map, fan_out_map
from spikeport.export.network.fixed_point import DECAY_ONE, STATE_SHIFT
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork

LANES = 8  # channels are padded to a multiple of this
NEVER = np.int32(2**31 - 1)  # threshold of a neuron that is padding


@dataclass(frozen=True, kw_only=True)
class ExecutionPlan:
    """Arguments of `kernels.run_samples`, whose docstring has the shapes.

    Attributes:
        fields: the argument `plan`, a row for each layer.
        weights: packed weights.
        tables: packed tables of geometry.
        places: index inside for each input.
        neurons: parameters of each neuron.
        unbiased: 1 for neurons without a bias.
        sizes: lengths of states, sums, marks and events.
        graded: whether inputs are counts, not spikes.
    """

    fields: np.ndarray
    weights: np.ndarray
    tables: np.ndarray
    places: np.ndarray
    neurons: np.ndarray
    unbiased: np.ndarray
    sizes: np.ndarray
    graded: bool

    @property
    def shared_bytes(self) -> int:
        """Memory of the plan in bytes. All threads share it."""
        return sum(value.nbytes for value in vars(self).values() if isinstance(value, np.ndarray))

    @property
    def state_bytes(self) -> int:
        """Memory of one thread in bytes, without its input and output."""
        return int(self.sizes[0]) * 10 + int(self.sizes[1]) * 4 + int(self.sizes[2]) + int(self.sizes[3]) * 4


class _Flat:
    """Arrays, one after the other in one array."""

    def __init__(self, dtype: Any) -> None:
        self.dtype, self.parts, self.size = dtype, [], 0  # type: ignore[var-annotated]

    def add(self, values: Any) -> int:
        """Appends `values`; returns the index at which they begin."""
        part, at = np.ascontiguousarray(values, dtype=self.dtype).reshape(-1), self.size
        self.parts.append(part)
        self.size += part.size
        return at

    def whole(self) -> np.ndarray:
        """All that was appended, and one zero, so that it is never empty."""
        return np.concatenate([*self.parts, np.zeros(1, self.dtype)])


@dataclass(frozen=True)
class _Order:
    """How indices inside the engine map to indices outside, which are in C, H, W order.

    `outside[inside]` is the index outside, -1 for padding.
    """

    channels: int
    outside: np.ndarray

    @property
    def inside(self) -> np.ndarray:
        """The index inside for each index outside."""
        real = np.flatnonzero(self.outside >= 0)
        places = np.empty(len(real), np.int32)
        places[self.outside[real]] = real
        return places

    def spread(self, values: Any, fill: Any = 0) -> np.ndarray:
        """Values in C, H, W order in the order inside, with `fill` at the padding."""
        flat = np.asarray(values).reshape(-1)
        return np.where(self.outside >= 0, flat[np.maximum(self.outside, 0)], fill)


def _order(shape: tuple[int, ...], channels: int) -> _Order:
    """Channels last, padded to `channels`."""
    sites = int(np.prod(shape[1:]))
    outside = np.full((sites, channels), -1, np.int64)
    outside[:, : shape[0]] = np.arange(shape[0] * sites).reshape(shape[0], sites).T
    return _Order(channels, outside.reshape(-1))


def pack(network: IntegerNetwork, steps: int, keep_layers: bool) -> ExecutionPlan:
    """Packs a network.

    Args:
        network: a network for which `bounds.fits_int32` is true.
        steps: number of time steps of a sample.
        keep_layers: whether the spikes of every layer are stored.
    """
    packer = _Packer(network, steps, keep_layers)
    for index, layer in enumerate(network.layers):
        packer.add(layer, bounds(layer, network.input_limit if index == 0 else 1, steps), index)
    return packer.plan()


class _Packer:
    """Collects the rows and tables of one layer after the other."""

    def __init__(self, network: IntegerNetwork, steps: int, keep_layers: bool) -> None:
        shape = network.input_shape
        self.network, self.steps, self.keep_layers = network, steps, keep_layers
        self.order = self.first = _order(shape, shape[0])
        self.rows: list[np.ndarray] = []
        self.weights, self.tables = _Flat(np.int16), _Flat(np.int32)
        self.neurons: list[np.ndarray] = []
        self.unbiased: list[np.ndarray] = []
        self.sums = self.touched = self.events = self.states = self.out = 0

    def add(self, layer: IntegerLayer, bound: Bounds, index: int) -> None:
        """Packs the next layer, which is layer `index` of the network."""
        row = np.zeros(f.FIELDS, np.int64)
        groups = layer.groups if layer.kind == "conv" else 1
        channels = layer.output_shape[0]
        if groups == 1 and layer.kind != "input":
            channels = -(-channels // LANES) * LANES
        before, after = self.order, _order(layer.output_shape, channels)
        row[f.KIND] = {"conv": f.CONV, "dense": f.DENSE, "input": f.INPUT}[layer.kind]
        row[f.NEURONS], row[f.PADDED] = layer.neurons, len(after.outside)
        row[f.CHANNELS], row[f.GROUPS], row[f.IN_CHANNELS] = channels, groups, before.channels
        row[f.PER_GROUP] = channels // groups
        row[f.IN_RECIPROCAL] = -(-(1 << 32) // before.channels)
        row[f.RING] = 1
        marks = 1
        unbiased = after.spread(layer.bias_map == 0).astype(np.int32)
        if layer.kind == "conv":
            marks = row[f.PADDED] // row[f.PER_GROUP]
            self._convolution(layer, row)
        elif layer.kind == "dense":
            row[f.PER_GROUP] = row[f.PADDED]
            self._dense(layer, row, before)
            if row[f.DELAYS] == f.DELAY_BY_SYNAPSE:
                marks, row[f.PER_GROUP] = int(row[f.PADDED]), 1
        else:
            row[f.GAIN], row[f.PER_GROUP] = int(layer.weight[0]), row[f.PADDED]
        fans = np.stack([before.spread(fan_out_map(layer)), before.spread(effective_fan_out_map(layer))], axis=1)
        row[f.FAN_OUT_AT] = self.tables.add(fans)
        row[f.PLACE_AT] = self.tables.add(after.outside)
        row[f.TOUCHED] = -(-marks // f.BLOCK) * f.BLOCK
        free = np.zeros(row[f.TOUCHED], np.int32)
        free[:marks] = unbiased.reshape(marks, -1).sum(axis=1)
        row[f.FREE_AT], row[f.UNBIASED] = self.tables.add(free), unbiased.sum()
        row[f.BIASED] = layer.neurons - row[f.UNBIASED]
        self._neurons(layer, row, bound, after, unbiased)
        row[f.SUMS_AT], row[f.TOUCHED_AT] = self.sums, self.touched
        row[f.EVENTS_AT], row[f.OUT_AT] = self.events, -1
        self.sums += int(row[f.PADDED] * row[f.RING])
        self.touched += int(row[f.TOUCHED] * row[f.RING])
        self.events += int(row[f.PADDED]) + 1
        if self.keep_layers or index == len(self.network.layers) - 1:
            row[f.OUT_AT] = self.out
            self.out += self.steps * layer.neurons
        self.rows.append(row)
        self.order = after

    def plan(self) -> ExecutionPlan:
        """The plan of all layers that were added."""
        return ExecutionPlan(
            fields=np.stack(self.rows),
            weights=self.weights.whole(),
            tables=self.tables.whole(),
            places=self.first.inside,
            neurons=np.ascontiguousarray(np.concatenate(self.neurons, axis=1)),
            unbiased=np.concatenate(self.unbiased).astype(np.int32),
            sizes=np.array([self.states, self.sums, self.touched, self.events], np.int64),
            graded=self.network.input_limit > 1,
        )

    def _convolution(self, layer: IntegerLayer, row: np.ndarray) -> None:
        """Kernels `[Cin, kH, kW, Cout/groups]`, taps in the order in which an input reaches neighboring outputs.

        With a stride, inputs of some phases reach fewer outputs. Taps of weight 0 make all phases equal, so that the
        processor predicts every branch (measured: twice as fast, although it adds more).
        """
        outputs, inputs, *taps = layer.weight.shape
        per_group, padded = outputs // layer.groups, int(row[f.PER_GROUP])
        height, width = (padded_taps(layer, axis) for axis in (0, 1))
        grouped = layer.weight.reshape(layer.groups, per_group, inputs, *taps)
        kernels = np.zeros((layer.groups, inputs, height, width, padded), np.int16)
        kernels[:, :, : taps[0], : taps[1], :per_group] = grouped.transpose(0, 2, 3, 4, 1)
        down, along = (tap_order(layer, axis) for axis in (0, 1))
        row[f.WEIGHT_AT] = self.weights.add(kernels[:, :, down][:, :, :, along])
        row[f.CHANNEL_STRIDE], row[f.IN_PER_GROUP] = height * width * padded, inputs
        starts, reached = reached_outputs(layer, down, along)
        output, slot, run = reached[:, 0], reached[:, 1] * padded + row[f.WEIGHT_AT], reached[:, 2]
        target = output * row[f.CHANNELS] + self.sums
        row[f.STARTS_AT] = self.tables.add(starts)
        row[f.MET_AT] = self.tables.add(np.stack([target, slot, run * padded], axis=1))
        row[f.MARKS_AT] = self.tables.add(np.stack([output * layer.groups, run, reached[:, 3]], axis=1))

    def _dense(self, layer: IntegerLayer, row: np.ndarray, before: _Order) -> None:
        """Weights and delays, one row of outputs for each input."""
        row[f.WEIGHT_AT] = self.weights.add(_columns(layer.weight, before, int(row[f.PADDED])))
        if layer.delay is not None:
            rows, columns = layer.delay.shape
            row[f.RING] = layer.max_delay + 1
            if rows > 1:
                row[f.DELAYS], row[f.DELAY_STRIDE] = f.DELAY_BY_SYNAPSE, row[f.PADDED] if columns > 1 else 0
                spread = _columns(layer.delay, before if columns > 1 else None, int(row[f.PADDED]))
            else:
                row[f.DELAYS], row[f.DELAY_STRIDE] = f.DELAY_BY_INPUT, int(columns > 1)
                spread = before.spread(layer.delay) if columns > 1 else layer.delay
            row[f.DELAY_AT] = row[f.RECURRENT_DELAY_AT] = self.tables.add(spread)
        if layer.weight_rec is not None:
            row[f.RECURRENT] = 1
            row[f.RECURRENT_AT] = self.weights.add(_columns(layer.weight_rec, None, int(row[f.PADDED])))
            nonzero = np.count_nonzero(layer.weight_rec, axis=0)
            row[f.RECURRENT_FAN_OUT_AT] = self.tables.add(np.stack([np.full_like(nonzero, layer.neurons), nonzero], 1))

    def _neurons(
        self, layer: IntegerLayer, row: np.ndarray, bound: Bounds, after: _Order, unbiased: np.ndarray
    ) -> None:
        """How the neurons are updated, and the parameters of each neuron."""
        row[f.WRAPS], row[f.STATE_AT] = bound.sums_wrap, self.states
        row[f.MODE] = f.GENERAL
        if bound.leaky:
            keep = DECAY_ONE - int(np.max(layer.v_decay))
            row[f.SHIFT] = 12 if keep == 0 else 12 - min(12, (keep & -keep).bit_length() - 1)
            row[f.ODD], row[f.REST] = keep >> (12 - row[f.SHIFT]), (1 << row[f.SHIFT]) - 1
            row[f.THRESHOLD] = int(np.max(layer.vth_mant)) << STATE_SHIFT
            still = keep == DECAY_ONE and layer.kind != "input" and not row[f.BIASED] and row[f.RING] == 1
            row[f.MODE] = f.TOUCHED_ONLY if still and not bound.sums_wrap else f.LEAKY
        states = -(-len(after.outside) // f.BLOCK) * f.BLOCK
        block = np.zeros((4, states), np.int32)
        block[1] = NEVER
        real = slice(0, len(after.outside))
        block[0, real] = after.spread(layer.bias_map << STATE_SHIFT)
        full = {key: np.broadcast_to(getattr(layer, key), layer.output_shape) for key in ("vth_mant", "v_decay")}
        block[1, real] = after.spread(full["vth_mant"] << STATE_SHIFT, NEVER)
        i_decay = DECAY_ONE if layer.kind == "input" else layer.i_decay  # the current of an input layer is its drive
        block[2, real] = after.spread(DECAY_ONE - np.broadcast_to(i_decay, layer.output_shape))
        block[3, real] = after.spread(DECAY_ONE - full["v_decay"])
        self.neurons.append(block)
        self.unbiased.append(np.pad(unbiased, (0, states - len(unbiased))))
        self.states += states


def _columns(matrix: np.ndarray, before: _Order | None, padded: int) -> np.ndarray:
    """`[inputs inside, padded outputs]` of a `[outputs, inputs]` matrix; zeros where either pads."""
    turned = matrix.T
    if before is not None:
        turned = np.where(before.outside[:, None] >= 0, turned[np.maximum(before.outside, 0)], 0)
    return np.pad(turned, ((0, 0), (0, padded - matrix.shape[0])))
