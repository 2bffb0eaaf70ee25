"""Neurons in several copies, for finer weights. Copies receive the same inputs and fire the same spikes.

A weight w from a neuron in K copies is the sum of K weights of the grid, one for each copy. It reaches K 254 instead of
254, so that the layer may have K times its scale: log2 K more bits for weights, biases and thresholds. Copies of a
channel or neuron are neighbors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from spikeport.errors import UserError
from spikeport.export.formats.netx.rules import netx_fault
from spikeport.export.lowering.folded_layer import FoldedLayer
from spikeport.export.network.fixed_point import DECAY_ONE
from spikeport.export.network.integer_network import IntegerLayer
from spikeport.values import Shape

CLONES_LIMIT = 16
INPUT = "input"  # the name by which the input is asked for
INPUT_LAYER = "input.clones"  # name of the added layer
STEP = 2  # weights of the chip are even

Clones = int | Mapping[str, int]


def clone_counts(asked: Clones, layers: Sequence[FoldedLayer], neurons: Sequence[str], on_grid: set[str]) -> list[int]:
    """Copies of the input and of the neurons of each layer; those of the last are 1.

    Args:
        asked: one number for every layer but the last, or numbers by the name of a layer's weights or neurons or
            "input".
        layers: the weight layers in order.
        neurons: names of their neurons.
        on_grid: names of the layers that are quantized already.

    Raises:
        UserError: a number is not possible, a name is unknown or that of the output, or a layer is quantized already.
    """
    hidden = [_names(layer.name) | _names(neuron) for layer, neuron in zip(layers, neurons, strict=True)]
    if isinstance(asked, int):
        counts = [1, *[asked] * (len(layers) - 1), 1]
    else:
        counts = [int(asked.get(INPUT, 1)), *[1] * len(layers)]
        for name, count in asked.items():
            found = [index for index, names in enumerate(hidden) if name in names]
            if not found and name != INPUT:
                known = ", ".join(layer.name for layer in layers[:-1])
                raise UserError(f"clones were asked for {name!r}, which is not a layer",
                                hint=f"layers are {known}, and input")  # fmt: skip
            if len(layers) - 1 in found:
                raise UserError("its neurons are the output, which is not cloned", where=name,
                                hint="name the layer before it")  # fmt: skip
            for index in found:
                counts[1 + index] = int(count)
    for count in counts:
        if not 1 <= count <= CLONES_LIMIT:
            raise UserError(f"{count} clones are not possible", hint=f"use 1 to {CLONES_LIMIT}")
    for index, layer in enumerate(layers):
        if layer.name in on_grid and max(counts[index], 1 if layer.weight_rec is None else counts[1 + index]) > 1:
            raise UserError("is quantized already", where=layer.name, cause="clones refine weights that are rounded",
                            hint="leave --clones out, or drop the scales to round after training")  # fmt: skip
    return counts


def spread(
    integers: Mapping[str, np.ndarray], shape: Shape, grid: int, entering: int, own: int
) -> dict[str, np.ndarray]:
    """The weights of a layer whose inputs and neurons are copied; their sum over the copies of an input stays.

    Args:
        integers: "weight", and "weight_rec" of a recurrent layer, as they are without copies.
        shape: shape of the layer's input without copies.
        grid: step of the weights.
        entering: copies of each input.
        own: copies of each neuron.
    """
    weight = np.asarray(integers["weight"])
    if weight.ndim == 2 and len(shape) == 3:
        parts = _split(weight.reshape(len(weight), shape[0], -1), grid, entering).reshape(len(weight), -1)
    else:
        parts = _split(weight, grid, entering)
    found = {"weight": np.repeat(parts, own, axis=0)}
    if "weight_rec" in integers:
        found["weight_rec"] = np.repeat(_split(np.asarray(integers["weight_rec"]), grid, own), own, axis=0)
    return found


def kept_by_netx(weights: dict[str, np.ndarray], shape: Shape, grid: int, entering: int) -> dict[str, np.ndarray]:
    """The weights of a dense layer in a form that netx does not change, where their sums allow one.

    netx changes some matrices without a positive weight. A step more in one copy of an input and a step less in
    another adds a positive weight and leaves the sum.

    Args:
        weights: as `spread` returns them.
        shape: shape of the layer's input without copies.
        grid: step of the weights.
        entering: copies of each input.
    """
    if entering == 1 or not weights["weight"].any() or not netx_fault(weights["weight"], weights.get("weight_rec")):
        return weights
    weight = weights["weight"].copy()
    copies = weight.reshape(len(weight), shape[0], entering, -1)
    row, channel, place = np.unravel_index(int(np.argmax(copies.sum(axis=2))), copies[:, :, 0].shape)
    total = int(copies[row, channel, :2, place].sum())
    copies[row, channel, :2, place] = grid, total - grid
    changed = {**weights, "weight": weight}
    return weights if netx_fault(weight, changed.get("weight_rec")) else changed


def cloned_fields(
    layer: FoldedLayer, entering: int, own: int, bias: np.ndarray | None, **per_neuron: Any
) -> dict[str, Any]:
    """Fields of an IntegerLayer with copies, other than its weights.

    Args:
        layer: the layer without copies.
        entering: copies of each input.
        own: copies of each neuron.
        bias: biases without copies, or None.
        per_neuron: parameters that are one number or one for each neuron.
    """
    shape = (layer.input_shape[0] * entering, *layer.input_shape[1:])
    delay = layer.delay
    if delay is not None:
        rows, columns = delay.shape
        if columns > 1:
            by_channel = delay.reshape(rows, layer.input_shape[0], -1)
            delay = np.repeat(by_channel, entering, axis=1).reshape(rows, -1)
        delay = np.repeat(delay, own, axis=0) if rows > 1 else delay
    copied = {key: np.repeat(value, own, axis=0) if np.ndim(value) else value for key, value in per_neuron.items()}
    return {
        "input_shape": shape,
        "delay": delay,
        "bias": None if bias is None else np.repeat(bias, own, axis=0),
        **copied,
    }


def clones_of(layer: IntegerLayer, entering: int, own: int) -> IntegerLayer:
    """A layer of small whole weights with copies of its inputs and neurons.

    Args:
        layer: the layer.
        entering: copies of each input.
        own: copies of each neuron.
    """
    weights = spread({"weight": layer.weight}, layer.input_shape, STEP, entering, own)
    bias = None if layer.bias is None else np.repeat(layer.bias, own, axis=0)
    shape = (layer.input_shape[0] * entering, *layer.input_shape[1:])
    return replace(layer, weight=weights["weight"], bias=bias, input_shape=shape, clones=own)


def input_clones(shape: Shape, own: int) -> IntegerLayer:
    """A layer that repeats every spike of the input, in the same logical time step, in several copies.

    Args:
        shape: shape of the input.
        own: copies.
    """
    weight = STEP * np.eye(shape[0])
    return clones_of(
        IntegerLayer(
            name=INPUT_LAYER, kind="dense" if len(shape) == 1 else "conv",
            weight=weight if len(shape) == 1 else weight[:, :, None, None], bias=None, i_decay=DECAY_ONE,
            v_decay=0, vth_mant=1, input_shape=shape,
        ), 1, own,
    )  # fmt: skip


def without_clones(spikes: np.ndarray, layer: IntegerLayer) -> np.ndarray:
    """The spikes of one copy of each neuron.

    Args:
        spikes: spikes of a layer, `[N, T, C, ...]`.
        layer: the layer.
    """
    return spikes.reshape(*spikes.shape[:2], *layer.output_shape)[:, :, :: layer.clones]


def clone_note(layer: IntegerLayer) -> str:
    """What the copies of a layer's neurons cost, for its report.

    Args:
        layer: the layer with copies.
    """
    own = layer.neurons // layer.clones
    return (
        f"each of its {own:,} neurons has {layer.clones} copies that fire together: {layer.neurons - own:,} neurons "
        f"more, {layer.clones} times the synapses and synaptic operations into and out of this layer, and weights out "
        f"of it with {np.log2(layer.clones):.3g} bits more"
    )


def _split(total: np.ndarray, grid: int, copies: int) -> np.ndarray:
    """Weights `(out, in, ...)` as `(out, in * copies, ...)`: parts on the grid, as equal as possible."""
    if copies == 1:
        return total
    steps = np.rint(total / grid).astype(np.int64)
    least, more = np.divmod(steps, copies)
    parts = np.stack([least + (number < more) for number in range(copies)], axis=2)
    return grid * parts.reshape(total.shape[0], total.shape[1] * copies, *total.shape[2:])


def _names(joined: str) -> set[str]:
    """Names of a layer, of the nodes that it was merged from, and of the node of which it is a part."""
    return {joined, *(re.sub(r"\[\d+\]$", "", name) for name in joined.split("+"))}
