"""Convolutions along one axis as convolutions over maps of height 1, which netx has."""

from __future__ import annotations

from dataclasses import replace

import nir
import numpy as np

from spikeport.export.graph.node_kinds import NEURONS
from spikeport.values import Shape

NOTE = "1-D signals (C, N) are maps (C, 1, N)"


def with_height_one(graph: nir.NIRGraph) -> nir.NIRGraph:
    """A flat graph in which Conv1d is Conv2d with a kernel of one row, and signals `(C, N)` are maps `(C, 1, N)`.

    Output o of channel c is the same sum over kernel and channels in both, and flattening gives the same order.

    Args:
        graph: a flat graph.

    Returns:
        The graph; `graph` itself if it has no Conv1d.
    """
    if not any(isinstance(node, nir.Conv1d) for node in graph.nodes.values()):
        return graph
    nodes = {name: on_maps(node) for name, node in graph.nodes.items()}
    return nir.NIRGraph(nodes, list(graph.edges), metadata=graph.metadata, type_check=False)


def map_shape(shape: Shape) -> Shape:
    """`(C, 1, N)` for `(C, N)`; other shapes as they are."""
    return (shape[0], 1, shape[1]) if len(shape) == 2 else tuple(shape)


def on_maps(node: nir.NIRNode) -> nir.NIRNode:
    """A node over signals `(C, N)` as a node over maps `(C, 1, N)`.

    Args:
        node: the node, with arrays of `(C, N)` where it has values for each neuron.
    """
    if isinstance(node, nir.Conv1d):
        return _two_dimensional(node)
    if isinstance(node, (nir.Input, nir.Output)):
        key = "input" if isinstance(node, nir.Input) else "output"
        stated = (node.input_type if isinstance(node, nir.Input) else node.output_type)[key]
        sizes = () if stated is None else tuple(int(size) for size in np.atleast_1d(stated))
        return type(node)({key: np.array(map_shape(sizes))}, metadata=node.metadata) if len(sizes) == 2 else node
    if isinstance(node, nir.Flatten):
        return replace(node, start_dim=0, end_dim=-1)
    if isinstance(node, (*NEURONS, nir.Scale, nir.Delay)):
        grown = {
            key: value[:, None, :]
            for key, value in vars(node).items()
            if isinstance(value, np.ndarray) and value.ndim == 2
        }
        fields = {key: value for key, value in vars(node).items() if key not in ("input_type", "output_type")}
        return type(node)(**{**fields, **grown}) if grown else node
    return node


def _two_dimensional(node: nir.Conv1d) -> nir.Conv2d:
    padding = node.padding if isinstance(node.padding, str) else (0, int(np.ravel(node.padding)[0]))
    stride, dilation = (int(np.ravel(value)[0]) for value in (node.stride, node.dilation))
    size = None if node.input_shape is None else (1, int(np.ravel(node.input_shape)[0]))
    return nir.Conv2d(
        input_shape=size,
        weight=np.asarray(node.weight)[:, :, None, :],
        stride=(1, stride),
        padding=padding,
        dilation=(1, dilation),
        groups=node.groups,
        bias=node.bias,
        metadata=node.metadata,
    )
