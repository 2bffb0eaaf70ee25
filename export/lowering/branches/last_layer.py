"""The order of the last layer's neurons: that of the graph's outputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spikeport.export.lowering.branches.carriers import Stage
from spikeport.export.lowering.branches.populations import Part, Population


def output_places(output: Population, stage: Stage, parts: Sequence[Part]) -> np.ndarray | None:
    """Where the neurons that an output reads lie in the flat output of the last layer, in their own order.

    Args:
        output: the output.
        stage: output of the last layer.
        parts: parts of the population that it reads; empty if it is whole.

    Returns:
        int64 `[N]`; None if the output is more than the spikes of one population.
    """
    if any(path.weights or path.layer.folded for path in output.paths):
        return None
    if not parts:
        return stage.carriers[output.paths[0].source].places.ravel() if len(output.paths) == 1 else None
    if [path.source for path in output.paths] != [part.name for part in parts]:
        return None
    places = np.zeros(sum(part.neurons.size for part in parts), dtype=np.int64)
    for part in parts:
        places[part.neurons.ravel()] = stage.carriers[part.name].places.ravel()
    return places


def row_order(places: np.ndarray, stage: Stage) -> np.ndarray | None:
    """The rows of the last layer in an order in which its neurons lie as in `places`; None if there is none.

    Args:
        places: where the neurons of all outputs lie now, int64 `[N]`.
        stage: output of the last layer.
    """
    size = int(np.prod(stage.shape[1:]))
    rows = places.reshape(-1, size) if places.size == int(np.prod(stage.shape)) else np.zeros((0, size))
    if len(rows) == 0 or np.any(rows[:, :1] % size) or np.any(rows != rows[:, :1] + np.arange(size)):
        return None
    order = rows[:, 0] // size
    return order if len(np.unique(order)) == len(order) else None


def moved_places(places: np.ndarray, order: np.ndarray, size: int) -> np.ndarray:
    """Where neurons lie after the rows of their layer were put into `order`.

    Args:
        places: their places before.
        order: for each new row the old one.
        size: neurons of a row.
    """
    new = np.argsort(order)
    return new[places // size] * size + places % size
