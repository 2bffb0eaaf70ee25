"""Folds pools, scales, delays and flattens, which netx does not have, into the adjacent weight layers.

The rewrites are exact. Weights are only added and multiplied. The division of an average pool is kept in `divisor`,
which later multiplies the threshold instead of dividing the weights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import nir
import numpy as np

from spikeport.errors import UserError
from spikeport.export.graph.chain import NEURONS, SYNAPSES, ChainNode
from spikeport.export.graph.parameters import on_layer, per_row
from spikeport.export.graph.shapes import POOLS, check_weights, conv_geometry, pair, whole
from spikeport.export.lowering.delays import delay_inputs, delay_outputs
from spikeport.export.lowering.folded_layer import FoldedLayer
from spikeport.export.lowering.pool_folding import pool_after_conv, pool_before_conv, pool_before_dense
from spikeport.values import Shape

GROUPS_LIMIT = 127


@dataclass(frozen=True)
class Folded:
    """Result of `fold`.

    Attributes:
        layers: pairs of a weight layer and the neuron after it.
        host: weight layer after the last neuron, which the host computes because netx cannot; None if there is none.
    """

    layers: tuple[tuple[FoldedLayer, ChainNode], ...]
    host: FoldedLayer | None = None


def fold(steps: tuple[ChainNode, ...], dt_s: float) -> Folded:
    """Folds a chain into pairs of a weight layer and a neuron.

    Each pair comes from `[pool|scale|delay|flatten]* weights [pool|scale|delay|flatten]* neuron`. A neuron without
    weights before it gets an identity weight (a depthwise convolution), into which pools and scales are folded.

    Args:
        steps: the chain.
        dt_s: time step in seconds, for delays.

    Raises:
        UserError: the chain has another form, or folding would not be exact.
    """
    layers: list[tuple[FoldedLayer, ChainNode]] = []
    before: list[ChainNode] = []
    layer: FoldedLayer | None = None
    for step in steps:
        if isinstance(step.node, NEURONS):
            if layer is None:
                layer = _with_earlier(_identity(step, before), before, dt_s)
            layers.append((_with_recurrence(layer, step), step))
            layer, before = None, []
        elif isinstance(step.node, SYNAPSES):
            if layer is not None:
                raise UserError(
                    f"follows {layer.name} with no neuron between them", where=step.name,
                    cause="netx has neurons behind every weight layer",
                    hint="multiply the two weights into one layer, or put a neuron between them",
                )  # fmt: skip
            layer, before = _with_earlier(_weight_layer(step), before, dt_s), []
        elif layer is not None:
            layer = _absorb_behind(layer, step, dt_s)
        else:
            before.append(step)
    if not layers:
        raise UserError(
            "the graph has no neuron behind its weights", where=layer.name if layer else "",
            cause="netx has neurons behind every weight layer", hint="end in a LIF and classify by its spike counts",
        )  # fmt: skip
    if layer is None and any(not isinstance(step.node, nir.Flatten) for step in before):
        layer = _with_earlier(_eye(_name(before), before[-1].output_shape), before, dt_s)
    return Folded(tuple(layers), None if layer is None else _on_host(layer))


def _weight_layer(step: ChainNode) -> FoldedLayer:
    node, name = cast("nir.Linear | nir.Affine | nir.Conv2d", step.node), step.name
    weight = np.asarray(node.weight, dtype=np.float64)
    bias = np.zeros(weight.shape[0])
    if not isinstance(node, nir.Linear) and node.bias is not None:
        bias = np.asarray(node.bias, dtype=np.float64).ravel()
    if bias.shape != (weight.shape[0],):
        raise UserError(f"bias has shape {bias.shape}, expected ({weight.shape[0]},)", where=name)
    if not (np.all(np.isfinite(weight)) and np.all(np.isfinite(bias))):
        raise UserError("weight or bias holds NaN or infinity", where=name, hint="check the training of this layer")
    if not isinstance(node, nir.Conv2d):
        return FoldedLayer(name=name, kind="dense", weight=weight, bias=bias, input_shape=step.input_shape)
    weight, stride, padding, dilation = conv_geometry(node, name)
    return FoldedLayer(
        name=name,
        kind="conv",
        weight=weight,
        bias=bias,
        input_shape=step.input_shape,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=whole(node.groups, name, "groups"),
    )


def _with_earlier(layer: FoldedLayer, before: list[ChainNode], dt_s: float) -> FoldedLayer:
    """Folds the nodes before a layer into it, the nearest first."""
    for step in reversed(before):
        if isinstance(step.node, nir.Flatten):
            layer = replace(layer, input_shape=step.input_shape)
        elif isinstance(step.node, nir.Scale):
            layer = _scale_inputs(layer, step)
        elif isinstance(step.node, nir.Delay):
            layer = delay_inputs(layer, step, dt_s)
        else:
            layer = _pool_inputs(layer, step)
    return layer


def _absorb_behind(layer: FoldedLayer, step: ChainNode, dt_s: float) -> FoldedLayer:
    if isinstance(step.node, nir.Flatten):
        return layer
    if isinstance(step.node, nir.Scale):
        rows = per_row(_factors(step), layer.output_shape)
        if rows is None:
            raise _spatial(step, f"the rows of {layer.name}")
        return replace(layer, gain=layer.gain * rows, folded=(*layer.folded, step.name))
    if isinstance(step.node, nir.Delay):
        return delay_outputs(layer, step, dt_s)
    kernel, stride, padding, divisor = _pool(step)
    weight, bias = pool_after_conv(layer, step, kernel, stride, padding)
    return replace(
        layer,
        weight=weight,
        bias=bias,
        stride=(layer.stride[0] * stride[0], layer.stride[1] * stride[1]),
        padding=(layer.padding[0] + padding[0] * layer.stride[0], layer.padding[1] + padding[1] * layer.stride[1]),
        dilation=(1, 1),
        divisor=layer.divisor * divisor,
        folded=(*layer.folded, step.name),
    )


def _pool_inputs(layer: FoldedLayer, step: ChainNode) -> FoldedLayer:
    kernel, stride, padding, divisor = _pool(step)
    layer = replace(
        layer,
        input_shape=step.input_shape,
        divisor=layer.divisor * divisor,
        bias=layer.bias * divisor,
        folded=(*layer.folded, step.name),
    )
    if layer.kind == "dense":
        weight, delay = pool_before_dense(layer, step, kernel, stride, padding)
        return replace(layer, weight=weight, delay=delay)
    return replace(
        layer,
        weight=pool_before_conv(layer, step, kernel, stride, padding),
        stride=(layer.stride[0] * stride[0], layer.stride[1] * stride[1]),
        padding=(padding[0] + layer.padding[0] * stride[0], padding[1] + layer.padding[1] * stride[1]),
        dilation=(1, 1),
    )


def _scale_inputs(layer: FoldedLayer, step: ChainNode) -> FoldedLayer:
    factors = _factors(step)
    folded = (*layer.folded, step.name)
    if layer.kind == "dense":
        return replace(layer, weight=layer.weight * factors.ravel(), folded=folded)
    channels = per_row(factors, layer.input_shape)
    if channels is None:
        raise _spatial(step, f"the input channels of {layer.name}")
    per_group = len(layer.weight) // layer.groups
    columns = channels.reshape(layer.groups, -1).repeat(per_group, axis=0)
    return replace(layer, weight=layer.weight * columns[:, :, None, None], folded=folded)


def _spatial(step: ChainNode, into: str) -> UserError:
    return UserError(
        "its factors differ within a channel", where=step.name, cause=f"only one factor a channel goes into {into}",
        hint="use one factor a channel, shape (C, 1, 1), or train without this node",
    )  # fmt: skip


def _factors(step: ChainNode) -> np.ndarray:
    factors = on_layer(step.name, "scale", cast("nir.Scale", step.node).scale, step.input_shape)
    if not np.all(np.isfinite(factors)):
        raise UserError("its factors hold NaN or infinity", where=step.name, hint="check the training of this node")
    return factors


def _identity(neuron: ChainNode, before: list[ChainNode]) -> FoldedLayer:
    """Identity weight for a neuron without weights: weight 1 from each input to its own neuron."""
    name, shape = _name(before) or f"{neuron.name}.input", neuron.input_shape
    delayed = any(isinstance(step.node, nir.Delay) for step in before)
    for step in reversed(before if not (neuron.recurrence or delayed) else []):
        if len(shape) == 1:
            shape = step.input_shape  # before a Flatten, so that the layer stays a depthwise convolution
    if len(shape) == 1:
        return _eye(name, shape)
    channels = shape[0]
    depthwise = channels <= GROUPS_LIMIT
    weight = np.ones((channels, 1, 1, 1)) if depthwise else np.eye(channels)[:, :, None, None]
    groups = channels if depthwise else 1
    return FoldedLayer(
        name=name, kind="conv", weight=weight, bias=np.zeros(channels), input_shape=shape, groups=groups
    )  # fmt: skip


def _eye(name: str, shape: Shape) -> FoldedLayer:
    size = int(np.prod(shape))
    check_weights(name, size * size)
    return FoldedLayer(name=name, kind="dense", weight=np.eye(size), bias=np.zeros(size), input_shape=shape)


def _name(before: list[ChainNode]) -> str:
    return next((step.name for step in before if not isinstance(step.node, nir.Flatten)), "")


def _with_recurrence(layer: FoldedLayer, neuron: ChainNode) -> FoldedLayer:
    """Adds the recurrent weight of a neuron to its layer, multiplied by the divisor of the layer."""
    if not neuron.recurrence:
        return layer
    if layer.kind != "dense":
        raise UserError(
            f"is recurrent around the convolution {layer.name}", where=neuron.name,
            cause="netx has recurrent weights for dense layers only", hint="put a Flatten and a Linear before it",
        )  # fmt: skip
    if layer.delay is not None:
        raise UserError(
            f"is recurrent behind the delayed layer {layer.name}", where=neuron.name,
            cause="netx would delay the recurrent spikes as well", hint="train without this delay",
        )  # fmt: skip
    size = layer.output_shape[0]
    weight, bias = np.eye(size), np.zeros(size)
    for step in neuron.recurrence:
        if isinstance(step.node, nir.Scale):
            factors = _factors(step)
            weight, bias = factors[:, None] * weight, factors * bias
        else:
            inner = _weight_layer(step)
            weight, bias = inner.weight @ weight, inner.bias
    names = tuple(step.name for step in neuron.recurrence)
    return replace(
        layer, weight_rec=layer.divisor * weight, bias_rec=layer.divisor * bias, folded=(*layer.folded, *names)
    )


def _on_host(layer: FoldedLayer) -> FoldedLayer:
    if layer.kind != "dense":
        raise UserError(
            "the graph ends in a convolution without a neuron", where=layer.name,
            cause="the host reads out with one matrix", hint="put a Flatten before a Linear, or end in a LIF",
        )  # fmt: skip
    if layer.delay is not None:
        raise UserError("is delayed behind the last neuron", where=layer.name, cause="the host reads spike counts",
                        hint="remove the Delay")  # fmt: skip
    return layer


def _pool(step: ChainNode) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int], int]:
    """(kernel, stride, padding, divisor) of a pool. Averages include the padding, which is torch's default."""
    kernel, stride, padding = (
        pair(getattr(step.node, key), step.name, key) for key in ("kernel_size", "stride", "padding")
    )
    assert isinstance(step.node, POOLS)
    return kernel, stride, padding, kernel[0] * kernel[1] if isinstance(step.node, nir.AvgPool2d) else 1
