"""The .net file of lava-dl's netx: written so that none of its traps can close, read so that none stays hidden.

netx 0.6.0 truncates floats, clips or shifts weights, drops convolution delays and skips layers it does not know,
mostly without a word. What it would change is refused here, by name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from export.files import atomic_path
from export.integer_network import IntegerLayer, IntegerNetwork
from hardware_profiles.errors import UserError

_NOT_IN_NETX = {
    "pool": "fold the pool into the layer beside it (spikeport export does)",
    "average": "count spikes outside the network",
    "concat": "a chain of layers is all that netx runs",
    "convT": "netx has no transposed convolution",
    "unpool": "netx has no unpooling",
    "dense_rec": "recurrent layers are not supported yet",
    "dense_comp": "complex weights belong to resonate-and-fire neurons, which are not supported",
}


def write_netx(network: IntegerNetwork, path: str | os.PathLike[str]) -> None:
    """Writes `network` as a .net file, whole or not at all, then reads it back and compares.

    Raises UserError where the folder cannot be written.
    """
    with atomic_path(path) as temporary:
        with h5py.File(temporary, "w") as file:
            groups = file.create_group("layer")
            _write_type(groups.create_group("0"), "input")
            groups["0"]["shape"] = np.array(network.input_shape, dtype=np.int32)
            for index, layer in enumerate(_with_flatten(network), start=1):
                group = groups.create_group(str(index))
                if layer is None:
                    _write_type(group, "flatten")
                else:
                    _write_layer(group, layer)
        _must_be_equal(network, read_netx(temporary), path)


def read_netx(path: str | os.PathLike[str], input_shape: tuple[int, ...] | None = None) -> IntegerNetwork:
    """The integer network in a .net file, ours or lava-dl's. `input_shape` `(C, H, W)` is needed where the file starts
    with a convolution and does not say it.

    Raises UserError naming file, layer and rule for everything that netx would refuse, change or ignore.
    """
    try:
        with h5py.File(path, "r") as file:
            return _read(file, Path(path), input_shape)
    except OSError as error:
        exists = Path(path).is_file()
        raise UserError(
            "is no HDF5 file" if exists else "no such file",
            where=str(path),
            why=str(error).splitlines()[0] if exists else "",
            mend="name a .net file that netx or spikeport export wrote",
        ) from error


def _with_flatten(network: IntegerNetwork) -> Iterator[IntegerLayer | None]:
    """The layers in file order, None standing for the flatten between a convolution and a dense layer."""
    after_convolution = False
    for layer in network.layers:
        if layer.kind == "dense" and after_convolution:
            yield None
        yield layer
        after_convolution = layer.kind == "conv"


def _write_type(group: h5py.Group, kind: str) -> None:
    group.create_dataset("type", data=np.array([kind.encode()], dtype="S10"))


def _write_layer(group: h5py.Group, layer: IntegerLayer) -> None:
    _write_type(group, layer.kind)
    group.attrs["name"] = layer.name
    if layer.scale is not None:
        group.attrs["scale"] = layer.scale
    group["shape"] = np.array(layer.output_shape, dtype=np.int32)
    group["weight"] = layer.weight.astype(np.int32)
    if layer.bias is not None:
        group["bias"] = layer.bias.astype(np.int32)
    if layer.kind == "conv":
        for key in ("stride", "padding", "dilation"):
            group[key] = np.array(getattr(layer, key), dtype=np.int32)
        group["groups"] = np.int32(layer.groups)
    neuron = group.create_group("neuron")
    neuron["type"] = b"CUBA"
    neuron["iDecay"] = np.int32(layer.i_decay)
    neuron["vDecay"] = np.int32(layer.v_decay)
    neuron["vThMant"] = np.int32(layer.vth_mant)
    neuron["refDelay"] = np.int32(1)
    neuron["gradedSpike"] = np.int32(0)


def _must_be_equal(written: IntegerNetwork, read: IntegerNetwork, path: str | os.PathLike[str]) -> None:
    same = written.input_shape == read.input_shape and len(written.layers) == len(read.layers)
    same = same and all(
        np.array_equal(getattr(a, key), getattr(b, key))
        if isinstance(getattr(a, key), np.ndarray)
        else getattr(a, key) == getattr(b, key)
        for a, b in zip(written.layers, read.layers, strict=True)
        for key in vars(a)
    )
    if not same:
        raise RuntimeError(f"{path}: the file read back differs from the network written (a bug in Spikeport)")


def _read(file: h5py.File, path: Path, input_shape: tuple[int, ...] | None) -> IntegerNetwork:
    groups = file.get("layer")
    if not isinstance(groups, h5py.Group) or not len(groups):
        raise UserError("has no group `layer`", where=str(path), why="this HDF5 file is no netx network")
    shape = input_shape
    layers: list[IntegerLayer] = []
    for index in range(len(groups)):
        where = f"{path}, layer {index}"
        group = groups.get(str(index))
        if not isinstance(group, h5py.Group):
            raise UserError(f"layer/{index} is missing", where=str(path), why="netx numbers layers from 0 on")
        kind = _text(group, "type", where)
        if kind == "input":
            shape = _input_shape(group, where, shape, first=index == 0)
        elif kind == "flatten":
            if shape is None:
                raise UserError("a flatten needs something before it", where=where)
        elif kind in ("dense", "conv"):
            layer = _read_layer(group, kind, where, shape, default_name=f"layer{index}")
            if not layers and shape is None:
                shape = layer.input_shape
                input_shape = shape
            layers.append(layer)
            shape = layer.output_shape
        else:
            mend = _NOT_IN_NETX.get(kind, "netx would skip this layer without a word")
            raise UserError(f"layer type {kind!r} cannot run", where=where, mend=mend)
    if not layers:
        raise UserError("holds no layer that computes", where=str(path))
    return IntegerNetwork(input_shape=layers[0].input_shape, layers=tuple(layers))


def _input_shape(group: h5py.Group, where: str, given: tuple[int, ...] | None, *, first: bool) -> tuple[int, ...]:
    if not first:
        raise UserError("an input layer stands after other layers", where=where)
    if "neuron" in group:
        raise UserError(
            "the input layer has neurons",
            where=where,
            why="netx does not wire them to any input",
            mend="encode to spikes outside the network and drop the input layer's neuron",
        )
    shape = _integers(group, "shape", where)
    if given is not None and tuple(given) != shape:
        raise UserError(f"the file says input {shape}, {tuple(given)} was asked for", where=where)
    return shape


def _read_layer(
    group: h5py.Group, kind: Any, where: str, shape: tuple[int, ...] | None, default_name: str
) -> IntegerLayer:
    if "delay" in group and np.any(_array(group, "delay", where)):
        ignored = "netx ignores delays of convolutions" if kind == "conv" else "delays are not supported yet"
        raise UserError("has synaptic delays", where=where, why=ignored, mend="train without delays")
    weight = _array(group, "weight", where)
    declared = _integers(group, "shape", where)
    if kind == "conv":
        weight = (
            weight.reshape(weight.shape[:4])
            if weight.ndim > 4 and weight[0].size == np.prod(weight.shape[1:4])
            else weight
        )
        geometry: dict[str, Any] = {key: _pair(group, key, where) for key in ("stride", "padding", "dilation")}
        geometry["groups"] = _one(group, "groups", where)
        if shape is None:
            raise UserError(
                "starts with a convolution and does not say its input shape",
                where=where,
                mend="give --input-shape C,H,W",
            )
    else:
        geometry = {}
        neurons = int(np.prod(declared))
        if weight.ndim != 2 and neurons and weight.size % neurons == 0:
            weight = weight.reshape(neurons, -1)
        if shape is None and weight.ndim == 2:
            shape = (weight.shape[1],)
    neuron = group.get("neuron")
    if not isinstance(neuron, h5py.Group):
        raise UserError(
            "has no neuron",
            where=where,
            why="netx would put its own default there",
            mend="write the neuron group",
        )
    model = _text(neuron, "type", where)
    if model not in ("CUBA", "LOIHI"):
        raise UserError(f"neuron type {model!r} is not supported", where=where, mend="use CUBA neurons")
    bias = _array(group, "bias", where) if "bias" in group else None
    assert shape is not None
    try:
        layer = IntegerLayer(
            name=str(group.attrs.get("name", default_name)),
            kind=kind,
            weight=weight,
            bias=None if bias is None else bias.reshape(-1),
            i_decay=_one(neuron, "iDecay", where),
            v_decay=_one(neuron, "vDecay", where),
            vth_mant=_one(neuron, "vThMant", where),
            input_shape=shape,
            scale=float(group.attrs["scale"]) if "scale" in group.attrs else None,
            **geometry,
        )
    except UserError as error:
        raise UserError(str(error), where=where) from None
    if int(np.prod(declared)) != layer.neurons:
        raise UserError(f"says shape {declared}, its weights and geometry give {layer.output_shape}", where=where)
    return layer


def _array(group: h5py.Group, key: str, where: str) -> np.ndarray:
    dataset = group.get(key)
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "iufb":
        raise UserError(f"has no numeric {key}", where=where, why="netx needs it")
    values = np.asarray(dataset[()])
    if not np.all(np.isfinite(values)) or np.any(values != np.trunc(values)):
        raise UserError(
            f"{key} holds values that are no integers",
            where=where,
            why="netx would truncate them toward zero",
            mend="quantise the network first",
        )
    if np.abs(values).max(initial=0) >= 2**31:
        raise UserError(f"{key} holds values beyond 32 bits", where=where)
    return values.astype(np.int64)


def _integers(group: h5py.Group, key: str, where: str) -> tuple[int, ...]:
    values = tuple(int(value) for value in _array(group, key, where).reshape(-1))
    if not values or min(values) < 1:
        raise UserError(f"{key} {values} must hold positive sizes", where=where)
    return values


def _one(group: h5py.Group, key: str, where: str) -> int:
    values = _array(group, key, where).reshape(-1)
    if values.size == 0 or np.any(values != values[0]):
        raise UserError(
            f"{key} differs from neuron to neuron",
            where=where,
            why="one population has one value on the chip",
            mend="use one value per layer",
        )
    return int(values[0])


def _pair(group: h5py.Group, key: str, where: str) -> tuple[int, int]:
    values = _array(group, key, where).reshape(-1)
    if values.size not in (1, 2):
        raise UserError(f"{key} must be one number or a pair (height, width)", where=where)
    return int(values[0]), int(values[-1])


def _text(group: h5py.Group, key: str, where: str) -> str:
    dataset = group.get(key)
    value: Any = dataset[()] if isinstance(dataset, h5py.Dataset) else None
    if isinstance(value, np.ndarray):
        value = value.reshape(-1)[0] if value.size else None
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if not isinstance(value, str):
        raise UserError(f"has no {key}", where=where, why="this HDF5 file is no netx network")
    return value
