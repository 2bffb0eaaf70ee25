"""Folds pools, scales, delays and flattens, which netx does not have, into the adjacent weight layers.

The rewrites are exact. Weights are only added and multiplied. The division of an average pool is kept in `divisor`,
which later multiplies the threshold instead of dividing the weights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import nir

from spikeport.errors import UserError
from spikeport.export.graph.chain import ChainNode
from spikeport.export.graph.node_kinds import NEURONS
from spikeport.export.lowering.folded_layer import FoldedLayer
from spikeport.export.lowering.path_folding import (
    identity,
    identity_matrix,
    name_of,
    recurrent_weights,
    weights_of,
    with_earlier,
)


@dataclass(frozen=True)
class Folded:
    """Result of `fold`.

    Attributes:
        layers: pairs of a weight layer and the neuron after it.
        host: weight layer after the last neuron, which the host computes because netx cannot; None if there is none.
    """

    layers: tuple[tuple[FoldedLayer, ChainNode], ...]
    host: FoldedLayer | None = None


def fold(steps: tuple[ChainNode, ...], dt_s: float) -> Folded:
    """Folds a chain into pairs of a weight layer and a neuron.

    Each pair comes from `[pool|scale|delay|flatten]* weights [pool|scale|delay|flatten]* neuron`. A neuron without
    weights before it gets an identity weight (a depthwise convolution), into which pools and scales are folded.

    Args:
        steps: the chain.
        dt_s: time step in seconds, for delays.

    Raises:
        UserError: the chain has another form, or folding would not be exact.
    """
    layers: list[tuple[FoldedLayer, ChainNode]] = []
    between: list[ChainNode] = []
    for step in steps:
        if isinstance(step.node, NEURONS):
            layer, before = weights_of(between, dt_s)
            if layer is None:
                layer = with_earlier(identity(step, before), before, dt_s)
            layers.append((_with_recurrence(layer, step), step))
            between = []
        else:
            between.append(step)
    layer, before = weights_of(between, dt_s)
    if not layers:
        raise UserError(
            "the graph has no neuron behind its weights", where=layer.name if layer else "",
            cause="netx has neurons behind every weight layer", hint="end in a LIF and classify by its spike counts",
        )  # fmt: skip
    if layer is None and any(not isinstance(step.node, nir.Flatten) for step in before):
        layer = with_earlier(identity_matrix(name_of(before), before[-1].output_shape), before, dt_s)
    return Folded(tuple(layers), None if layer is None else _on_host(layer))


def _with_recurrence(layer: FoldedLayer, neuron: ChainNode) -> FoldedLayer:
    """Adds the recurrent weight of a neuron to its layer, multiplied by the divisor of the layer."""
    if not neuron.recurrence:
        return layer
    if layer.kind != "dense":
        raise UserError(
            f"is recurrent around the convolution {layer.name}", where=neuron.name,
            cause="netx has recurrent weights for dense layers only", hint="put a Flatten and a Linear before it",
        )  # fmt: skip
    if layer.delay is not None:
        raise UserError(
            f"is recurrent behind the delayed layer {layer.name}", where=neuron.name,
            cause="netx would delay the recurrent spikes as well", hint="train without this delay",
        )  # fmt: skip
    weight, bias = recurrent_weights(neuron)
    names = tuple(step.name for step in neuron.recurrence)
    return replace(
        layer, weight_rec=layer.divisor * weight, bias_rec=layer.divisor * bias, folded=(*layer.folded, *names)
    )


def _on_host(layer: FoldedLayer) -> FoldedLayer:
    if layer.kind != "dense":
        raise UserError(
            "the graph ends in a convolution without a neuron", where=layer.name,
            cause="the host reads out with one matrix", hint="put a Flatten before a Linear, or end in a LIF",
        )  # fmt: skip
    if layer.delay is not None:
        raise UserError("is delayed behind the last neuron", where=layer.name, cause="the host reads spike counts",
                        hint="remove the Delay")  # fmt: skip
    return layer
