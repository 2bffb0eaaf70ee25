"""Whether a graph has to be laid out anew before netx can run it layer by layer."""

from __future__ import annotations

import nir
import numpy as np

from spikeport.export.graph.chain import ChainNode
from spikeport.export.graph.node_kinds import SPIKING
from spikeport.export.graph.shapes import POOLS
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.graph.structure import is_chain
from spikeport.export.lowering.branches.parts import needs_matrix, own_groups
from spikeport.export.lowering.discretize import EulerStep, euler_step
from spikeport.export.lowering.fold import fold
from spikeport.export.lowering.folded_layer import FoldedLayer
from spikeport.export.lowering.pool_folding import NotOneConvolutionError


def needs_layout(graph: SpikingGraph) -> bool:
    """Whether a graph has branches, or a layer that cannot be one layer on the chip as it stands.

    Such layers are those whose neurons cannot share their parameters, recurrent convolutions, and convolutions into
    which a pool or scale beside them does not fold. Rows with scales of their own are in different layers too.

    Args:
        graph: the graph.
    """
    if not is_chain(graph.nir_graph) or graph.row_scales != 1:
        return True
    steps = graph.chain()
    if any(step.recurrence and len(step.input_shape) == 3 for step in steps) or _needs_matrices(steps, graph.dt_s):
        return True
    if graph.allow_vector or any(isinstance(step.node, nir.Delay) for step in steps):
        return False
    own = {step.name: found for step in steps if (found := _of_neurons(step, graph.dt_s)) is not None}
    if graph.readout.startswith("membrane"):
        own.pop(steps[-1].name, None)  # it is read out, so it stays one layer
    return bool(own) and any(
        _cannot_share(layer, own[neuron.name], graph.scales.get(layer.name))
        for layer, neuron in fold(steps, graph.dt_s).layers
        if neuron.name in own
    )


def _needs_matrices(steps: tuple[ChainNode, ...], dt_s: float) -> bool:
    """Whether a pool or scale does not fold into the convolution beside it."""
    kinds = tuple(type(step.node) for step in steps)
    if nir.Delay in kinds or not set(kinds) & {*POOLS, nir.Scale}:
        return False
    try:
        fold(steps, dt_s)
    except NotOneConvolutionError:
        return True
    return False


def _cannot_share(layer: FoldedLayer, step: EulerStep, scale: float | None) -> bool:
    shape = layer.output_shape
    split = own_groups([layer], step, shape, scale, layer.weight_rec).any()
    return bool(split) or (layer.kind == "conv" and needs_matrix(step, shape))


def _of_neurons(chain_node: ChainNode, dt_s: float) -> EulerStep | None:
    """The Euler step of neurons that fire and have parameters of their own; else None."""
    if not isinstance(chain_node.node, SPIKING):
        return None
    step = euler_step(chain_node.name, chain_node.node, dt_s, chain_node.input_shape)
    values = (step.i_decay, step.v_decay, step.gain, step.threshold)
    return step if any(np.ndim(value) for value in values) else None
