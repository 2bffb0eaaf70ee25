"""The resets that the neurons of a graph were trained with, layer by layer, for `run_float`."""

from __future__ import annotations

from collections.abc import Callable

import nir
import numpy as np

from spikeport.export.calibration.float_simulator import RELAY, RESETS, Reset
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.lowering.branches.needs_layout import needs_layout
from spikeport.export.lowering.branches.one_chain import lay_out
from spikeport.export.lowering.fold import fold


def layer_resets(graph: SpikingGraph, reset_of: Callable[[nir.NIRNode], Reset]) -> list[np.ndarray]:
    """The reset of each neuron of the layers of `float_layers(graph)`.

    A graph with branches becomes one chain, whose relays pass on what they get: they reset to zero whatever the neurons
    beside them do.

    Args:
        graph: the spiking graph.
        reset_of: the reset of the neurons of a node of the graph.

    Returns:
        For each layer, int64 of its output shape: the index of the reset in RESETS, or RELAY.

    Raises:
        UserError: the graph cannot be laid out as a chain.
    """
    if not needs_layout(graph):
        return [
            np.full(layer.output_shape, RESETS.index(reset_of(neuron.node)))
            for layer, neuron in fold(graph.chain(), graph.dt_s).layers
        ]
    laid = lay_out(graph)
    resets = [np.full(layer.output_shape, RELAY) for layer, _ in fold(laid.graph.chain(), graph.dt_s).layers]
    origin = {part.name: part.of for parts in laid.parts.values() for part in parts}
    for name, (index, places) in laid.places.items():
        node = graph.nir_graph.nodes[origin.get(name, name)]
        resets[index].flat[places.ravel()] = RESETS.index(reset_of(node))
    return resets
