"""Sorts a NIR graph into a single chain of layers, the only structure that netx supports.

NIR's edges are unordered, so the order and the shapes are computed here. A neuron may have a recurrent connection: one
weight from its spikes to its own input. Other graphs are refused with a list of all reasons.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np

from spikeport.errors import UserError
from spikeport.export.graph.flatten import circles, flat, neighbors
from spikeport.export.graph.shapes import POOLS, check_size, output_shape
from spikeport.values import Shape

SYNAPSES = (nir.Linear, nir.Affine, nir.Conv2d)
SPIKING = (nir.LIF, nir.CubaLIF, nir.IF)
INTEGRATORS = (nir.LI, nir.CubaLI, nir.I)  # integrators without spikes, read out by their membrane
NEURONS = (*SPIKING, *INTEGRATORS)
TAKEN = (*SYNAPSES, *POOLS, *NEURONS, nir.Flatten, nir.Scale, nir.Delay, nir.Input, nir.Output)
LISTED = 20  # largest number of faults or names in one message
RECURRENT_LAYERS = (nir.Linear, nir.Affine, nir.Scale)

REFUSED: dict[type, tuple[str, str]] = {
    nir.Threshold: ("netx has no neuron without state", "use a LIF whose tau equals the time step"),
    nir.Conv1d: ("netx has no 1-D convolution", "write it as a Conv2d over (C, 1, N)"),
}


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
    refuse(structure_faults(graph))
    recurrences, _ = _recurrences(graph)
    inside = {name for recurrence in recurrences.values() for name in recurrence}
    following = {before: behind for before, behind in _edges(graph) if before not in inside and behind not in inside}
    name, shape = single(graph, nir.Input), input_shape(graph)
    steps: list[ChainNode] = []
    while not isinstance(graph.nodes[name := following[name]], nir.Output):
        node = graph.nodes[name]
        if steps and isinstance(steps[-1].node, INTEGRATORS) and not isinstance(node, nir.Flatten):
            raise _silent_fault(steps[-1].name, name)
        behind = output_shape(name, node, shape)
        recurrence = tuple(_recurrent_nodes(graph, recurrences.get(name, ()), name, shape))
        steps.append(ChainNode(name, node, shape, behind, recurrence))
        shape = behind
    # NIR infers widths from kernel heights: its output shape is wrong after kernels that are not square
    claimed = graph.nodes[name].output_type["output"]
    misled = any(isinstance(s.node, nir.Conv2d) and len(set(s.node.weight.shape[2:])) > 1 for s in steps)
    if claimed is not None and int(np.prod(claimed)) != int(np.prod(shape)) and not misled:
        raise UserError(f"the file claims shape {_plain(claimed)}, the layers give {shape}", where=name)
    return tuple(steps)


def input_shape(graph: nir.NIRGraph) -> Shape:
    """Input shape without batch axis: stated by the Input node, else inferred from a Linear after it.

    Args:
        graph: a flat NIR graph.

    Raises:
        UserError: the shape is missing, or is neither `(N,)` nor `(C, H, W)`.
    """
    name = single(graph, nir.Input)
    stated = graph.nodes[name].input_type["input"]
    shape = () if stated is None or not np.size(stated) else _plain(stated)
    if not shape:
        weights = [graph.nodes.get(behind) for before, behind in _edges(graph) if before == name]
        shape = next((n.weight.shape[1:] for n in weights if isinstance(n, (nir.Linear, nir.Affine))), ())
    if len(shape) not in (1, 3) or min(shape) < 1:
        what = f"the input shape {shape} is neither (N,) nor (C, H, W)" if shape else "the file states no input shape"
        raise UserError(what, where=name, hint="say it without time and batch: --input-shape 2,34,34")
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


def refuse(faults: list[UserError]) -> None:
    """Raises faults as one error, numbered if there are several.

    Args:
        faults: the faults; empty for none.

    Raises:
        UserError: there is a fault.
    """
    if len(faults) == 1:
        raise faults[0]
    if faults:
        first = "; ".join(f"({number}) {fault}" for number, fault in enumerate(faults[:LISTED], 1))
        more = f"; and {len(faults) - LISTED} more" if len(faults) > LISTED else ""
        raise UserError(f"{len(faults)} things keep this graph from netx: {first}{more}")


def structure_faults(graph: nir.NIRGraph) -> list[UserError]:
    """Reasons why the graph is not a chain of nodes that netx supports, one error each; empty if it is one."""
    graph = flat(graph)
    faults = [_node_fault(name, node) for name, node in graph.nodes.items() if not isinstance(node, TAKEN)]
    for kind in (nir.Input, nir.Output):
        count = sum(isinstance(node, kind) for node in graph.nodes.values())
        if count != 1:
            faults.append(
                UserError(f"the graph has {count} {kind.__name__} nodes", hint=f"keep exactly one {kind.__name__}")
            )
    edges = _edges(graph)
    lost = sorted({name for edge in edges for name in edge if name not in graph.nodes})
    if lost:
        return [*faults, UserError(f"edges name nodes that do not exist: {listed(lost)}")]
    recurrences, recurrence_faults = _recurrences(graph)
    faults += recurrence_faults
    inside = {name for recurrence in recurrences.values() for name in recurrence}
    circle = circles(graph.nodes, edges)
    forward = [edge for edge in edges if not inside & set(edge) and circle[edge[0]] != circle[edge[1]]]
    faults += _fork_faults({name: node for name, node in graph.nodes.items() if name not in inside}, forward)
    joined = {name for edge in edges for name in edge}
    faults += [
        UserError("is connected to nothing", where=name, hint="remove it or add its edges")
        for name in graph.nodes
        if name not in joined
    ]
    return faults


def _recurrences(graph: nir.NIRGraph) -> tuple[dict[str, tuple[str, ...]], list[UserError]]:
    """Nodes of each recurrent connection in order, by neuron; and errors for loops that netx does not support."""
    edges = _edges(graph)
    targets, sources = neighbors(graph.nodes, edges)
    groups: dict[int, set[str]] = {}
    for name, circle in circles(graph.nodes, edges).items():
        groups.setdefault(circle, set()).add(name)
    recurrences: dict[str, tuple[str, ...]] = {}
    faults: list[UserError] = []
    for members in groups.values():
        if len(members) == 1 and not members & set(targets[next(iter(members))]):
            continue
        neurons = sorted(member for member in members if isinstance(graph.nodes[member], SPIKING))
        found = _simple_cycle(graph, members, neurons[0], targets, sources) if len(neurons) == 1 else None
        if found:
            recurrences[neurons[0]] = found
        else:
            faults.append(_recurrence_fault(graph, members, neurons))
    return recurrences, faults


def _simple_cycle(
    graph: nir.NIRGraph, members: set[str], neuron: str, targets: dict[str, list[str]], sources: dict[str, list[str]]
) -> tuple[str, ...] | None:
    """Nodes of a loop from `neuron` through at most one weight, and scales, back to it; None for other loops."""
    path: list[str] = []
    name = neuron
    while True:
        ahead = [behind for behind in targets[name] if name != neuron or behind in members]
        if len(ahead) != 1 or (name != neuron and len(sources[name]) != 1):
            return None
        name = ahead[0]
        if name == neuron:
            break
        path.append(name)
    kinds = [type(graph.nodes[each]) for each in path]
    weights = sum(issubclass(kind, SYNAPSES) for kind in kinds)
    whole = path and set(path) | {neuron} == members
    return tuple(path) if whole and weights <= 1 and all(issubclass(kind, RECURRENT_LAYERS) for kind in kinds) else None


def _recurrence_fault(graph: nir.NIRGraph, members: set[str], neurons: list[str]) -> UserError:
    through = neurons[0] if neurons else min(members)
    others = sorted(members - {through})
    if any(isinstance(graph.nodes[name], nir.Conv2d) for name in others):
        why = "netx has recurrent weights for dense layers only"
    elif not neurons:
        why = "this loop contains no neuron"
    elif not others:
        why = "an edge from a neuron to itself is often an exporter's mistake"
    else:
        why = "netx takes one weight from a layer's spikes back to its own input, and nothing else in that loop"
    return UserError(
        f"is recurrent through {listed(others) or 'itself'}", where=through, cause=why,
        hint="use one Linear, Affine or Scale between the neuron's spikes and its input, or train without this loop",
    )  # fmt: skip


def _recurrent_nodes(graph: nir.NIRGraph, recurrence: Iterable[str], neuron: str, shape: Shape) -> Iterator[ChainNode]:
    """Nodes of a recurrent connection with their shapes, which must equal the shape of the neuron's layer."""
    for name in recurrence:
        if len(shape) != 1:
            raise UserError(
                f"is recurrent around a layer of shape {shape}", where=neuron,
                cause="netx has recurrent weights for dense layers only", hint="put a Flatten and a Linear before it",
            )  # fmt: skip
        behind = output_shape(name, graph.nodes[name], shape)
        if behind != shape:
            raise UserError(f"leads {shape} back as {behind}", where=name, hint="use a square weight")
        yield ChainNode(name, graph.nodes[name], shape, behind)


def _silent_fault(name: str, behind: str) -> UserError:
    return UserError(
        f"leads to {behind}, and it never fires", where=name, cause="netx hands on spikes only",
        hint="keep it as the last layer, whose membrane is read out, or use a LIF",
    )  # fmt: skip


def _node_fault(name: str, node: nir.NIRNode) -> UserError:
    why, hint = REFUSED.get(type(node), ("netx has no such layer", ""))
    return UserError(f"{type(node).__name__} cannot go to netx", where=name, cause=why, hint=hint)


def _fork_faults(nodes: dict[str, nir.NIRNode], edges: list[tuple[str, str]]) -> list[UserError]:
    faults = []
    all_targets, all_sources = neighbors(nodes, edges)
    for name, node in nodes.items():
        sources, targets = sorted(all_sources[name]), sorted(all_targets[name])
        if len(sources) > 1:
            what = f"merges {listed(sources)}"
            faults.append(
                UserError(what, where=name, cause="netx has no add and no concat", hint="train a plain chain")
            )
        if len(targets) > 1:
            what = f"branches to {listed(targets)}"
            faults.append(UserError(what, where=name, cause="netx is one chain", hint="train a plain chain"))
        if sources and not targets and not isinstance(node, nir.Output):
            faults.append(UserError("leads nowhere", where=name, hint="connect it to an Output node"))
        if targets and not sources and not isinstance(node, nir.Input):
            faults.append(UserError("is fed by nothing", where=name, hint="connect an Input node to it"))
    return faults


def listed(names: list[str]) -> str:
    """Names separated by commas; after `LISTED` names the number of the others."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def _edges(graph: nir.NIRGraph) -> list[tuple[str, str]]:
    return list(dict.fromkeys((str(before), str(behind)) for before, behind in graph.edges))


def _plain(shape: Any) -> tuple[int, ...]:
    return tuple(int(size) for size in np.atleast_1d(shape))
