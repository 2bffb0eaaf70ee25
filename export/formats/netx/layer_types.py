"""The layers of a .net file by type, and those that netx does not have, without reading any weights."""

from __future__ import annotations

import os

from spikeport.errors import UserError
from spikeport.export.formats.netx.fields import NO_NETWORK, group_at, text_at
from spikeport.export.formats.netx.neurons import unknown_model
from spikeport.export.formats.safe_hdf5 import Tree, read_tree

TAKEN = ("input", "flatten", "dense", "dense_rec", "conv", "pool")
_NOT_IN_NETX = {
    "average": "count spikes outside the network",
    "concat": "a chain of layers is all that netx runs",
    "convT": "netx has no transposed convolution",
    "unpool": "netx has no unpooling",
    "dense_comp": "complex weights belong to resonate-and-fire neurons, which are not supported",
}


def unknown_type(kind: str, where: str) -> UserError:
    """The error for a layer that netx does not run.

    Args:
        kind: type of the layer.
        where: file and layer.
    """
    hint = _NOT_IN_NETX.get(kind, "netx would silently skip this layer")
    return UserError(f"layer type {kind[:40]!r} cannot run", where=where, hint=hint)


def layer_kinds(path: str | os.PathLike[str]) -> dict[str, tuple[str, UserError | None]]:
    """(type, fault) of each layer by its name in the file, `layer0` and so on.

    The fault is that netx does not have the layer's type or its neurons, None if it has; other faults are found only
    where the layer is read.

    Args:
        path: the .net file.

    Raises:
        UserError: the file is no HDF5 file, or has no layers.
    """
    groups = layer_groups(read_tree(path), path)
    found = {}
    for index in range(len(groups.members)):
        group = group_at(groups, str(index))
        if group is not None:
            found[f"layer{index}"] = _kind(group, f"{path}, layer {index}")
    return found


def layer_groups(file: Tree, path: str | os.PathLike[str]) -> Tree:
    """The group that contains the layers.

    Args:
        file: the content of the file.
        path: the file, for the error.

    Raises:
        UserError: there is none, or it is empty.
    """
    groups = group_at(file, "layer")
    if groups is None or not groups.members:
        raise UserError("has no group `layer`", where=str(path), cause=NO_NETWORK)
    return groups


def _kind(group: Tree, where: str) -> tuple[str, UserError | None]:
    try:
        kind = text_at(group, "type", where)
        neuron = group_at(group, "neuron")
        if kind not in TAKEN:
            return kind, unknown_type(kind, where)
        return kind, None if neuron is None else unknown_model(neuron, where)
    except UserError as fault:
        return "", fault
