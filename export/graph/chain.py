"""Sorts a NIR graph into a single chain of layers, the only structure that netx supports.

NIR's edges are unordered, so the order and the shapes are computed here. A neuron may have a recurrent connection: one
weight from its spikes to its own input. Graphs with branches become a chain in `lowering.branches`. Other graphs are
refused with a list of all reasons.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np

from spikeport.errors import UnstatedError, UserError
from spikeport.export.graph.flatten import flat
from spikeport.export.graph.node_kinds import INTEGRATORS
from spikeport.export.graph.shapes import check_size, output_shape
from spikeport.export.graph.structure import branch_faults, edges_of, recurrences_of, refuse, structure_faults
from spikeport.values import Shape


@dataclass(frozen=True)
class ChainNode:
    """One node of the chain.

    Attributes:
        name: name of the node.
        node: the NIR node.
        input_shape: shape of its input, `(C, H, W)` or `(N,)`.
        output_shape: shape of its output, `(C, H, W)` or `(N,)`.
        recurrence: for a recurrent neuron the nodes from its spikes to its input, in this order.
    """

    name: str
    node: nir.NIRNode
    input_shape: Shape
    output_shape: Shape
    recurrence: tuple[ChainNode, ...] = ()


def chain(graph: nir.NIRGraph) -> tuple[ChainNode, ...]:
    """Nodes between Input and Output in the order of execution. Recurrent connections are attributes of their neuron.

    Args:
        graph: a flat NIR graph.

    Raises:
        UserError: the graph is not a chain that netx supports (the message names every reason), or the shape of a node
            does not fit the previous node.
    """
    graph = flat(graph)
    refuse([*structure_faults(graph), *branch_faults(graph)])
    recurrences = recurrences_of(graph)
    inside = {name for recurrence in recurrences.values() for name in recurrence}
    following = {before: behind for before, behind in edges_of(graph) if before not in inside and behind not in inside}
    name, shape = single(graph, nir.Input), input_shape(graph)
    steps: list[ChainNode] = []
    while not isinstance(graph.nodes[name := following[name]], nir.Output):
        node = graph.nodes[name]
        if steps and isinstance(steps[-1].node, INTEGRATORS) and not isinstance(node, nir.Flatten):
            raise _silent_fault(steps[-1].name, name)
        behind = output_shape(name, node, shape)
        recurrence = tuple(recurrent_nodes(graph, recurrences.get(name, ()), shape))
        steps.append(ChainNode(name, node, shape, behind, recurrence))
        shape = behind
    # NIR infers widths from kernel heights: its output shape is wrong after kernels that are not square
    claimed = graph.nodes[name].output_type["output"]
    misled = any(isinstance(s.node, nir.Conv2d) and len(set(s.node.weight.shape[2:])) > 1 for s in steps)
    sizes = () if claimed is None else _plain(claimed)
    per_step = math.prod(sizes[1:]) if len(sizes) in (2, 4) else None  # the first axis counts time steps or a batch
    if claimed is not None and math.prod(shape) not in (math.prod(sizes), per_step) and not misled:
        raise UserError(f"the file claims shape {sizes}, the layers give {shape}", where=name)
    return tuple(steps)


def input_shape(graph: nir.NIRGraph) -> Shape:
    """Input shape without batch axis: stated by the Input node, else inferred from a Linear after it.

    Several inputs are side by side: along the channels if all have one height and width, else flat.

    Args:
        graph: a flat NIR graph.

    Raises:
        UserError: the shape is missing, or is neither `(N,)` nor `(C, H, W)`.
    """
    inputs = [name for name, node in graph.nodes.items() if isinstance(node, nir.Input)]
    if len(inputs) > 1:
        return _side_by_side([shape_of_input(graph, name) for name in inputs])
    return shape_of_input(graph, single(graph, nir.Input))


def _side_by_side(shapes: list[Shape]) -> Shape:
    if all(len(shape) == 3 for shape in shapes) and len({shape[1:] for shape in shapes}) == 1:
        return (sum(shape[0] for shape in shapes), *shapes[0][1:])
    return (sum(math.prod(shape) for shape in shapes),)


def shape_of_input(graph: nir.NIRGraph, name: str) -> Shape:
    """Shape of one Input node without batch axis: stated by it, else inferred from a Linear after it.

    Args:
        graph: a flat NIR graph.
        name: the node.

    Raises:
        UserError: the shape is missing, or is neither `(N,)` nor `(C, H, W)`.
    """
    stated = graph.nodes[name].input_type["input"]
    shape = () if stated is None or not np.size(stated) else _plain(stated)
    if not shape:
        weights = [graph.nodes.get(behind) for before, behind in edges_of(graph) if before == name]
        shape = next((n.weight.shape[1:] for n in weights if isinstance(n, (nir.Linear, nir.Affine))), ())
    if len(shape) not in (1, 3) or min(shape) < 1:
        what = f"the input shape {shape} is neither (N,) nor (C, H, W)" if shape else "the file states no input shape"
        per_step = shape[1:] if len(shape) in (2, 4) else shape[-3:] if len(shape) > 4 else (2, 34, 34)
        hint = f"say it without time and batch: --input-shape {','.join(map(str, per_step))}"
        raise UnstatedError(what, where=name, hint=hint)
    check_size(name, shape)
    return shape


def with_input_shape(graph: nir.NIRGraph, shape: Shape) -> nir.NIRGraph:
    """Copy of the graph with `shape` as the shape of its Input node.

    Args:
        graph: a flat NIR graph.
        shape: `(C, H, W)` or `(N,)`, without batch axis.
    """
    name = single(graph, nir.Input)
    nodes = {**graph.nodes, name: nir.Input({"input": np.array(shape)}, metadata=graph.nodes[name].metadata)}
    return nir.NIRGraph(nodes, list(graph.edges), metadata=graph.metadata, type_check=False)


def single(graph: nir.NIRGraph, kind: type) -> str:
    """Name of the only node of a type.

    Args:
        graph: a flat NIR graph.
        kind: class of the node.

    Raises:
        UserError: there is no such node, or there are several.
    """
    names = [name for name, node in graph.nodes.items() if isinstance(node, kind)]
    if len(names) != 1:
        raise UserError(
            f"the graph has {len(names)} {kind.__name__} nodes", hint=f"keep exactly one {kind.__name__} node"
        )
    return names[0]


def recurrent_nodes(graph: nir.NIRGraph, recurrence: Iterable[str], shape: Shape) -> Iterator[ChainNode]:
    """Nodes of a recurrent connection with their shapes, which must equal the shape of the neuron's layer.

    Args:
        graph: a flat NIR graph.
        recurrence: names of the nodes.
        shape: shape of the neuron's layer.

    Raises:
        UserError: a node leads to another shape.
    """
    for name in recurrence:
        behind = output_shape(name, graph.nodes[name], shape)
        if behind != shape:
            raise UserError(f"leads {shape} back as {behind}", where=name,
                            hint="use a square weight, or padding that keeps the size")  # fmt: skip
        yield ChainNode(name, graph.nodes[name], shape, behind)


def _silent_fault(name: str, behind: str) -> UserError:
    return UserError(
        f"leads to {behind}, and it never fires", where=name, cause="netx hands on spikes only",
        hint="keep it as the last layer, whose membrane is read out, or use a LIF",
    )  # fmt: skip


def _plain(shape: Any) -> tuple[int, ...]:
    return tuple(int(size) for size in np.ravel(shape))
