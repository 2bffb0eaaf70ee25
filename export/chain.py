"""A NIR graph as the one chain that netx can hold: sorted, with shapes of our own, or refused with every reason.

NIR's edges are unordered and its shape inference takes a convolution's width from the kernel's height, so both are
worked out here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np

from hardware_profiles.errors import UserError

SYNAPSES = (nir.Linear, nir.Affine, nir.Conv2d)
POOLS = (nir.AvgPool2d, nir.SumPool2d)
NEURONS = (nir.LIF, nir.CubaLIF, nir.IF)
TAKEN = (*SYNAPSES, *POOLS, *NEURONS, nir.Flatten, nir.Scale, nir.Input, nir.Output)

NEVER_FIRES = ("it never fires, and netx gives out spikes only", "end in a LIF and count its spikes")
REFUSED: dict[type, tuple[str, str]] = {
    nir.LI: NEVER_FIRES,
    nir.CubaLI: NEVER_FIRES,
    nir.I: NEVER_FIRES,
    nir.Threshold: ("netx has no neuron without state", "use a LIF whose tau equals the time step"),
    nir.Conv1d: ("netx has no 1-D convolution", "write it as a Conv2d over (C, 1, N)"),
    nir.Delay: ("the integer network has no delays yet", "train without delays, or drop the node"),
    nir.NIRGraph: ("it is a graph inside the graph", "flatten it; recurrent cells come in a later version"),
}


@dataclass(frozen=True)
class Step:
    """One node of the chain with the shapes before and behind it, `(C, H, W)` or `(N,)`."""

    name: str
    node: nir.NIRNode
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]


def chain(graph: nir.NIRGraph) -> tuple[Step, ...]:
    """The nodes between Input and Output in the order in which spikes pass them.

    Raises UserError naming every node that keeps the graph from being a chain that netx can hold, or the node whose
    shape does not fit the one before it.
    """
    refuse(structure_faults(graph))
    following = dict(graph.edges)
    name, shape = single(graph, nir.Input), input_shape(graph)
    steps = []
    while not isinstance(graph.nodes[name := following[name]], nir.Output):
        node = graph.nodes[name]
        behind = _output_shape(name, node, shape)
        steps.append(Step(name, node, shape, behind))
        shape = behind
    claimed = graph.nodes[name].output_type["output"]
    if claimed is not None and int(np.prod(claimed)) != int(np.prod(shape)):
        raise UserError(f"the file claims shape {_plain(claimed)}, the layers give {shape}", where=name)
    return tuple(steps)


def input_shape(graph: nir.NIRGraph) -> tuple[int, ...]:
    """Shape that the graph's Input node states, without a batch axis. Raises UserError where it cannot be one."""
    name = single(graph, nir.Input)
    stated = graph.nodes[name].input_type["input"]
    shape = () if stated is None else _plain(stated)
    if len(shape) not in (1, 3) or min(shape) < 1:
        raise UserError(
            f"the input shape {shape} is neither (N,) nor (C, H, W)", where=name, mend="write it without time and batch"
        )
    return shape


def single(graph: nir.NIRGraph, kind: type) -> str:
    """Name of the only Input or Output node. Raises UserError where there is not exactly one."""
    names = [name for name, node in graph.nodes.items() if isinstance(node, kind)]
    if len(names) != 1:
        raise UserError(
            f"the graph has {len(names)} {kind.__name__} nodes", mend=f"keep exactly one {kind.__name__} node"
        )
    return names[0]


def refuse(faults: list[UserError]) -> None:
    """Raises the faults as one UserError, numbered where there are several; returns where there is none."""
    if len(faults) == 1:
        raise faults[0]
    if faults:
        listed = "; ".join(f"({number}) {fault}" for number, fault in enumerate(faults, 1))
        raise UserError(f"{len(faults)} things keep this graph from netx: {listed}")


def structure_faults(graph: nir.NIRGraph) -> list[UserError]:
    """Why this graph is not a single chain of nodes that netx can hold, one error a reason; empty if it is."""
    faults = [_node_fault(name, node) for name, node in graph.nodes.items() if not isinstance(node, TAKEN)]
    for kind in (nir.Input, nir.Output):
        count = sum(isinstance(node, kind) for node in graph.nodes.values())
        if count != 1:
            faults.append(
                UserError(f"the graph has {count} {kind.__name__} nodes", mend=f"keep exactly one {kind.__name__}")
            )
    edges = [tuple(edge) for edge in graph.edges]
    lost = sorted({name for edge in edges for name in edge if name not in graph.nodes})
    if lost:
        return [*faults, UserError(f"edges name nodes that do not exist: {', '.join(lost)}")]
    reached = {name: _reachable(name, edges) for name in graph.nodes}
    for loop in _loops(reached):
        through = next((name for name in loop if isinstance(graph.nodes[name], NEURONS)), loop[0])
        others = [name for name in loop if name != through] or ["itself"]
        faults.append(
            UserError(
                f"is recurrent through {', '.join(others)}", where=through,
                why="this version takes chains only", mend="train without recurrence",
            )
        )  # fmt: skip
    forward = [edge for edge in edges if edge[0] not in reached[edge[1]] and edge[0] != edge[1]]
    faults += _fork_faults(graph, forward)
    faults += [
        UserError("is connected to nothing", where=name, mend="remove it or add its edges")
        for name in graph.nodes
        if not any(name in edge for edge in edges)
    ]
    return faults


def pair(value: Any, where: str, what: str) -> tuple[int, int]:
    """A stride, padding, dilation or kernel size as (height, width), from one integer or two."""
    numbers = np.asarray(value).ravel()
    if numbers.size not in (1, 2) or numbers.dtype.kind not in "iuf" or np.any(numbers != np.rint(numbers)):
        raise UserError(f"{what} {value!r} is neither one integer nor two", where=where)
    if numbers.min() < (0 if what == "padding" else 1):
        raise UserError(f"{what} {numbers.tolist()} is too small", where=where)
    return int(numbers[0]), int(numbers[-1])


def conv_padding(node: nir.Conv2d, where: str) -> tuple[int, int]:
    """Zeros added on each side, (height, width); "same" only where it is symmetric and the stride is 1."""
    if not isinstance(node.padding, str):
        return pair(node.padding, where, "padding")
    if node.padding == "valid":
        return 0, 0
    total = np.array(pair(node.dilation, where, "dilation")) * (np.array(node.weight.shape[2:]) - 1)
    if np.any(total % 2) or pair(node.stride, where, "stride") != (1, 1):
        raise UserError(
            f"padding 'same' of kernel {node.weight.shape[2:]} is not the same on both sides", where=where,
            why="netx pads symmetrically", mend="use an odd kernel and stride 1, or pad explicitly",
        )  # fmt: skip
    return int(total[0] // 2), int(total[1] // 2)


def conv_extent(
    size: Iterable[int], kernel: Iterable[int], stride: Iterable[int], padding: Iterable[int], dilation: Iterable[int]
) -> tuple[int, ...]:
    """(H, W) behind a convolution or a pool, each axis with its own kernel size (torch's formula)."""
    axes = zip(size, kernel, stride, padding, dilation, strict=True)
    return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in axes)


def _output_shape(name: str, node: nir.NIRNode, shape: tuple[int, ...]) -> tuple[int, ...]:
    if isinstance(node, nir.Conv2d):
        return _conv_shape(name, node, shape)
    if isinstance(node, (nir.Linear, nir.Affine)):
        if node.weight.ndim != 2 or shape != (node.weight.shape[1],):
            mend = "add a Flatten before it" if len(shape) == 3 else ""
            raise UserError(f"weight {node.weight.shape} does not fit its input {shape}", where=name, mend=mend)
        return (int(node.weight.shape[0]),)
    if isinstance(node, POOLS):
        if len(shape) != 3:
            raise UserError(f"a pool needs (C, H, W) input, got {shape}", where=name)
        kernel, stride, padding = (pair(getattr(node, key), name, key) for key in ("kernel_size", "stride", "padding"))
        behind = (shape[0], *conv_extent(shape[1:], kernel, stride, padding, (1, 1)))
        if min(behind) < 1:
            raise UserError(f"pool {kernel} is larger than its input {shape}", where=name)
        return behind
    if isinstance(node, nir.Flatten):
        last = int(node.end_dim) % len(shape)
        if len(shape) > 1 and (int(node.start_dim) != 0 or last != len(shape) - 1):
            raise UserError(
                f"Flatten merges axes {node.start_dim} to {node.end_dim} of {shape} only", where=name,
                why="netx flattens all of them", mend="use start_dim 0 and end_dim -1 (NIR counts without the batch)",
            )  # fmt: skip
        return (int(np.prod(shape)),)
    arrays = {key: np.shape(value) for key, value in vars(node).items() if isinstance(value, np.ndarray)}
    for key, given in arrays.items():
        if int(np.prod(given)) != 1 and given != shape and _broadcast(given, shape) != shape:
            raise UserError(f"{key} has shape {given}, the layer before gives {shape}", where=name)
    return shape


def _conv_shape(name: str, node: nir.Conv2d, shape: tuple[int, ...]) -> tuple[int, ...]:
    weight, groups = node.weight, int(node.groups)
    if weight.ndim != 4 or len(shape) != 3 or weight.shape[1] * groups != shape[0] or weight.shape[0] % groups:
        raise UserError(f"weight {weight.shape} with groups={groups} does not fit its input {shape}", where=name)
    stride, dilation = pair(node.stride, name, "stride"), pair(node.dilation, name, "dilation")
    extent = conv_extent(shape[1:], weight.shape[2:], stride, conv_padding(node, name), dilation)
    if min(extent) < 1:
        raise UserError(f"kernel {weight.shape[2:]} is larger than the padded input {shape[1:]}", where=name)
    return (int(weight.shape[0]), *extent)


def _node_fault(name: str, node: nir.NIRNode) -> UserError:
    why, mend = REFUSED.get(type(node), ("netx has no such layer", ""))
    return UserError(f"{type(node).__name__} cannot go to netx", where=name, why=why, mend=mend)


def _fork_faults(graph: nir.NIRGraph, edges: list[tuple[str, ...]]) -> list[UserError]:
    faults = []
    for name, node in graph.nodes.items():
        sources = sorted(pre for pre, post in edges if post == name)
        targets = sorted(post for pre, post in edges if pre == name)
        if len(sources) > 1:
            what = f"merges {', '.join(sources)}"
            faults.append(UserError(what, where=name, why="netx has no add and no concat", mend="train a plain chain"))
        if len(targets) > 1:
            what = f"branches to {', '.join(targets)}"
            faults.append(UserError(what, where=name, why="netx is one chain", mend="train a plain chain"))
        if sources and not targets and not isinstance(node, nir.Output):
            faults.append(UserError("leads nowhere", where=name, mend="connect it to an Output node"))
        if targets and not sources and not isinstance(node, nir.Input):
            faults.append(UserError("is fed by nothing", where=name, mend="connect an Input node to it"))
    return faults


def _reachable(start: str, edges: list[tuple[str, ...]]) -> set[str]:
    seen: set[str] = set()
    ahead = [post for pre, post in edges if pre == start]
    while ahead:
        name = ahead.pop()
        if name not in seen:
            seen.add(name)
            ahead += [post for pre, post in edges if pre == name]
    return seen


def _loops(reached: dict[str, set[str]]) -> list[list[str]]:
    loops: list[list[str]] = []
    for name, ahead in reached.items():
        if name in ahead and not any(name in loop for loop in loops):
            loops.append(sorted(other for other in ahead if name in reached[other]))
    return loops


def _broadcast(given: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...] | None:
    try:
        return np.broadcast_shapes(given, shape)
    except ValueError:
        return None


def _plain(shape: Any) -> tuple[int, ...]:
    return tuple(int(size) for size in np.atleast_1d(shape))
