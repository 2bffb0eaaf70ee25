"""Fan-out of the inputs of a layer, exact at edges and with stride, dilation, groups and padding.

A spike causes one synaptic operation per synapse. The usual estimate, firing rate times MACs, is not exact: pixels at
an edge feed fewer neurons, and with stride and without padding the last rows may feed none.
"""

from __future__ import annotations

import numpy as np

from spikeport.export.network.integer_network import IntegerLayer


def fan_out_map(layer: IntegerLayer) -> np.ndarray:
    """Number of synapses of each input, zero weights included, recurrent ones not.

    For a convolution it is (Cout / groups) * f(y) * f(x) with f(i) = #{j < k : (i + p - j d) / s is an output index}.

    Args:
        layer: the layer.

    Returns:
        int64 of `layer.input_shape`; zeros for an input layer, which has no synapses.
    """
    if layer.kind != "conv":
        return np.full(layer.input_shape, layer.weight.shape[0] if layer.kind == "dense" else 0, dtype=np.int64)
    rows, columns = (_taps(layer, axis).sum(axis=0) for axis in (0, 1))
    per_pixel = layer.weight.shape[0] // layer.groups * np.outer(rows, columns)
    return np.broadcast_to(per_pixel, layer.input_shape).copy()


def effective_fan_out_map(layer: IntegerLayer) -> np.ndarray:
    """Number of synapses with nonzero weight of each input (NeuroBench's effective operations).

    Args:
        layer: the layer.

    Returns:
        int64 of `layer.input_shape`, as `fan_out_map`.
    """
    if layer.kind == "input":
        return np.zeros(layer.input_shape, dtype=np.int64)
    nonzero = layer.weight != 0
    if layer.kind == "dense":
        return nonzero.sum(axis=0, dtype=np.int64).reshape(layer.input_shape)
    # Weights of one group meet only its input channels: [g, Cout/g, Cin/g, kH, kW] -> [Cin, kH, kW].
    grouped = nonzero.reshape(layer.groups, -1, *nonzero.shape[1:])
    per_tap = grouped.sum(axis=1, dtype=np.int64).reshape(layer.input_shape[0], *nonzero.shape[2:])
    return np.einsum("cjk,jy,kx->cyx", per_tap, _taps(layer, 0), _taps(layer, 1), optimize=True)


def dense_ops(layer: IntegerLayer) -> int:
    """Synaptic operations of a step in which every input fires, recurrent ones included (NeuroBench's Dense).

    Args:
        layer: the layer.
    """
    return int(fan_out_map(layer).sum()) + (0 if layer.weight_rec is None else layer.weight_rec.size)


def naive_macs(layer: IntegerLayer) -> int:
    """MACs by the usual formula, outputs times kernel size, which includes taps on padding.

    Args:
        layer: the layer.
    """
    if layer.kind == "input":
        return 0
    positions = 1 if layer.kind == "dense" else int(np.prod(layer.output_shape[1:]))
    return layer.weight.size * positions + (0 if layer.weight_rec is None else layer.weight_rec.size)


def addressed_synapses(layer: IntegerLayer) -> int:
    """Number of synapses that an event addresses, including those outside the output.

    This is the number of outputs of a dense layer, Cout / groups * kH * kW for a convolution, 0 for an input layer.

    Args:
        layer: the layer.
    """
    if layer.kind != "conv":
        return layer.weight.shape[0] if layer.kind == "dense" else 0
    return layer.weight[:, 0].size // layer.groups


def synapse_weights(layer: IntegerLayer) -> int:
    """Number of weights of a layer, recurrent ones included; 0 for an input layer.

    Args:
        layer: the layer.
    """
    if layer.kind == "input":
        return 0
    return layer.weight.size + (0 if layer.weight_rec is None else layer.weight_rec.size)


def nonzero_weights(layer: IntegerLayer) -> int:
    """Number of weights of a layer that are not 0, recurrent ones included; 0 for an input layer.

    Args:
        layer: the layer.
    """
    if layer.kind == "input":
        return 0
    return int(np.count_nonzero(layer.weight)) + (
        0 if layer.weight_rec is None else int(np.count_nonzero(layer.weight_rec))
    )


def _taps(layer: IntegerLayer, axis: int) -> np.ndarray:
    """int64 `[k, L]` along one axis: 1 if input index i is connected to an output through tap j, else 0."""
    kernel, length = layer.weight.shape[2 + axis], layer.input_shape[1 + axis]
    shifted = (
        np.arange(length) + layer.padding[axis] - layer.dilation[axis] * np.arange(kernel, dtype=np.int64)[:, None]
    )
    output, remainder = np.divmod(shifted, layer.stride[axis])
    return ((remainder == 0) & (output >= 0) & (output < layer.output_shape[1 + axis])).astype(np.int64)
