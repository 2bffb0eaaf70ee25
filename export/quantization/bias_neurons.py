"""Bias neurons: a bias before slowly decaying currents becomes the weight of a neuron that fires at every time step.

NIR adds a bias to the current, which then decays; the chip adds it to the voltage. A presynaptic neuron that fires at
every time step has the effect of NIR's bias, from the first step on. It is one more neuron (or channel) of the layer
before, without weights, whose bias exceeds the threshold. If the layer before cannot hold it, or is the input, a relay
layer is inserted, which repeats every spike in the same logical time step and has the neuron. Frames stay as they are.
If every tap of a convolution reads padding somewhere, the relay provides the padding too: the neuron fires there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from spikeport.errors import UserError
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.lowering.branches.needs_layout import needs_layout
from spikeport.export.lowering.branches.one_chain import lay_out
from spikeport.export.lowering.folded_layer import FoldedLayer
from spikeport.export.network.fixed_point import BIAS_LIMIT, DECAY_ONE
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.quantization.clones import INPUT_LAYER, clones_of
from spikeport.export.quantization.scaled_layer import LayerUnits

SUFFIX = ".bias_neuron"  # suffix of the name of an added layer


def as_input(units: LayerUnits, previous: IntegerLayer | None, clones: int = 1) -> tuple[LayerUnits, IntegerLayer]:
    """Turns a bias into weights from a bias neuron.

    Args:
        units: the layer with the bias.
        previous: the layer before; None if it is the input.
        clones: copies of each input of the layer. The bias neuron has as many.

    Returns:
        The layer with its bias as weights of one more input, and the layer before with the bias neuron: `previous`
        enlarged, or a new relay layer.

    Raises:
        UserError: the bias differs within a channel.
    """
    layer, padding = units.layer, units.layer.padding
    taps = [_inner_tap(layer, axis) for axis in (0, 1)] if layer.kind == "conv" else []
    if None in taps:
        before = clones_of(_relay(f"{layer.name}{SUFFIX}", layer.input_shape, padding), clones, clones)
        taps, padding = [0, 0], (0, 0)
    elif previous is not None and _can_take(previous):
        before = _enlarged(previous)
    else:
        before = clones_of(_relay(f"{layer.name}{SUFFIX}", layer.input_shape), clones, clones)
    added = (before.output_shape[0] // clones, *before.output_shape[1:])
    if layer.kind == "conv":
        weight, groups = _conv_weight(units, taps), 1
    else:
        extra = int(np.prod(added)) - int(np.prod(layer.input_shape))
        column = np.zeros((len(units.weight), extra))
        column[:, 0] = units.bias
        weight, groups = np.concatenate([units.weight, column], axis=1), 1
    delay = layer.delay
    if delay is not None:
        inputs = layer.weight.shape[1]
        columns = np.broadcast_to(delay, (len(delay), inputs))
        delay = np.pad(columns, ((0, 0), (0, weight.shape[1] - inputs)))  # NIR's bias is not delayed
    enlarged = replace(layer, input_shape=added, groups=groups, delay=delay, padding=padding)
    return replace(units, layer=enlarged, weight=weight, bias=np.zeros(len(weight))), before


def with_messages(network: IntegerNetwork, bits: int, graph: SpikingGraph) -> IntegerNetwork:
    """Copy of a network with counts as inputs.

    Args:
        network: the network.
        bits: bits of a count; 0: inputs are spikes.
        graph: the graph that it was quantized from.

    Raises:
        UserError: relays pass the input on, which repeat spikes and not counts: in a first layer that was added for
            biases, or where a branch of the input passes a layer.
    """
    if bits and needs_layout(graph) and (relayed := lay_out(graph).relayed_inputs):
        raise UserError(
            f"counts of {bits} bits would become single spikes", where=", ".join(relayed),
            cause="a branch of this input passes a layer, in which relays repeat spikes only",
            hint="leave the message bits out, or let every branch of the input begin in the first layer",
        )  # fmt: skip
    if bits and network.layers[0].name == INPUT_LAYER:
        raise UserError(f"counts of {bits} bits would become single spikes", where=INPUT_LAYER,
                        cause="clones of the input repeat spikes only",
                        hint="leave the message bits or the clones of the input out")  # fmt: skip
    if bits and network.layers[0].name.endswith(SUFFIX):
        raise UserError(
            f"counts of {bits} bits would become single spikes", where=network.layers[0].name,
            cause="this layer was added for the bias of the next one and repeats spikes only",
            hint="leave the message bits out, or train without bias in the first layer",
        )  # fmt: skip
    return replace(network, input_message_bits=bits)


def _can_take(layer: IntegerLayer) -> bool:
    """Whether one more neuron with the layer's shared parameters can fire at every time step from its bias."""
    shared = all(np.ndim(value) == 0 for value in (layer.i_decay, layer.v_decay, layer.vth_mant))
    return layer.kind != "input" and layer.groups == 1 and shared and int(np.max(layer.vth_mant)) < BIAS_LIMIT


def _enlarged(layer: IntegerLayer) -> IntegerLayer:
    rows, more = layer.weight.shape[0], layer.clones
    bias = np.zeros(rows) if layer.bias is None else layer.bias
    one_more = ((0, more), *((0, 0) for _ in bias.shape[1:]))
    delay = layer.delay
    if delay is not None and delay.shape[0] == rows and rows > 1:
        delay = np.pad(delay, ((0, more), (0, 0)))
    return replace(
        layer,
        weight=np.pad(layer.weight, ((0, more), *((0, 0) for _ in layer.weight.shape[1:]))),
        bias=np.pad(bias, one_more, constant_values=int(np.max(layer.vth_mant)) + 1),
        weight_rec=None if layer.weight_rec is None else np.pad(layer.weight_rec, ((0, more), (0, more))),
        delay=delay,
    )


def _relay(name: str, shape: tuple[int, ...], padding: tuple[int, int] = (0, 0)) -> IntegerLayer:
    """A relay layer: fires where its input does, in the same time step, since 2 > 1; its last neuron or channel always.

    Voltages are 0 or reach the threshold at once, so that the decay has no effect.

    Args:
        name: name of the layer.
        shape: shape of its input.
        padding: rows and columns of neurons around it that no input reaches.
    """
    outputs = shape[0] + 1
    weight = 2 * np.eye(outputs, shape[0])
    bias = np.zeros(outputs)
    bias[-1] = 2
    return IntegerLayer(
        name=name, kind="dense" if len(shape) == 1 else "conv",
        weight=weight if len(shape) == 1 else weight[:, :, None, None], bias=bias, i_decay=DECAY_ONE,
        v_decay=0, vth_mant=1, input_shape=shape, padding=padding,
    )  # fmt: skip


def _conv_weight(units: LayerUnits, taps: Sequence[int | None]) -> np.ndarray:
    """The kernel with one more input channel, one tap of which is the bias; grouped kernels are expanded."""
    layer = units.layer
    if units.bias.ndim != 1:
        raise UserError(
            "its bias differs within a channel after folding, and currents decay slowly", where=layer.name,
            cause="one tap of an bias channel is the same everywhere", hint="pool without padding behind it",
        )  # fmt: skip
    whole = np.zeros((len(units.weight), layer.input_shape[0] + 1, *units.weight.shape[2:]))
    per_group, inputs = len(units.weight) // layer.groups, units.weight.shape[1]
    for group in range(layer.groups):
        rows = slice(group * per_group, (group + 1) * per_group)
        whole[rows, group * inputs : (group + 1) * inputs] = units.weight[rows]
    whole[:, -1, taps[0] or 0, taps[1] or 0] = units.bias
    return whole


def _inner_tap(layer: FoldedLayer, axis: int) -> int | None:
    """A tap that never reads padding; None if there is none."""
    size, outputs = layer.input_shape[1 + axis], layer.output_shape[1 + axis]
    for tap in range(layer.weight.shape[2 + axis]):
        first = layer.dilation[axis] * tap - layer.padding[axis]
        if first >= 0 and first + (outputs - 1) * layer.stride[axis] < size:
            return tap
    return None
