"""Writes .net files of lava-dl's netx, and verifies each by reading it back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from spikeport.errors import UserError
from spikeport.export.formats.netx.read import read_netx
from spikeport.export.formats.netx.rules import check_network
from spikeport.export.formats.netx.sigma_delta import write_neuron
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.network.readout import Readout
from spikeport.files import atomic_path
from spikeport.values import Shape

__all__ = ["read_netx", "write_netx"]


def write_netx(network: IntegerNetwork, path: str | os.PathLike[str]) -> None:
    """Writes a .net file atomically, after reading it back and comparing it with the network.

    Names, scales, message bits and the read-out are written as attributes and as a group that netx ignores.

    Args:
        network: the network.
        path: the .net file.

    Raises:
        UserError: the file cannot be written, or netx would change or refuse the network (`rules`).
    """
    check_network(network)
    with atomic_path(path) as temporary:
        # Written in memory first, since libhdf5 crashes when it closes a file on a full disk.
        with h5py.File(temporary, "w", driver="core", backing_store=False) as file:
            _write(file, network)
            file.flush()
            image = file.id.get_file_image()
        temporary.write_bytes(image)
        try:
            read = read_netx(temporary)
        except UserError as error:
            raise UserError(error.message, where=error.where.replace(str(temporary), str(path)), cause=error.cause,
                            hint=error.hint) from None  # fmt: skip
        difference = _difference(network, read)
        if difference:
            raise RuntimeError(f"{Path(path)}: the file read back differs in {difference} (a bug in Spikeport)")


def _write(file: h5py.File, network: IntegerNetwork) -> None:
    groups = file.create_group("layer")
    if network.input_message_bits:
        groups.attrs["input_message_bits"] = network.input_message_bits
    if network.readout != Readout():
        _write_readout(file, groups, network.readout)
    position = 0
    if network.layers[0].kind != "input":
        group = groups.create_group("0")
        _write_type(group, "input")
        group["shape"] = np.array(network.input_shape, dtype=np.int32)
        position = 1
    for layer in _with_flatten(network):
        group = groups.create_group(str(position))
        if layer is None:
            _write_type(group, "flatten")
        else:
            _write_layer(group, layer)
        position += 1


def _write_readout(file: h5py.File, groups: h5py.Group, readout: Readout) -> None:
    groups.attrs["readout"], groups.attrs["over_time"] = readout.kind, readout.over_time
    for key in ("weight", "bias"):
        if getattr(readout, key) is not None:
            file[f"spikeport/readout/{key}"] = np.asarray(getattr(readout, key), dtype=np.float64)


def _with_flatten(network: IntegerNetwork) -> Iterator[IntegerLayer | None]:
    """Layers in file order, with None for the flatten between a (C, H, W) output and a dense layer."""
    spread = False
    for layer in network.layers:
        if layer.kind == "dense" and spread:
            yield None
        yield layer
        spread = len(layer.output_shape) == 3


def _write_type(group: h5py.Group, kind: str) -> None:
    group.create_dataset("type", data=np.array([kind.encode()], dtype="S10"))


def _write_layer(group: h5py.Group, layer: IntegerLayer) -> None:
    _write_type(group, layer.kind if layer.weight_rec is None else "dense_rec")
    try:
        group.attrs["name"] = layer.name
    except ValueError as error:
        raise UserError(f"layer name {layer.name!r} cannot be kept in an HDF5 file", cause=str(error)) from None
    if layer.scale is not None:
        group.attrs["scale"] = layer.scale
    group["shape"] = np.array(layer.output_shape, dtype=np.int32)
    group["weight"] = layer.weight.astype(np.int32)
    if layer.weight_rec is not None:
        group["weight_rec"] = layer.weight_rec.astype(np.int32)
    if layer.bias is not None:
        group["bias"] = layer.bias[:1] if layer.kind == "input" else _in_netx_order(layer.bias)
    if layer.delay is not None and layer.delay.any():
        group["delay"] = _delay(layer.delay, layer.weight.shape)
    if layer.kind == "conv":
        for key in ("stride", "padding", "dilation"):
            group[key] = np.array(getattr(layer, key), dtype=np.int32)
        group["groups"] = np.int32(layer.groups)
    neuron = group.create_group("neuron")
    if layer.model.sends_values:
        write_neuron(neuron, layer)
        return
    neuron["type"] = b"CUBA"
    neuron["iDecay"] = _in_netx_order(layer.i_decay)
    neuron["vDecay"] = _in_netx_order(layer.v_decay)
    neuron["vThMant"] = _in_netx_order(layer.vth_mant)
    neuron["refDelay"] = np.int32(1)
    neuron["gradedSpike"] = np.int32(0)


def _in_netx_order(values: int | np.ndarray) -> np.ndarray:
    """One number, or one per neuron with the axes (W, H, C), since netx reverses shapes and kernels but not these."""
    return np.asarray(values, dtype=np.int32).transpose()


def _delay(delay: np.ndarray, shape: Shape) -> np.ndarray:
    """A delay in the form that netx reads: one value, one per row, one per column, or one per weight.

    A vector of a square matrix would be read as one value per row.
    """
    if delay.size == 1:
        return np.int32(delay[0, 0])  # type: ignore[return-value]
    if delay.shape[1] == 1 or (delay.shape[0] == 1 and shape[0] != shape[1]):
        return delay.reshape(-1).astype(np.int32)
    return np.array(np.broadcast_to(delay, shape), dtype=np.int32)


def _difference(written: IntegerNetwork, read: IntegerNetwork) -> str:
    """Name of the first difference between two networks; "" if they are equivalent."""
    for key in ("input_shape", "input_message_bits", "readout"):
        if getattr(written, key) != getattr(read, key):
            return key
    if len(written.layers) != len(read.layers):
        return "the number of layers"
    for ours, theirs in zip(written.layers, read.layers, strict=True):
        for key in vars(ours).keys() - {"clones"}:
            if not np.array_equal(_meaning(ours, key), _meaning(theirs, key)):
                return f"{key} of {ours.name}"
    return ""


def _meaning(layer: IntegerLayer, key: str) -> Any:
    """A field in canonical form, for comparisons: one bias per neuron, one delay per synapse."""
    if key == "bias":
        return layer.bias_map
    if key == "delay":
        return np.broadcast_to(0 if layer.delay is None else layer.delay, layer.weight.shape)
    return getattr(layer, key)
