"""Replaces subgraphs of a NIR graph by their nodes, named `outer.inner`; neighbors and cycles of edges."""

from __future__ import annotations

from collections.abc import Iterable

import nir

from spikeport.errors import UserError

DEEPEST = 32  # subgraphs within subgraphs


def flat(graph: nir.NIRGraph) -> nir.NIRGraph:
    """The graph with every subgraph replaced by its nodes. The Input and Output of a subgraph are removed.

    NIR's edges are a set, so repeated edges are merged.

    Args:
        graph: a graph, possibly with subgraphs.

    Returns:
        An equivalent graph without subgraphs; `graph` itself if there is nothing to change.

    Raises:
        UserError: a subgraph does not have exactly one Input and one Output node, or is nested too deeply.
    """
    edges = list(dict.fromkeys((str(before), str(behind)) for before, behind in graph.edges))
    if not any(isinstance(node, nir.NIRGraph) for node in graph.nodes.values()) and len(edges) == len(graph.edges):
        return graph
    nodes, edges = _inlined(graph.nodes, edges, "", 0)
    return nir.NIRGraph(nodes, edges, metadata=graph.metadata, type_check=False)


Edges = list[tuple[str, str]]


def _inlined(
    nodes: dict[str, nir.NIRNode], edges: Edges, path: str, depth: int
) -> tuple[dict[str, nir.NIRNode], Edges]:
    if depth > DEEPEST:
        raise UserError(f"more than {DEEPEST} graphs inside each other", where=path)
    plain = {name: node for name, node in nodes.items() if not isinstance(node, nir.NIRGraph)}
    entries: dict[str, str] = {}
    leaves: dict[str, str] = {}
    within: Edges = []
    for name, graph in nodes.items():
        if not isinstance(graph, nir.NIRGraph):
            continue
        where = f"{path}{name}"
        inner_edges = list(dict.fromkeys((str(before), str(behind)) for before, behind in graph.edges))
        inner, inner_edges = _inlined(graph.nodes, inner_edges, f"{where}.", depth + 1)
        new_names: dict[str, str] = {}
        for old in inner:
            new = f"{name}.{old}"
            while new in plain or new in nodes:
                new += "_"
            new_names[old] = new
            plain[new] = inner[old]
        entries[name], leaves[name] = (new_names[_single(inner, kind, where)] for kind in (nir.Input, nir.Output))
        within += [tuple(new_names.get(end, f"{name}.{end}") for end in edge) for edge in inner_edges]  # type: ignore[misc]
    edges = [(leaves.get(before, before), entries.get(behind, behind)) for before, behind in edges] + within
    through = {node: f"{path}{name}" for name in entries for node in (entries[name], leaves[name])}
    return {name: node for name, node in plain.items() if name not in through}, _joined(edges, through)


def _single(nodes: dict[str, nir.NIRNode], kind: type, where: str) -> str:
    names = [name for name, node in nodes.items() if isinstance(node, kind)]
    if len(names) != 1:
        raise UserError(
            f"this graph inside the graph has {len(names)} {kind.__name__} nodes", where=where,
            cause="netx is one chain", hint=f"keep exactly one {kind.__name__} in it",
        )  # fmt: skip
    return names[0]


def _joined(edges: Edges, through: dict[str, str]) -> Edges:
    """Edges with the nodes in `through` removed: each source of such a node is connected to each of its targets.

    The values of `through` are the full names, for error messages.
    """
    if not through:
        return list(dict.fromkeys(edges))
    targets: dict[str, dict[str, None]] = {}
    sources: dict[str, dict[str, None]] = {}
    for before, behind in edges:
        targets.setdefault(before, {})[behind] = None
        sources.setdefault(behind, {})[before] = None
    for name, where in through.items():
        ahead, back = targets.pop(name, {}), sources.pop(name, {})
        if name in ahead:
            raise UserError("leads back into itself without a neuron", where=where, hint="remove that edge")
        for before in back:
            del targets[before][name]
            targets[before] |= ahead
        for behind in ahead:
            del sources[behind][name]
            sources[behind] |= back
    return [(before, behind) for before, ahead in targets.items() for behind in ahead]


def neighbors(names: Iterable[str], edges: Edges) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Targets and sources of each node.

    Args:
        names: names of all nodes.
        edges: pairs (source, target).

    Returns:
        (targets by node, sources by node).
    """
    targets: dict[str, list[str]] = {name: [] for name in names}
    sources: dict[str, list[str]] = {name: [] for name in targets}
    for before, behind in edges:
        targets[before].append(behind)
        sources[behind].append(before)
    return targets, sources


def circles(names: Iterable[str], edges: Edges) -> dict[str, int]:
    """Strongly connected components, by Kosaraju's algorithm.

    Args:
        names: names of all nodes.
        edges: pairs (source, target).

    Returns:
        The number of the component of each node.
    """
    targets, sources = neighbors(names, edges)
    finished: list[str] = []
    seen: set[str] = set()
    for start in targets:
        waiting = [(start, iter(targets[start]))] if start not in seen else []
        seen.add(start)
        while waiting:
            name, ahead = waiting[-1]
            unseen = next((behind for behind in ahead if behind not in seen), None)
            if unseen is None:
                finished.append(name)
                waiting.pop()
            else:
                seen.add(unseen)
                waiting.append((unseen, iter(targets[unseen])))
    circle: dict[str, int] = {}
    for number, start in enumerate(reversed(finished)):
        reached = [start] if start not in circle else []
        while reached:
            name = reached.pop()
            if name not in circle:
                circle[name] = number
                reached += [before for before in sources[name] if before not in circle]
    return circle
