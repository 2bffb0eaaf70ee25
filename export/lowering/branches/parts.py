"""Splits a population whose neurons have decays of their own into parts of one decay each. The rewrite is exact.

On request, parts hold rows of like size, so that each has a scale of its own (`row_scales`).

Every neuron keeps its weights, its bias, its threshold and its decays; parts are only computed in different layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import nir
import numpy as np

from spikeport.errors import NeedsAdaptError, UserError
from spikeport.export.graph.chain import ChainNode
from spikeport.export.graph.parameters import Value, beside, per_row
from spikeport.export.graph.structure import refuse
from spikeport.export.lowering.branches.kernels import as_dense, plain_kernel
from spikeport.export.lowering.branches.populations import Part, Path, Population, scale_of
from spikeport.export.lowering.branches.row_scales import row_groups
from spikeport.export.lowering.discretize import EulerStep
from spikeport.export.lowering.folded_layer import FoldedLayer
from spikeport.export.lowering.path_folding import recurrent_weights
from spikeport.export.network.fixed_point import BIAS_LIMIT, DECAY_ONE, WEIGHT_LIMIT
from spikeport.values import Shape

PARTS_LIMIT = 64  # layers that one population becomes at most
FLOAT32 = 2.0**-22  # relative distance from an integer that may come from storage in float32


def split(
    found: dict[str, Population], scales: Mapping[str, float], whole: set[str], row_scales: Mapping[str, int],
    *, own_decays: bool = True,
) -> dict[str, Population]:  # fmt: skip
    """Populations with one set of decays each, and with a scale for each group of rows where that was asked for.

    They are in an order of execution.

    Args:
        found: the populations.
        scales: scales of weight nodes that are on an integer grid already. A population behind such weights is also
            split where thresholds differ, since a row that is rescaled would leave the grid.
        whole: names of populations that stay as they are.
        row_scales: groups of rows with scales of their own, by name of a population.
        own_decays: whether a layer may not have neurons of different decays.

    Raises:
        UserError: a population would become too many layers, or its parts are connected by recurrent weights.
    """
    result: dict[str, Population] = {}
    parts: dict[str, list[Part]] = {}
    faults: list[UserError] = []
    for name, p in found.items():
        paths = [piece for path in p.paths for piece in _pieces(path, parts.get(path.source, []))]
        p = replace(p, paths=tuple(paths))
        if p.step is None or name in whole:
            result[name] = p
            continue
        loop = recurrent_weights(p.neuron) if p.neuron is not None and p.neuron.recurrence else None
        groups = np.zeros(p.shape, dtype=np.int64)
        if own_decays:
            if needs_matrix(p.step, p.shape):
                p = _flat(p)
            assert p.step is not None
            layers, weight_rec = [path.layer for path in p.paths], None if loop is None else loop[0]
            groups = own_groups(layers, p.step, p.shape, scale_of(p, scales), weight_rec)
        by_scale = row_groups(p, row_scales[name]) if row_scales.get(name, 1) > 1 else None
        if by_scale is not None:
            groups = _ranked([groups, by_scale], p.shape)
        try:
            made = _parts(p, groups, loop, by_scale=by_scale is not None)
        except UserError as fault:
            faults.append(fault)
            continue
        result |= {each.name: each for each in made}
        if len(made) > 1:
            parts[name] = [each.part for each in made if each.part is not None]
    refuse(faults)
    return result


def split_words(parts: Mapping[str, Sequence[Part]], relays: Sequence[int]) -> dict[str, str]:
    """What became of each population that was split, for people.

    Args:
        parts: its parts, by name.
        relays: number of relays of each layer of the chain.
    """
    return {
        name: f"{len(own)} layers with {own[0].shares} each; the chain has {sum(relays):,} relays"
        for name, own in parts.items()
    }


def own_groups(
    layers: Sequence[FoldedLayer], step: EulerStep, shape: Shape, scale: float | None, weight_rec: np.ndarray | None
) -> np.ndarray:
    """The part of each neuron, int64 of `shape`; smaller parts have lower numbers.

    Args:
        layers: the weights of all inputs of the neurons.
        step: the Euler step of the neurons.
        shape: shape of the population.
        scale: integer units per float unit if the weights are on a grid already, else None. Where they would leave it,
            neurons of one part share a threshold too, unless recurrent weights lead from part to part.
        weight_rec: recurrent weights, or None.
    """
    if _leaves_grid(layers, step, shape, scale):
        groups = _groups(step, shape, by_threshold=True)
        if weight_rec is None or not _is_crossed(groups, weight_rec):
            return groups
    return _groups(step, shape, by_threshold=False)


def _groups(step: EulerStep, shape: Shape, *, by_threshold: bool) -> np.ndarray:
    decays = [np.asarray(value, dtype=np.float64) for value in (step.i_decay, step.v_decay)]
    keys = [np.rint(DECAY_ONE * value) for value in decays] + [value == 0 for value in decays]
    if by_threshold:
        keys.append(np.asarray(step.threshold))
    return _ranked(keys, shape)


def _ranked(keys: Sequence[np.ndarray], shape: Shape) -> np.ndarray:
    """Number of each combination of keys, int64 of `shape`; rarer ones have lower numbers."""
    rows = np.stack([np.broadcast_to(np.reshape(key, shape) if key.ndim else key, shape).ravel() for key in keys])
    _, first, group, count = np.unique(rows, axis=1, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.lexsort((first, count))] = np.arange(len(first))
    return rank[group.ravel()].reshape(shape)


def _leaves_grid(layers: Iterable[FoldedLayer], step: EulerStep, shape: Shape, scale: float | None) -> bool:
    """Whether weights on a grid would leave it if their rows were multiplied to share the largest threshold."""
    if scale is None or np.ndim(step.threshold) == 0 or np.any(np.asarray(step.i_decay) != 1):
        return False  # behind currents that last, parts could not be in different layers
    threshold = per_row(step.threshold, shape)
    gain = step.gain if np.ndim(step.gain) == 0 else per_row(step.gain, shape)
    if threshold is None or gain is None:
        return True
    factor = scale * gain * threshold.max() / threshold
    for layer in layers:
        rows = np.repeat(factor, len(layer.weight) // len(factor)) * layer.gain
        for array, unit, limit in ((layer.weight, 2, WEIGHT_LIMIT), (layer.bias, 1, BIAS_LIMIT)):
            values = beside(rows, array) * array / unit
            off = np.abs(values - np.rint(values)) > FLOAT32 * np.maximum(np.abs(values), 1.0)
            if np.any(off) or np.any(np.abs(values) * unit > limit + 0.5):
                return True
    return False


def needs_matrix(step: EulerStep, shape: Shape) -> bool:
    """Whether thresholds or gains differ within a channel, so that every neuron needs weights of its own.

    Args:
        step: parameters of one step.
        shape: shape of the layer.
    """
    return len(shape) == 3 and any(
        np.ndim(value) > 0 and per_row(value, shape) is None for value in (step.threshold, step.gain)
    )


def _flat(p: Population) -> Population:
    assert p.step is not None
    assert p.neuron is not None
    shape = (int(np.prod(p.shape)),)
    paths = tuple(replace(path, layer=as_dense(path.layer)) for path in p.paths)
    return replace(p, shape=shape, paths=paths, step=_mapped(p.step, np.ravel))


def _parts(
    p: Population, groups: np.ndarray, loop: tuple[np.ndarray, np.ndarray] | None, *, by_scale: bool
) -> list[Population]:
    count = int(groups.max()) + 1
    if count == 1:
        return [p]
    if count > PARTS_LIMIT:
        raise NeedsAdaptError(
            f"its neurons have {count} different decays, which would become {count} layers", where=p.name,
            cause=f"a layer on the chip has one set of decays, and {PARTS_LIMIT} is the limit",
            hint="train one decay per layer, or round the decays to a few values; --allow-vector for simulators only",
        )  # fmt: skip
    channels = groups.reshape(len(groups), -1)
    on_grid = (
        len(p.shape) == 3
        and all(path.layer.kind == "conv" for path in p.paths)
        and bool(np.all(channels == channels[:, :1]))
        and loop is None
    )
    if loop is not None and _is_crossed(groups, loop[0]):
        raise NeedsAdaptError(
            "neurons with different decays are connected by recurrent weights", where=p.name,
            cause="they would be in different layers, and netx leads spikes back to their own layer only",
            hint="train one decay for this layer; --allow-vector for simulators only",
        )  # fmt: skip
    if not on_grid:
        p = _flat(p)
    made = [_part(p, index, groups, loop, on_grid=on_grid) for index in range(count)]
    return [replace(each, part=replace(each.part, by_scale=True)) if by_scale and each.part else each for each in made]


def _part(
    p: Population, index: int, groups: np.ndarray, loop: tuple[np.ndarray, np.ndarray] | None, *, on_grid: bool
) -> Population:
    assert p.step is not None
    assert p.neuron is not None
    neurons = np.flatnonzero(groups.ravel() == index)
    rows = np.flatnonzero(groups.reshape(len(groups), -1)[:, 0] == index) if on_grid else neurons
    entire, shape = p.shape, (len(rows), *p.shape[1:])
    part = Part(p.name, index, neurons.reshape(shape))
    recurrence: tuple[ChainNode, ...] = ()
    if loop is not None:
        weight, bias = loop[0][np.ix_(neurons, neurons)], loop[1][neurons]
        node = nir.Affine(weight, bias) if np.any(bias) else nir.Linear(weight)
        recurrence = (ChainNode(f"{part.name}.w_rec", node, shape, shape),)
    return Population(
        name=part.name,
        shape=shape,
        paths=tuple(replace(path, layer=_rows(path.layer, rows)) for path in p.paths),
        neuron=replace(p.neuron, name=part.name, input_shape=shape, output_shape=shape, recurrence=recurrence),
        step=_mapped(p.step, lambda values: np.reshape(values, entire)[rows]),
        part=part,
    )


def _is_crossed(groups: np.ndarray, weight_rec: np.ndarray) -> bool:
    """Whether recurrent weights lead from one part to another."""
    return bool(np.any(weight_rec[groups.reshape(-1, 1) != groups.ravel()]))


def _rows(layer: FoldedLayer, rows: np.ndarray) -> FoldedLayer:
    """Some output channels of a convolution, or some output neurons of a matrix."""
    gain = layer.gain[rows] if isinstance(layer.gain, np.ndarray) and layer.gain.ndim else layer.gain
    if layer.kind == "dense":
        return replace(layer, weight=layer.weight[rows], bias=layer.bias[rows], gain=gain)
    weight = plain_kernel(layer)[rows]
    return replace(layer, weight=weight, bias=layer.bias[rows], gain=gain, groups=1, dilation=(1, 1))


def _mapped(step: EulerStep, change: Callable[[np.ndarray], np.ndarray]) -> EulerStep:
    """The Euler step with `change` done to every parameter that neurons do not share."""

    def changed(value: Value) -> Value:
        return change(value) if isinstance(value, np.ndarray) and value.ndim else value

    return replace(
        step,
        i_decay=changed(step.i_decay),
        v_decay=changed(step.v_decay),
        gain=changed(step.gain),
        threshold=changed(step.threshold),
        drive=changed(step.drive),
    )


def _pieces(path: Path, parts: list[Part]) -> list[Path]:
    """The path from each part of its source; a bias goes with the first."""
    if not parts:
        return [path]
    pieces = []
    for number, part in enumerate(parts):
        layer = _columns(path.layer, part)
        if number:
            layer = replace(layer, bias=np.zeros_like(layer.bias))
        if not number or np.any(layer.weight):
            pieces.append(replace(path, source=part.name, layer=layer))
    return pieces


def _columns(layer: FoldedLayer, part: Part) -> FoldedLayer:
    """A layer on one part of its input, without the weights of others."""
    shape = part.neurons.shape
    if len(shape) == 3 and layer.kind == "conv":
        channels = part.neurons[:, 0, 0] // int(np.prod(shape[1:]))
        weight = plain_kernel(layer)[:, channels]
        return replace(layer, weight=weight, input_shape=shape, groups=1, dilation=(1, 1))
    layer = as_dense(layer)
    return replace(layer, weight=layer.weight[:, part.neurons.ravel()], input_shape=shape)
