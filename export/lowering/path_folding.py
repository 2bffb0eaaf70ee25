"""Folds the nodes on one path, pools, scales, delays and flattens, into the weights on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import nir
import numpy as np

from spikeport.errors import UserError
from spikeport.export.graph.chain import ChainNode
from spikeport.export.graph.node_kinds import SYNAPSES
from spikeport.export.graph.parameters import on_layer, per_row
from spikeport.export.graph.shapes import POOLS, check_weights, conv_geometry, pair, whole
from spikeport.export.lowering.branches.kernels import as_dense
from spikeport.export.lowering.delays import delay_inputs, delay_outputs
from spikeport.export.lowering.folded_layer import FoldedLayer
from spikeport.export.lowering.pool_folding import (
    NotOneConvolutionError,
    pool_after_conv,
    pool_after_dense,
    pool_before_conv,
    pool_before_dense,
)
from spikeport.values import Shape

GROUPS_LIMIT = 127


def fold_path(steps: list[ChainNode], target: ChainNode, shape: Shape, dt_s: float) -> tuple[FoldedLayer, str]:
    """Folds the nodes between two populations of neurons into one layer of weights.

    Args:
        steps: weights, pools, scales and flattens in the order of execution; delays are refused.
        target: the neurons that they lead to, or the graph's output.
        shape: shape of the population before them.
        dt_s: time step in seconds.

    Returns:
        The layer, and the name of the weight node, "" if there is none: then the weight is 1 from each input to its own
        neuron.

    Raises:
        UserError: there are two weights, a delay, or folding would not be exact.
    """
    if delay := next((step for step in steps if isinstance(step.node, nir.Delay)), None):
        raise UserError("is a delay in a graph with branches", where=delay.name,
                        cause="signals that are added would need delays of their own",
                        hint="remove it, or train a plain chain")  # fmt: skip
    layer, before = weights_of(steps, dt_s, matrices=True)
    if layer is not None:
        return layer, next(step.name for step in steps if isinstance(step.node, SYNAPSES))
    entering = replace(target, input_shape=before[-1].output_shape if before else shape)
    return with_earlier(identity(entering, before), before, dt_s, matrices=True), ""


def weights_of(
    steps: list[ChainNode], dt_s: float, *, matrices: bool = False
) -> tuple[FoldedLayer | None, list[ChainNode]]:
    """The weight layer among `steps` with all others folded in; without weights None, and the steps.

    Args:
        steps: weights, pools, scales, delays and flattens in the order of execution.
        dt_s: time step in seconds, for delays.
        matrices: whether a convolution becomes a matrix where a pool or scale does not fold into it.
    """
    layer: FoldedLayer | None = None
    before: list[ChainNode] = []
    for step in steps:
        if isinstance(step.node, SYNAPSES):
            if layer is not None:
                raise UserError(
                    f"follows {layer.name} with no neuron between them", where=step.name,
                    cause="netx has neurons behind every weight layer",
                    hint="multiply the two weights into one layer, or put a neuron between them",
                )  # fmt: skip
            layer, before = with_earlier(weight_layer(step), before, dt_s, matrices=matrices), []
        elif layer is not None:
            layer = _or_matrix(layer, step, _absorb_behind, dt_s, matrices=matrices)
        else:
            before.append(step)
    return layer, before


def weight_layer(step: ChainNode) -> FoldedLayer:
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


def with_earlier(layer: FoldedLayer, before: list[ChainNode], dt_s: float, *, matrices: bool = False) -> FoldedLayer:
    """Folds the nodes before a layer into it, the nearest first; arguments as for `weights_of`."""
    for step in reversed(before):
        layer = _or_matrix(layer, step, _absorb_before, dt_s, matrices=matrices)
    return layer


def _or_matrix(
    layer: FoldedLayer, step: ChainNode, absorb: Callable[[FoldedLayer, ChainNode, float], FoldedLayer], dt_s: float, *,
    matrices: bool,
) -> FoldedLayer:  # fmt: skip
    """The layer with a node folded in; as a matrix, into which all folds, if it is no convolution then."""
    try:
        return absorb(layer, step, dt_s)
    except NotOneConvolutionError as conflict:
        if not matrices or layer.kind == "dense":
            raise
        try:
            dense = as_dense(layer)
        except UserError as large:
            raise UserError(
                conflict.message, where=conflict.where, hint=conflict.hint,
                cause=f"{conflict.cause}, and {large.where} {large.message}, {large.cause}",
            ) from None  # fmt: skip
        return absorb(dense, step, dt_s)


def _absorb_before(layer: FoldedLayer, step: ChainNode, dt_s: float) -> FoldedLayer:
    if isinstance(step.node, nir.Flatten):
        return replace(layer, input_shape=step.input_shape)
    if isinstance(step.node, nir.Scale):
        return _scale_inputs(layer, step)
    if isinstance(step.node, nir.Delay):
        return delay_inputs(layer, step, dt_s)
    return _pool_inputs(layer, step)


def _absorb_behind(layer: FoldedLayer, step: ChainNode, dt_s: float) -> FoldedLayer:
    if isinstance(step.node, nir.Flatten):
        return layer
    if isinstance(step.node, nir.Scale):
        factors = factors_of(step)
        rows = per_row(factors.ravel() if layer.kind == "dense" else factors, layer.output_shape)
        if rows is None:
            raise _spatial(step, f"the rows of {layer.name}")
        return replace(layer, gain=layer.gain * rows, folded=(*layer.folded, step.name))
    if isinstance(step.node, nir.Delay):
        return delay_outputs(layer, step, dt_s)
    kernel, stride, padding, divisor = _pool(step)
    if layer.kind == "dense":
        weight, bias = pool_after_dense(layer, step, kernel, stride, padding)
        return replace(
            layer, weight=weight, bias=bias, gain=1.0, divisor=layer.divisor * divisor,
            folded=(*layer.folded, step.name),
        )  # fmt: skip
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
    factors = factors_of(step)
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
    return NotOneConvolutionError(
        "its factors differ within a channel", where=step.name, cause=f"only one factor a channel goes into {into}",
        hint="use one factor a channel, shape (C, 1, 1), or train without this node",
    )  # fmt: skip


def factors_of(step: ChainNode) -> np.ndarray:
    factors = on_layer(step.name, "scale", cast("nir.Scale", step.node).scale, step.input_shape)
    if not np.all(np.isfinite(factors)):
        raise UserError("its factors hold NaN or infinity", where=step.name, hint="check the training of this node")
    return factors


def identity(neuron: ChainNode, before: list[ChainNode]) -> FoldedLayer:
    """Identity weight for a neuron without weights: weight 1 from each input to its own neuron."""
    name, shape = name_of(before) or f"{neuron.name}.input", neuron.input_shape
    delayed = any(isinstance(step.node, nir.Delay) for step in before)
    for step in reversed(before if not (neuron.recurrence or delayed) else []):
        if len(shape) == 1:
            shape = step.input_shape  # before a Flatten, so that the layer stays a depthwise convolution
    if len(shape) == 1:
        return identity_matrix(name, shape)
    channels = shape[0]
    depthwise = channels <= GROUPS_LIMIT
    weight = np.ones((channels, 1, 1, 1)) if depthwise else np.eye(channels)[:, :, None, None]
    groups = channels if depthwise else 1
    return FoldedLayer(
        name=name, kind="conv", weight=weight, bias=np.zeros(channels), input_shape=shape, groups=groups
    )  # fmt: skip


def identity_matrix(name: str, shape: Shape) -> FoldedLayer:
    size = int(np.prod(shape))
    check_weights(name, size * size)
    return FoldedLayer(name=name, kind="dense", weight=np.eye(size), bias=np.zeros(size), input_shape=shape)


def name_of(before: list[ChainNode]) -> str:
    return next((step.name for step in before if not isinstance(step.node, nir.Flatten)), "")


def recurrent_weights(neuron: ChainNode) -> tuple[np.ndarray, np.ndarray]:
    """(weight, bias) of the recurrent connection of a neuron, float64 `(N, N)` and `(N,)`."""
    size = int(np.prod(neuron.output_shape))
    weight, bias = None, np.zeros(size)
    for step in neuron.recurrence:
        if isinstance(step.node, nir.Scale):
            factors = factors_of(step).ravel()
            weight = np.diag(factors) if weight is None else factors[:, None] * weight
            bias = factors * bias
        else:
            inner = as_dense(weight_layer(step))
            weight, bias = inner.weight if weight is None else inner.weight @ weight, inner.bias
    return np.eye(size) if weight is None else weight, bias


def _pool(step: ChainNode) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int], int]:
    """(kernel, stride, padding, divisor) of a pool. Averages include the padding, which is torch's default."""
    kernel, stride, padding = (
        pair(getattr(step.node, key), step.name, key) for key in ("kernel_size", "stride", "padding")
    )
    assert isinstance(step.node, POOLS)
    return kernel, stride, padding, kernel[0] * kernel[1] if isinstance(step.node, nir.AvgPool2d) else 1
