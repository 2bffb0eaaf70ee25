"""Structure of a NIR graph: what keeps it from a chain of layers, branches, and recurrent connections."""

from __future__ import annotations

from difflib import get_close_matches

import nir

from spikeport.errors import UserError
from spikeport.export.graph.flatten import circles, flat, neighbors
from spikeport.export.graph.node_kinds import RECURRENT_LAYERS, REFUSED, SPIKING, SYNAPSES, TAKEN

LISTED = 20  # largest number of faults or names in one message


def is_chain(graph: nir.NIRGraph) -> bool:
    """Whether a graph has one Input, one Output and no branches but recurrent connections."""
    return not branch_faults(graph)


def recurrences_of(graph: nir.NIRGraph) -> dict[str, tuple[str, ...]]:
    """Nodes of each recurrent connection in order, by neuron.

    Raises:
        UserError: the graph has loops that netx does not support.
    """
    found, faults = _recurrences(graph)
    refuse(faults)
    return found


class SeveralFaultsError(UserError):
    """Several faults in one error.

    Attributes:
        faults: the faults.
    """

    faults: tuple[UserError, ...] = ()


class UnseenError(UserError):
    """Nodes that were not examined, since a fault before them hides their shape.

    Attributes:
        names: the nodes.
    """

    def __init__(self, names: list[str], behind: str) -> None:
        super().__init__(f"{len(names)} modules behind {behind} were not looked at",
                         cause="the shape behind it is not known")  # fmt: skip
        self.names = tuple(names)


def faults_of(error: UserError) -> tuple[UserError, ...]:
    """The faults in an error of `refuse`; other errors are one fault."""
    return error.faults if isinstance(error, SeveralFaultsError) else (error,)


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
        more = f"; and {len(faults) - LISTED} more" if len(faults) > LISTED else ""
        error = SeveralFaultsError(
            f"{len(faults)} things keep this graph from netx: {_numbered(faults[:LISTED])}{more}"
        )
        error.faults = tuple(faults)
        raise error


def _numbered(faults: list[UserError]) -> str:
    """The faults with numbers. A hint that several share stands once, behind them."""
    shared: dict[str, list[str]] = {}
    for number, fault in enumerate(faults, 1):
        shared.setdefault(fault.hint, []).append(f"({number})")
    texts = []
    for number, fault in enumerate(faults, 1):
        alone = len(shared[fault.hint]) == 1
        texts.append(f"({number}) {fault if alone else UserError(fault.message, where=fault.where, cause=fault.cause)}")
    hints = [f"Hint for {', '.join(numbers)}: {hint}" for hint, numbers in shared.items() if hint and len(numbers) > 1]
    return ". ".join(["; ".join(texts), *hints])


def structure_faults(graph: nir.NIRGraph) -> list[UserError]:
    """Reasons why the graph cannot become a chain of nodes that netx supports, one error each."""
    graph = flat(graph)
    faults = [_node_fault(name, node) for name, node in graph.nodes.items() if not isinstance(node, TAKEN)]
    for kind in (nir.Input, nir.Output):
        count = sum(isinstance(node, kind) for node in graph.nodes.values())
        if not count:
            faults.append(UserError(f"the graph has no {kind.__name__} node", hint=f"add an {kind.__name__} node"))
    edges = edges_of(graph)
    lost = sorted({name for edge in edges for name in edge if name not in graph.nodes})
    if lost:
        meant = [words for name in lost if (words := _meant(name, graph))]
        hint = f"{listed(meant)}; correct the names in the file" if meant else "correct the names in the file"
        return [*faults, UserError(f"edges name nodes that do not exist: {listed(lost)}", hint=hint)]
    faults += _recurrences(graph)[1]
    faults += _loose_ends(graph)
    joined = {name for edge in edges for name in edge}
    faults += [
        UserError("is connected to nothing", where=name, hint="remove it or add its edges")
        for name in graph.nodes
        if name not in joined
    ]
    return faults


def _meant(lost: str, graph: nir.NIRGraph) -> str:
    """What a name that is no node perhaps means; "" if nothing is like it."""
    inner = [name for name in graph.nodes if name.startswith(f"{lost}.")]
    if inner:
        return (
            f"{lost} is no subgraph here, its nodes stand beside the others: lead the edges to and from {listed(inner)}"
        )
    found = get_close_matches(lost, graph.nodes, n=1)
    return f"{lost} is perhaps {found[0]}" if found else ""


def branch_faults(graph: nir.NIRGraph) -> list[UserError]:
    """Positions at which the graph is not one chain: several inputs or outputs, branches, and joins."""
    graph, faults = flat(graph), []
    for kind in (nir.Input, nir.Output):
        count = sum(isinstance(node, kind) for node in graph.nodes.values())
        if count > 1:
            hint = f"keep exactly one {kind.__name__}"
            faults.append(UserError(f"the graph has {count} {kind.__name__} nodes", hint=hint))
    if any(name not in graph.nodes for edge in edges_of(graph) for name in edge):
        return faults  # `structure_faults` names them
    nodes, forward = _forward(graph)
    all_targets, all_sources = neighbors(nodes, forward)
    for name in nodes:
        sources, targets = sorted(all_sources[name]), sorted(all_targets[name])
        if len(sources) > 1:
            what = f"merges {listed(sources)}"
            faults.append(UserError(what, where=name, cause="netx has no add", hint="lay the graph out as a chain"))
        if len(targets) > 1:
            what = f"branches to {listed(targets)}"
            faults.append(UserError(what, where=name, cause="netx is one chain", hint="lay the graph out as a chain"))
    return faults


def _forward(graph: nir.NIRGraph) -> tuple[dict[str, nir.NIRNode], list[tuple[str, str]]]:
    """Nodes and edges without recurrent connections and other loops."""
    edges = edges_of(graph)
    recurrences, _ = _recurrences(graph)
    inside = {name for recurrence in recurrences.values() for name in recurrence}
    circle = circles(graph.nodes, edges)
    forward = [edge for edge in edges if not inside & set(edge) and circle[edge[0]] != circle[edge[1]]]
    return {name: node for name, node in graph.nodes.items() if name not in inside}, forward


def _recurrences(graph: nir.NIRGraph) -> tuple[dict[str, tuple[str, ...]], list[UserError]]:
    """Nodes of each recurrent connection in order, by neuron; and errors for loops that netx does not support."""
    edges = edges_of(graph)
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
    if not neurons:
        why = "this loop contains no neuron"
    elif not others:
        why = "an edge from a neuron to itself is often an exporter's mistake"
    else:
        why = "netx takes one weight from a layer's spikes back to its own input, and nothing else in that loop"
    return UserError(
        f"is recurrent through {listed(others) or 'itself'}", where=through, cause=why,
        hint="use one Linear, Affine, Conv2d or Scale between the neuron's spikes and its input, or train without the "
        "loop",
    )  # fmt: skip


def _node_fault(name: str, node: nir.NIRNode) -> UserError:
    why, hint = REFUSED.get(type(node), ("netx has no such layer", ""))
    return UserError(f"{type(node).__name__} cannot go to netx", where=name, cause=why, hint=hint)


def _loose_ends(graph: nir.NIRGraph) -> list[UserError]:
    faults = []
    nodes, edges = _forward(graph)
    all_targets, all_sources = neighbors(nodes, edges)
    fed = {behind for _, behind in edges_of(graph)}
    for name, node in nodes.items():
        sources, targets = sorted(all_sources[name]), sorted(all_targets[name])
        if sources and not targets and not isinstance(node, nir.Output):
            faults.append(UserError("leads nowhere", where=name, hint="connect it to an Output node"))
        if targets and not sources and not isinstance(node, nir.Input):
            what = "is fed by its own loop alone" if name in fed else "is fed by nothing"
            faults.append(UserError(what, where=name, hint="connect an Input node to it"))
    return faults


def listed(names: list[str]) -> str:
    """Names separated by commas; after `LISTED` names the number of the others."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def edges_of(graph: nir.NIRGraph) -> list[tuple[str, str]]:
    """Edges (before, behind) without repetition."""
    return list(dict.fromkeys((str(before), str(behind)) for before, behind in graph.edges))
