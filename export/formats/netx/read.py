"""Reads .net files of lava-dl's netx.

netx 0.6.0 truncates floats, clips or shifts weights, drops delays of convolutions and skips layers of unknown types,
mostly without a message. This reader refuses everything that netx would change, with the layer's name.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import numpy as np

from spikeport.errors import UserError
from spikeport.export.formats.netx.fields import (
    attribute_number,
    attribute_text,
    delay_at,
    group_at,
    integers_at,
    number_at,
    pair_at,
    per_neuron,
    refuse_set,
    sizes_at,
    text_at,
)
from spikeport.export.formats.netx.layer_types import layer_groups, unknown_type
from spikeport.export.formats.netx.neurons import (
    membrane_readout,
    neurons_of,
    never_fires,
    silent_fault,
    silent_note,
)
from spikeport.export.formats.netx.pool import pool_synapse
from spikeport.export.formats.netx.rules import check_layer
from spikeport.export.formats.netx.sigma_delta import default_readout
from spikeport.export.formats.safe_hdf5 import Tree, read_tree
from spikeport.export.network.fixed_point import DECAY_ONE
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.network.neurons.sigma_delta import MESSAGE_BITS
from spikeport.export.network.readout import Readout
from spikeport.notes import note
from spikeport.values import Shape


def read_netx(path: str | os.PathLike[str], input_shape: Shape | None = None) -> IntegerNetwork:
    """Reads a .net file, written by Spikeport or by lava-dl.

    Args:
        path: the .net file.
        input_shape: `(C, H, W)`; needed if the file starts with a convolution and does not state it.

    Returns:
        The integer network, exactly as netx would run it.

    Raises:
        UserError: netx would refuse, change or ignore part of the file. The error names the layer and the rule.
    """
    file = read_tree(path)
    groups = layer_groups(file, path)
    chain = _Chain(str(path), input_shape)
    for index in range(len(groups.members)):
        group = group_at(groups, str(index))
        if group is None:
            raise UserError(f"layer/{index} is missing", where=str(path), cause="netx numbers layers from 0 on")
        chain.take(group, index, last=index == len(groups.members) - 1)
    if not chain.layers:
        raise UserError("holds no layer that computes", where=str(path))
    try:
        return IntegerNetwork(
            input_shape=chain.layers[0].input_shape,
            layers=tuple(chain.layers),
            input_message_bits=_message_bits(groups, chain.layers[0], str(path)),
            readout=_readout(file, groups, str(path), default_readout(chain.layers[-1]) or chain.readout),
        )
    except UserError as error:
        raise _in_file(error, str(path)) from None


class _Chain:
    """The layers read so far, and the input shape of the next one."""

    def __init__(self, path: str, given: Shape | None) -> None:
        self.path = path
        self.given = None if given is None else tuple(given)
        self.shape = self.given
        self.flat = False
        self.layers: list[IntegerLayer] = []
        self.readout = Readout()

    def take(self, group: Tree, index: int, *, last: bool) -> None:
        """Reads the next group of the file."""
        where = f"{self.path}, layer {index}"
        kind = text_at(group, "type", where)
        if kind == "input":
            self._input(group, index, where)
        elif kind == "flatten":
            self.flat = True
        elif kind in ("dense", "dense_rec", "conv", "pool"):
            if kind.startswith("dense"):
                self._flatten(where)
            silent = never_fires(group)
            if silent and not last:
                raise silent_fault(group, where)
            layer = _layer(group, kind, index, where, self.shape)
            self.layers.append(layer)
            self.shape = layer.output_shape
            if silent:
                self.readout = membrane_readout(layer)
                note(silent_note(group, where, layer))
        else:
            raise unknown_type(kind, where)

    def _input(self, group: Tree, index: int, where: str) -> None:
        if index:
            raise UserError("an input layer comes after other layers", where=where)
        if "shape" in group.members:
            self.shape = sizes_at(group, "shape", where)
            if self.given is not None and self.given != self.shape:
                raise UserError(f"the file states input {self.shape}, but {self.given} was given", where=where)
        if "neuron" in group.members:
            if "shape" not in group.members:
                raise UserError("has no numeric shape", where=where, cause="netx needs it")
            assert self.shape is not None
            if len(self.shape) not in (1, 3):
                raise UserError(f"input neurons have shape {self.shape}, not (N,) or (C, H, W)", where=where)
            self.layers.append(_input_layer(group, where, self.shape))
            return
        for key in ("weight", "bias"):
            if key in group.members:
                raise UserError(f"has a {key} and no neuron", where=where, cause="netx ignores it",
                                hint="write the neuron group, or leave the weight and bias out")  # fmt: skip

    def _flatten(self, where: str) -> None:
        """Reads a flatten. netx applies it to the next dense layer, and supports only (C, H, W) inputs."""
        if self.layers and self.flat != (len(self.layers[-1].output_shape) == 3):
            what = "a flatten stands before it, and there is nothing to flatten" if self.flat else (
                f"gets {self.layers[-1].output_shape} without a flatten before it")  # fmt: skip
            raise UserError(what, where=where, cause="netx cannot connect the two",
                            hint="write a flatten exactly where a dense layer follows C, H, W")  # fmt: skip
        self.flat = False


def _input_layer(group: Tree, where: str, shape: Shape) -> IntegerLayer:
    weight = number_at(group, "weight", where) if "weight" in group.members else 64  # netx's defaults
    bias = number_at(group, "bias", where) if "bias" in group.members else 0
    if never_fires(group):
        raise silent_fault(group, where)
    layer = _built(
        group, where, 0, kind="input", weight=np.array([weight]), bias=np.full(shape[:1], bias) if bias else None,
        input_shape=shape, **neurons_of(group, where, shape),
    )  # fmt: skip
    if layer.neuron == "cuba" and np.any(np.asarray(layer.i_decay) != DECAY_ONE):
        note(
            f"{where}: netx adds the input of this layer to the voltage, and SLAYER to a current that lasts (iDecay "
            f"{int(np.min(layer.i_decay))} of {DECAY_ONE}), so that a network of SLAYER fires other spikes here; train "
            "with current_decay 1 in it"
        )
    return layer


def _layer(group: Tree, kind: str, index: int, where: str, shape: Shape | None) -> IntegerLayer:
    if isinstance(group.members.get("weight"), Tree):
        raise UserError("has complex weights", where=where, cause="they belong to resonate-and-fire neurons",
                        hint="train with CUBA neurons")  # fmt: skip
    declared = sizes_at(group, "shape", where)
    if kind.startswith("dense"):
        return _dense(group, kind, index, where, shape, declared)
    refuse_set(group, "delay", where, "netx ignores delays of convolutions", "train without delays")
    if "neuron" not in group.members:
        raise UserError("has no neuron", where=where, cause=f"netx gives a {kind} none",
                        hint="write the neuron group (CUBA, iDecay, vDecay, vThMant)")  # fmt: skip
    if kind == "conv":
        return _conv(group, index, where, shape, declared)
    layer = _of_shape(_built(
        group, where, index, kind="conv", bias=None, input_shape=shape, **pool_synapse(group, where, shape),
        **neurons_of(group, where, declared),
    ), declared, where)  # fmt: skip
    note(f"{where}: netx has no pool; it was read as a convolution of each channel, which `spikeport export` writes")
    return layer


def _of_shape(layer: IntegerLayer, declared: Shape, where: str) -> IntegerLayer:
    if declared != layer.output_shape:
        raise UserError(f"states shape {declared}, but its weights and geometry give {layer.output_shape}", where=where)
    return layer


def _conv(group: Tree, index: int, where: str, shape: Shape | None, declared: Shape) -> IntegerLayer:
    if shape is None:
        raise UserError("starts with a convolution and does not state its input shape", where=where,
                        hint="give --input-shape C,H,W")  # fmt: skip
    weight = integers_at(group, "weight", where)
    if weight.ndim < 4 or weight.size == 0 or any(length != 1 for length in weight.shape[4:]):
        raise UserError(f"weight has shape {weight.shape}, not (Cout, Cin/groups, kH, kW)", where=where)
    bias = None
    if "bias" in group.members:
        bias = integers_at(group, "bias", where)
        channels = weight.shape[0]
        if bias.shape != (channels,):
            if bias.shape != declared[::-1] and bias.shape[:1] != (channels,):
                raise UserError(f"bias has shape {bias.shape}", where=where, cause="netx cannot broadcast it",
                                hint="one a channel, or one a neuron in the order W, H, C")  # fmt: skip
            bias = per_neuron(bias, declared, "bias", where)
    stride, padding, dilation = (pair_at(group, key, where) for key in ("stride", "padding", "dilation"))
    return _of_shape(_built(
        group, where, index, kind="conv", weight=weight.reshape(weight.shape[:4]), bias=bias, input_shape=shape,
        groups=number_at(group, "groups", where), stride=stride, padding=padding, dilation=dilation,
        **neurons_of(group, where, declared),
    ), declared, where)  # fmt: skip


def _dense(group: Tree, kind: str, index: int, where: str, shape: Shape | None, declared: Shape) -> IntegerLayer:
    neurons = int(np.prod(declared))
    weight = _matrix(group, "weight", neurons, where)
    weight_rec = None
    if kind == "dense_rec":
        weight_rec = _matrix(group, "weight_rec", neurons, where)
    elif "weight_rec" in group.members:
        raise UserError("has recurrent weights, and its type is dense", where=where, cause="netx would ignore them",
                        hint="write the type dense_rec")  # fmt: skip
    if weight.shape[0] != neurons:
        raise UserError(f"states shape {declared}, but its weights give ({weight.shape[0]},)", where=where)
    bias = None
    if "bias" in group.members:
        bias = per_neuron(integers_at(group, "bias", where), (neurons,), "bias", where)
    delay = delay_at(group, weight.shape, where) if "delay" in group.members else None
    built = partial(
        _built, group, where, index, kind="dense", weight=weight, weight_rec=weight_rec, bias=bias,
        input_shape=(weight.shape[1],) if shape is None else shape, **neurons_of(group, where, (neurons,)),
    )  # fmt: skip
    layer = built(delay=delay)
    if delay is not None and not delay.any():  # checked last: netx treats delayed recurrent layers differently
        return built()
    return layer


def _matrix(group: Tree, key: str, neurons: int, where: str) -> np.ndarray:
    """A dense weight `(out, in)`; flat or with trailing axes of size 1 in the file."""
    weight = integers_at(group, key, where)
    if weight.ndim == 1 and weight.size and weight.size % neurons == 0:
        return weight.reshape(neurons, -1)
    if weight.ndim < 2 or weight.size == 0 or any(length != 1 for length in weight.shape[2:]):
        raise UserError(f"{key} has shape {weight.shape}, not (out, in)", where=where)
    return weight.reshape(weight.shape[:2])


def _built(group: Tree, where: str, index: int, **fields: Any) -> IntegerLayer:
    scale = attribute_number(group, "scale", where)
    if scale is not None and scale <= 0:
        raise UserError(f"attribute scale is {scale}, not above 0", where=where)
    try:
        layer = IntegerLayer(name=attribute_text(group, "name", f"layer{index}", where), scale=scale, **fields)
        check_layer(layer)
        return layer
    except UserError as error:
        raise _in_file(error, where) from None


def _in_file(error: UserError, where: str) -> UserError:
    return UserError(f"{error.where}: {error.message}" if error.where else error.message, where=where,
                     cause=error.cause,
                     hint=error.hint)  # fmt: skip


def _message_bits(groups: Tree, first: IntegerLayer, where: str) -> int:
    bits = attribute_number(groups, "input_message_bits", where)
    if bits is None and first.model.sends_values:
        return 0 if first.kind == "input" else MESSAGE_BITS
    if bits is not None and bits != int(bits):
        raise UserError(f"attribute input_message_bits is {bits}", where=where)
    return int(bits or 0)


def _readout(file: Tree, groups: Tree, where: str, implied: Readout) -> Readout:
    """The read-out that the file states, which netx ignores, or the one that its last layer implies."""
    kind: Any = attribute_text(groups, "readout", implied.kind, where)
    over_time: Any = attribute_text(groups, "over_time", implied.over_time, where)
    host = group_at(file, "spikeport")
    host = None if host is None else group_at(host, "readout")
    arrays: dict[str, np.ndarray] = {}
    for key, value in ({} if host is None else host.members).items():
        if key not in ("weight", "bias") or not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf":
            raise UserError(f"spikeport/readout/{key} is not a numeric weight or bias", where=where)
        arrays[key] = value.astype(np.float64)
    return Readout(kind=kind, over_time=over_time, **arrays)
