"""Expands all parameters of a chain to full shapes, which strict readers of NIR files require."""

from __future__ import annotations

import itertools
from dataclasses import replace

import nir
import numpy as np

from spikeport.export.graph.chain import ChainNode, single
from spikeport.export.graph.chain import input_shape as stated_shape
from spikeport.export.graph.node_kinds import NEURONS
from spikeport.export.graph.parameters import on_layer
from spikeport.export.graph.shapes import POOLS, conv_geometry, pair

_TYPES = ("input_type", "output_type", "metadata")


def with_full_shapes(graph: nir.NIRGraph, steps: tuple[ChainNode, ...]) -> nir.NIRGraph:
    """The graph with its nodes in the order of the chain and every parameter in full shape.

    Args:
        graph: a flat graph.
        steps: its chain.
    """
    first, last = single(graph, nir.Input), single(graph, nir.Output)
    behind = steps[-1].output_shape if steps else stated_shape(graph)
    nodes: dict[str, nir.NIRNode] = {
        first: nir.Input({"input": np.array(stated_shape(graph))}, metadata=graph.nodes[first].metadata)
    }
    edges: list[tuple[str, str]] = list(itertools.pairwise([first, *(step.name for step in steps), last]))
    for step in steps:
        nodes[step.name] = _with_full_shape(step)
        nodes |= {inner.name: _with_full_shape(inner) for inner in step.recurrence}
        if step.recurrence:
            edges += itertools.pairwise([step.name, *(inner.name for inner in step.recurrence), step.name])
    nodes[last] = nir.Output({"output": np.array(behind)}, metadata=graph.nodes[last].metadata)
    return nir.NIRGraph(nodes, edges, metadata=graph.metadata, type_check=False)


def _with_full_shape(step: ChainNode) -> nir.NIRNode:
    node = step.node
    if isinstance(node, (*NEURONS, nir.Scale, nir.Delay)):
        arrays = {key: value for key, value in vars(node).items() if key not in _TYPES}
        full = {key: _full(step, key, value) for key, value in arrays.items()}
        return type(node)(**full, metadata=node.metadata)
    if isinstance(node, nir.Conv2d):
        same = isinstance(node.padding, str) and node.padding == "same"
        return replace(
            node,
            input_shape=np.array(step.input_shape[1:]),
            stride=np.array(pair(node.stride, step.name, "stride")),
            padding="same" if same else np.array(conv_geometry(node, step.name)[2]),
            dilation=np.array(pair(node.dilation, step.name, "dilation")),
        )
    if isinstance(node, POOLS):
        keys = ("kernel_size", "stride", "padding")
        return replace(node, **{key: np.array(pair(getattr(node, key), step.name, key)) for key in keys})
    if isinstance(node, nir.Flatten):
        return nir.Flatten({"input": np.array(step.input_shape)}, start_dim=0, end_dim=-1, metadata=node.metadata)
    return node


def _full(step: ChainNode, key: str, value: np.ndarray) -> np.ndarray:
    """`value` broadcast to the layer's shape, its dtype unchanged."""
    return on_layer(step.name, key, value, step.output_shape).astype(np.asarray(value).dtype)
