"""How many synapses each input of a layer feeds: exact at edges, under stride, dilation, groups and padding.

A spike costs as many synaptic operations as it has synapses. Rate times the layer's MACs errs either way:
edge pixels feed fewer neurons and, under stride without padding, trailing rows may feed none.
"""

from __future__ import annotations

import numpy as np

from spikeport.export.network.integer_network import IntegerLayer


def fan_out_map(layer: IntegerLayer) -> np.ndarray:
    """Synapses fed by each input, zero weights counted: int64 of `layer.input_shape`; recurrent ones left out.

    An input layer has neurons but no synapses.
    Convolution: (Cout / groups) * f(y) * f(x), f(i) = #{j < k : (i + p - j d) / s is an output index}.
    """
    if layer.kind != "conv":
        return np.full(layer.input_shape, layer.weight.shape[0] if layer.kind == "dense" else 0, dtype=np.int64)
    rows, columns = (_taps(layer, axis).sum(axis=0) for axis in (0, 1))
    per_pixel = layer.weight.shape[0] // layer.groups * np.outer(rows, columns)
    return np.broadcast_to(per_pixel, layer.input_shape).copy()


def effective_fan_out_map(layer: IntegerLayer) -> np.ndarray:
    """The same without synapses of weight zero (NeuroBench's effective operations): int64, same shape."""
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
    """Synaptic operations of a step in which every input fires, recurrent ones too (NeuroBench's Dense)."""
    return int(fan_out_map(layer).sum()) + (0 if layer.weight_rec is None else layer.weight_rec.size)


def naive_macs(layer: IntegerLayer) -> int:
    """MACs by the usual formula, outputs times kernel, which also counts taps that fall on padding."""
    if layer.kind == "input":
        return 0
    positions = 1 if layer.kind == "dense" else int(np.prod(layer.output_shape[1:]))
    return layer.weight.size * positions + (0 if layer.weight_rec is None else layer.weight_rec.size)


def addressed_synapses(layer: IntegerLayer) -> int:
    """Synapses that an event looks for, those that fall off an edge too: outputs, or Cout / groups * kernel."""
    if layer.kind != "conv":
        return layer.weight.shape[0] if layer.kind == "dense" else 0
    return layer.weight[:, 0].size // layer.groups


def synapse_weights(layer: IntegerLayer) -> int:
    """Weights that the layer's synapses keep, recurrent ones too; an input layer has no synapses."""
    if layer.kind == "input":
        return 0
    return layer.weight.size + (0 if layer.weight_rec is None else layer.weight_rec.size)


def _taps(layer: IntegerLayer, axis: int) -> np.ndarray:
    """int64 `[k, L]` along one axis: 1 where input index i meets some output through tap j, else 0."""
    kernel, length = layer.weight.shape[2 + axis], layer.input_shape[1 + axis]
    shifted = (
        np.arange(length) + layer.padding[axis] - layer.dilation[axis] * np.arange(kernel, dtype=np.int64)[:, None]
    )
    output, remainder = np.divmod(shifted, layer.stride[axis])
    return ((remainder == 0) & (output >= 0) & (output < layer.output_shape[1 + axis])).astype(np.int64)
