"""Removes relays that no later layer reads, such as the phases of a grid that a strided shortcut skips."""

from __future__ import annotations

import math
from dataclasses import replace

import nir
import numpy as np

from spikeport.export.lowering.branches.carriers import Stage
from spikeport.export.lowering.branches.merged_layer import MergedLayer


def without_unread_relays(layers: list[MergedLayer]) -> list[MergedLayer]:
    """The layers without relays whose weights in the next layer are all zero. Outputs of the last layer stay.

    Args:
        layers: the chain. In each, relays follow the populations that are computed there.
    """
    pruned = list(layers)
    for index in range(len(pruned) - 2, -1, -1):
        layer, following = pruned[index], pruned[index + 1]
        read = _read_channels(layer, following)
        read[: layer.computed] = True
        if not read.all():
            pruned[index], pruned[index + 1] = _only(layer, read), _without_inputs(following, read)
    return pruned


def _read_channels(layer: MergedLayer, following: MergedLayer) -> np.ndarray:
    """Whether the following layer reads each channel, or each neuron of a flat layer."""
    weight = following.weights.weight
    columns = np.any(weight != 0, axis=(0, *range(2, weight.ndim)))
    return columns.reshape(layer.stage.shape[0], -1).any(axis=1)


def _only(layer: MergedLayer, read: np.ndarray) -> MergedLayer:
    """The layer with some of its channels, or neurons if it is flat."""
    shape = (int(read.sum()), *layer.stage.shape[1:])
    dropped = (len(read) - shape[0]) * math.prod(shape[1:])
    remaining = with_rows(layer, np.flatnonzero(read))
    return replace(remaining, stage=Stage(shape, {}), relays=layer.relays - dropped)


def with_rows(layer: MergedLayer, rows: np.ndarray) -> MergedLayer:
    """The weights and neurons of some channels of a layer, or of some neurons if it is flat; its other values stay.

    Args:
        layer: the layer.
        rows: the channels or neurons in their new order, int64.
    """
    count = layer.stage.shape[0]
    weights = replace(layer.weights, **{
        key: value[rows] for key, value in vars(layer.weights).items() if key in ("weight", "bias")
    })  # fmt: skip
    parameters = {
        key: value[rows]
        for key, value in vars(layer.node).items()
        if isinstance(value, np.ndarray) and value.shape[:1] == (count,)
    }
    recurrence = layer.recurrence
    if recurrence is not None:
        recurrence = type(recurrence)(**{
            key: value[rows][:, rows] if key == "weight" else value[rows]
            for key, value in vars(recurrence).items() if key in ("weight", "bias")
        })  # fmt: skip
    return replace(layer, weights=weights, node=type(layer.node)(**parameters), recurrence=recurrence)


def _without_inputs(layer: MergedLayer, read: np.ndarray) -> MergedLayer:
    """The layer without the input channels that it does not read."""
    weight = layer.weights.weight
    columns = np.repeat(read, weight.shape[1] // len(read))
    remaining = np.ascontiguousarray(weight[:, columns])
    if isinstance(layer.weights, nir.Conv2d):
        return replace(layer, weights=replace(layer.weights, weight=remaining))
    if isinstance(layer.weights, nir.Affine):
        return replace(layer, weights=nir.Affine(remaining, layer.weights.bias))
    return replace(layer, weights=nir.Linear(remaining))
