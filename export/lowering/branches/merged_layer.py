"""One layer of the chain: populations that are computed together, and relays of those that later layers need."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import nir
import numpy as np

from spikeport.export.formats.netx.rules import GEOMETRY_LIMIT
from spikeport.export.graph.parameters import Value, beside
from spikeport.export.graph.shapes import check_weights
from spikeport.export.lowering.branches.carriers import Carrier, Stage, carriers_of
from spikeport.export.lowering.branches.kernels import (
    as_dense,
    common_geometry,
    dense_rows,
    on_phases,
    placed,
    relay_kernel,
)
from spikeport.export.lowering.branches.populations import Population
from spikeport.export.lowering.branches.relays import Relay, divisor_of, relay_of
from spikeport.export.lowering.folded_layer import FoldedLayer
from spikeport.export.lowering.path_folding import recurrent_weights
from spikeport.export.network.row_blocks import row_blocks
from spikeport.values import Shape


@dataclass(frozen=True)
class MergedLayer:
    """Weights and neurons of a layer as NIR nodes.

    Attributes:
        name: name for the weights.
        weights: Conv2d, Linear or Affine.
        neurons: name for the neurons.
        node: the neurons.
        recurrence: Linear or Affine from the spikes of the layer to its input, or None.
        stage: its output.
        computed: channels, or neurons of a flat layer, of the populations that are computed; relays are behind them.
        relays: number of relay neurons.
        notes: assumptions of the neurons.
    """

    name: str
    weights: nir.Conv2d | nir.Linear | nir.Affine
    neurons: str
    node: nir.NIRNode
    recurrence: nir.NIRNode | None
    stage: Stage
    computed: int
    relays: int
    notes: tuple[str, ...]


def convolution(
    members: list[Population], relays: list[str], stage: Stage, scale: float | None, dt_s: float, *, keep_grid: bool
) -> MergedLayer | None:
    """The layer as a convolution; None where populations or relays do not fit on one grid.

    Args:
        members: populations that are computed.
        relays: names of populations that are passed on.
        stage: output of the layer before.
        scale: integer units per float unit if the weights are on a grid already, else None.
        dt_s: time step in seconds.
        keep_grid: whether relays must keep the grid of their population, since they are an output.
    """
    if len(stage.shape) != 3 or any(p.neuron.recurrence for p in members if p.neuron):
        return None
    if any(path.layer.bias.ndim == 3 for p in members for path in p.paths):
        return None
    kernels = {}
    for p in members:
        for index, path in enumerate(p.paths):
            factor = stage.carriers[path.source].factor
            kernel = None if factor is None or len(path.layer.output_shape) != 3 else on_phases(path.layer, factor)
            if kernel is None:
                return None
            kernels[p.name, index] = kernel
    one = next(iter(kernels.values()))
    grid = stage.shape[1], stage.shape[2]
    if relays and any(s * e < g for s, e, g in zip(one.stride, one.extent, grid, strict=True)):
        return None
    if keep_grid and one.stride != (1, 1):
        return None
    passed = {}
    for name in relays:
        carrier = stage.carriers[name]
        assert carrier.factor is not None
        passed[name] = relay_kernel(carrier.shape[0], carrier.factor, one.stride, one.extent)
    geometry = common_geometry([*kernels.values(), *passed.values()], grid, GEOMETRY_LIMIT)
    if geometry is None:
        return None
    padding, size = geometry
    rows = []
    for p in members:
        weight = np.zeros((p.shape[0], stage.shape[0], *size))
        check_weights(p.name, weight.size)
        for index, path in enumerate(p.paths):
            carrier = stage.carriers[path.source]
            own = placed(kernels[p.name, index], padding, size)
            gain = beside(_factor(p, path.layer.divisor, path.layer.gain), own)
            weight[:, carrier.first : carrier.first + carrier.channels] += gain * own
        rows.append(weight)
    relay = relay_of(members, [[row] for row in rows], scale if relays else None)
    for name in relays:
        carrier = stage.carriers[name]
        own = placed(passed[name], padding, size)
        weight = np.zeros((len(own), stage.shape[0], *size))
        weight[:, carrier.first : carrier.first + carrier.channels] = relay.pulse * own
        rows.append(weight)
    held = [(p.name, p.shape, (1, 1)) for p in members]
    for name in relays:
        carrier = stage.carriers[name]
        assert carrier.factor is not None
        factor = carrier.factor[0] * one.stride[0], carrier.factor[1] * one.stride[1]
        held.append((name, carrier.shape, factor))
    merged = np.concatenate(rows)
    shape = (len(merged), *one.extent)
    weights = nir.Conv2d(
        input_shape=grid, weight=merged, stride=one.stride, padding=padding, dilation=(1, 1), groups=1,
        bias=_bias(members, shape),
    )  # fmt: skip
    relayed = len(merged) - sum(p.shape[0] for p in members)
    return _layer(
        members, weights, None, Stage(shape, carriers_of(held, shape)), relayed * math.prod(one.extent), relay, dt_s
    )


def matrix(members: list[Population], relays: list[str], stage: Stage, scale: float | None, dt_s: float) -> MergedLayer:
    """The layer as a matrix over the flat output of the layer before; arguments as for `convolution`.

    Raises:
        UserError: the matrix would be too large.
    """
    entering = int(np.prod(stage.shape))
    sizes = [int(np.prod(p.shape)) for p in members]
    passed = [stage.carriers[name] for name in relays]
    check_weights(members[0].name, entering * (sum(sizes) + sum(carrier.size for carrier in passed)))
    merged = np.zeros((sum(sizes) + sum(carrier.size for carrier in passed), entering))
    rows = np.split(merged, np.cumsum(sizes))[:-1]
    for p, weight in zip(members, rows, strict=True):
        for path in p.paths:
            _add(weight, p, as_dense(path.layer), stage.carriers[path.source])
    loops = [recurrent_weights(p.neuron) if p.neuron and p.neuron.recurrence else None for p in members]
    weights_of = [
        [row] if loop is None else [row, divisor_of(p) * loop[0]]
        for p, row, loop in zip(members, rows, loops, strict=True)
    ]
    relay = relay_of(members, weights_of, scale if relays else None)
    if passed:
        relayed_places = np.concatenate([carrier.places.ravel() for carrier in passed])
        merged[sum(sizes) + np.arange(len(relayed_places)), relayed_places] = relay.pulse
    shape = (len(merged),)
    held = [(p.name, p.shape, (1, 1)) for p in members]
    held += [(name, carrier.shape, (1, 1)) for name, carrier in zip(relays, passed, strict=True)]
    bias = _bias(members, shape)
    recurrence = _recurrence(members, loops, len(merged))
    relayed = len(merged) - sum(sizes)
    weights = nir.Affine(merged, bias) if np.any(bias) else nir.Linear(merged)
    stage = Stage(shape, carriers_of(held, shape))
    layer = _layer(members, weights, recurrence, stage, relayed, relay, dt_s)
    return replace(layer, notes=(*layer.notes, *_memory(layer, members)))


def _add(weight: np.ndarray, population: Population, layer: FoldedLayer, carrier: Carrier) -> None:
    """Adds a path's matrix to the weights of a population, at the places of its source."""
    places, there = carrier.places.ravel(), slice(carrier.first, carrier.first + carrier.size)
    columns = there if np.array_equal(places, np.arange(there.start, there.stop)) else places
    factor = _factor(population, layer.divisor, layer.gain)
    factor = np.broadcast_to(np.reshape(factor, (-1, 1)), (len(weight), 1))
    for block in row_blocks(*weight.shape):
        weight[block, columns] += factor[block] * layer.weight[block]


def _memory(layer: MergedLayer, members: list[Population]) -> list[str]:
    """What a matrix in place of convolutions needs on the chip."""
    maps = [p.neuron for p in members if p.neuron is not None and len(p.neuron.input_shape) == 3]
    if not maps:
        return []
    held: dict[str, Any] = {"": layer.weights, "recurrent ": layer.recurrence}
    parts = {kind: node.weight for kind, node in held.items() if node is not None}
    sizes = [
        f"a {kind}matrix of {len(weight):,} x {weight.shape[1]:,} weights, {np.count_nonzero(weight):,} of them not 0"
        for kind, weight in parts.items()
    ]
    return [f"{layer.name}: runs as {' and '.join(sizes)}, since netx has no such convolution"]


def _factor(population: Population, divisor: int, gain: float | np.ndarray) -> np.ndarray | float:
    """Factor of the rows of a path's weights and bias."""
    return np.asarray(gain) * (divisor_of(population) // divisor)


def _bias(members: list[Population], shape: Shape) -> np.ndarray:
    """Bias of each row, or of each neuron where it differs within a channel; 0 for relays."""
    bias = np.zeros(shape[0])
    first = 0
    for p in members:
        rows = p.shape[0] if len(shape) == 3 else int(np.prod(p.shape))
        for path in p.paths:
            layer = path.layer
            own, gain = (layer.bias, layer.gain) if len(shape) == 3 else dense_rows(layer)
            bias[first : first + rows] += _factor(p, layer.divisor, gain) * own
        first += rows
    return bias


def _recurrence(
    members: list[Population], loops: list[tuple[np.ndarray, np.ndarray] | None], size: int
) -> nir.NIRNode | None:
    if not any(loop is not None for loop in loops):
        return None
    weight, bias, first = np.zeros((size, size)), np.zeros(size), 0
    for p, loop in zip(members, loops, strict=True):
        own = slice(first, first + int(np.prod(p.shape)))
        if loop is not None:
            weight[own, own], bias[own] = divisor_of(p) * loop[0], divisor_of(p) * loop[1]
        first = own.stop
    return nir.Affine(weight, bias) if np.any(bias) else nir.Linear(weight)


def _layer(
    members: list[Population], weights: nir.Conv2d | nir.Linear | nir.Affine, recurrence: nir.NIRNode | None,
    stage: Stage, relays: int,
    relay: Relay, dt_s: float,
) -> MergedLayer:  # fmt: skip
    names = dict.fromkeys(
        path.weights + (f"[{p.part.index}]" if p.part else "") for p in members for path in p.paths if path.weights
    )
    notes = [f"{p.name}: {note}" for p in members if p.step for note in p.step.notes]
    if relays and relay.cost > 1:
        notes.append(
            f"{members[0].name}: relays need a weight above the threshold, {relay.cost:.3g} times the largest weight "
            "of their layer, whose scale is that much lower"
        )
    return MergedLayer(
        name="+".join(names) or f"{members[0].name}.input",
        weights=weights,
        neurons="+".join(p.name for p in members),
        node=_neurons(members, stage.shape, relay.level, dt_s),
        recurrence=recurrence,
        stage=stage,
        computed=sum(p.shape[0] if len(stage.shape) == 3 else int(np.prod(p.shape)) for p in members),
        relays=relays,
        notes=tuple(notes),
    )


def _neurons(members: list[Population], shape: Shape, level: float, dt_s: float) -> nir.NIRNode:
    """The neurons of all populations and relays as one node, whose Euler step has their parameters."""
    first = members[0].step
    assert first is not None
    i_decay, v_decay = np.asarray(first.i_decay), np.asarray(first.v_decay)
    own = [(p, p.step) for p in members if p.step is not None]
    gain = _joined([(p, step.gain) for p, step in own], shape, 1.0)
    zeros = np.zeros(shape)
    firing = {}
    if np.isfinite(level):
        threshold = _joined([(p, divisor_of(p) * np.asarray(step.threshold)) for p, step in own], shape, level)
        firing = {"v_threshold": threshold, "v_reset": zeros}
    if not np.any(v_decay):
        return (nir.IF if firing else nir.I)(r=gain / dt_s, **firing)
    drive = _joined([(p, divisor_of(p) * np.asarray(step.drive)) for p, step in own], shape, 0.0)
    v_decay = _joined([(p, step.v_decay) for p, step in own], shape, float(np.max(v_decay)))
    tau, leak = dt_s / v_decay, drive / v_decay
    if np.all(i_decay == 1):
        return (nir.LIF if firing else nir.LI)(tau=tau, r=gain / v_decay, v_leak=leak, **firing)
    i_decay = _joined([(p, step.i_decay) for p, step in own], shape, 1.0)
    return (nir.CubaLIF if firing else nir.CubaLI)(
        tau_syn=dt_s / i_decay, tau_mem=tau, r=1 / v_decay, v_leak=leak, w_in=gain / i_decay, **firing
    )


def _joined(values: list[tuple[Population, Value]], shape: Shape, rest: float) -> np.ndarray:
    """Values of populations one after the other, float64 of `shape`; `rest` for the relays behind them."""
    joined = np.full(shape, rest)
    first = 0
    for p, value in values:
        own = np.broadcast_to(value, p.shape) if np.ndim(value) == 0 else np.reshape(value, p.shape)
        own = own if len(shape) == 3 else own.ravel()
        joined[first : first + len(own)] = own
        first += len(own)
    return joined
