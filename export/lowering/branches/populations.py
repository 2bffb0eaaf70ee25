"""Reads a graph with branches: its populations of neurons, and the weight of every path between two of them.

A path is the chain of weights, pools, scales, delays and flattens from one population to the next. Edges that join are
sums, so that a population receives the sum over its paths.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter

import nir
import numpy as np

from spikeport.errors import UserError
from spikeport.export.graph.chain import ChainNode, recurrent_nodes, shape_of_input
from spikeport.export.graph.flatten import neighbors
from spikeport.export.graph.node_kinds import INTEGRATORS, NEURONS
from spikeport.export.graph.parameters import Value
from spikeport.export.graph.shapes import output_shape
from spikeport.export.graph.structure import listed, recurrences_of
from spikeport.export.lowering.discretize import EulerStep, euler_step
from spikeport.export.lowering.folded_layer import FoldedLayer
from spikeport.export.lowering.path_folding import fold_path
from spikeport.export.network.fixed_point import DECAY_ONE
from spikeport.values import Shape

PATHS_LIMIT = 1 << 12  # paths to one population


@dataclass(frozen=True)
class Path:
    """The weights between two populations.

    Attributes:
        source: name of the population whose spikes enter.
        layer: the weights, with everything on the path folded in.
        weights: name of the weight node; "" for a path without weights.
    """

    source: str
    layer: FoldedLayer
    weights: str


@dataclass(frozen=True)
class Part:
    """Which neurons of a population one of its parts holds.

    Attributes:
        of: name of the population.
        index: number of the part.
        neurons: where its neurons lie in the flat population, int64 of the part's shape.
        by_scale: whether it is a part because its rows have a scale of their own.
    """

    of: str
    index: int
    neurons: np.ndarray
    by_scale: bool = False

    @property
    def name(self) -> str:
        """Name of the part."""
        return f"{self.of}[{self.index}]"

    @property
    def shares(self) -> str:
        """What its neurons share and those of other parts do not, for people."""
        return "one row scale" if self.by_scale else "one set of decays"


@dataclass(frozen=True)
class Population:
    """An input of the graph, a population of neurons, or an output.

    Attributes:
        name: name of the node.
        shape: its shape, `(C, H, W)` or `(N,)`.
        paths: what it receives; empty for an input.
        neuron: the neuron with its recurrent connection; None for an input or an output.
        step: the Euler step of the neuron; None for an input or an output.
        part: which neurons of a population of the graph these are; None for all of it.
    """

    name: str
    shape: Shape
    paths: tuple[Path, ...] = ()
    neuron: ChainNode | None = None
    step: EulerStep | None = None
    part: Part | None = None

    @property
    def silent(self) -> bool:
        """Whether its neurons never fire, so that their membrane is read out."""
        return self.neuron is not None and isinstance(self.neuron.node, INTEGRATORS)


def scale_of(population: Population, scales: Mapping[str, float]) -> float | None:
    """Integer units per float unit of a population whose weights are on a grid already; None if they are not.

    Args:
        population: the population.
        scales: scales of weight nodes by name.

    Raises:
        UserError: weights of different scales or pools are added.
    """
    given = {scales.get(path.weights) for path in population.paths if path.weights}
    divisors = {path.layer.divisor for path in population.paths}
    if given == {None} or not given:
        return None
    if len(given) > 1 or len(divisors) > 1:
        raise UserError(
            "adds weights of different scales or pools, which are on an integer grid already", where=population.name,
            hint="quantize the branches that are added with one scale",
        )  # fmt: skip
    return given.pop()


def shared_decay(value: Value) -> object:
    """What two populations in one layer have in common: the decay in integers, and whether it is none or whole.

    Args:
        value: the decay, one number or one for each neuron.
    """
    values = np.asarray(value)
    mantissas = np.rint(DECAY_ONE * values)
    if np.any(mantissas != mantissas.flat[0]):
        return values.tobytes()
    return float(mantissas.flat[0]), bool(np.all(values == 0)), bool(np.all(values == 1))


def read_membranes(found: Mapping[str, Population], readout: str) -> set[str]:
    """Names of the populations whose membranes are read out.

    Args:
        found: the populations by name.
        readout: the read-out that was asked for, as in SpikingGraph.
    """
    last = {path.source for p in found.values() if p.neuron is None for path in p.paths}
    return {p.name for p in found.values() if p.silent or (readout.startswith("membrane") and p.name in last)}


def populations(graph: nir.NIRGraph, dt_s: float) -> dict[str, Population]:
    """Inputs, neurons and outputs of a flat graph in an order of execution, by name.

    Args:
        graph: a graph whose only loops are recurrent connections of one population.
        dt_s: time step in seconds.

    Raises:
        UserError: shapes that are added differ, or a path cannot be one layer of weights.
    """
    loops = recurrences_of(graph)
    inside = {name for loop in loops.values() for name in loop}
    edges = [
        (before, behind)
        for before, behind in dict.fromkeys((str(a), str(b)) for a, b in graph.edges)
        if before != behind and before not in inside and behind not in inside
    ]
    nodes = {name: node for name, node in graph.nodes.items() if name not in inside}
    _, sources = neighbors(nodes, edges)
    shapes = _shapes(graph, nodes, sources)
    found: dict[str, Population] = {}
    for name, (entering, _) in shapes.items():
        node = nodes[name]
        if isinstance(node, nir.Input):
            found[name] = Population(name, entering)
        elif isinstance(node, NEURONS):
            loop = tuple(recurrent_nodes(graph, loops.get(name, ()), entering))
            neuron = ChainNode(name, node, entering, entering, loop)
            paths = tuple(_paths(nodes, sources, shapes, neuron, dt_s))
            own = {path.layer.output_shape for path in paths}
            shape = own.pop() if len(own) == 1 else entering
            found[name] = Population(name, shape, paths, neuron, euler_step(name, node, dt_s, entering))
        elif isinstance(node, nir.Output):
            reader = ChainNode(name, node, entering, entering)
            found[name] = Population(name, entering, tuple(_paths(nodes, sources, shapes, reader, dt_s)))
    return found


def _shapes(
    graph: nir.NIRGraph, nodes: dict[str, nir.NIRNode], sources: dict[str, list[str]]
) -> dict[str, tuple[Shape, Shape]]:
    """(shape of the input, shape of the output) of each node, in an order of execution."""
    shapes: dict[str, tuple[Shape, Shape]] = {}
    for name in TopologicalSorter(sources).static_order():
        node = nodes[name]
        if isinstance(node, nir.Input):
            shape = shape_of_input(graph, name)
            shapes[name] = shape, shape
            continue
        entering = {shapes[before][1] for before in sources[name]}
        if len(entering) != 1:
            names = listed([f"{before} {shapes[before][1]}" for before in sorted(sources[name])])
            raise UserError(
                f"adds signals of different shapes: {names}",
                where=name,
                hint="give the branches equal shapes before they join",
            )
        shape = entering.pop()
        shapes[name] = shape, shape if isinstance(node, nir.Output) else output_shape(name, node, shape)
    return shapes


def _paths(
    nodes: dict[str, nir.NIRNode],
    sources: dict[str, list[str]],
    shapes: dict[str, tuple[Shape, Shape]],
    target: ChainNode,
    dt_s: float,
) -> Iterator[Path]:
    """The paths that end in `target`, each folded. A bias is on one path of those that enter the same weights."""
    biased: set[tuple[str, ...]] = set()
    for number, (source, names) in enumerate(_walks(nodes, sources, target.name, ())):
        if number >= PATHS_LIMIT:
            raise UserError(f"is reached on more than {PATHS_LIMIT} paths", where=target.name,
                            hint="put neurons where branches join")  # fmt: skip
        if isinstance(nodes[source], INTEGRATORS) and not isinstance(target.node, nir.Output):
            raise UserError(f"leads to {target.name}, and it never fires", where=source,
                            cause="netx hands on spikes only", hint="keep it as an output, or use a LIF")  # fmt: skip
        steps = [ChainNode(name, nodes[name], *shapes[name]) for name in names]
        layer, weights = fold_path(steps, target, shapes[source][1], dt_s)
        if weights:
            behind = names[names.index(weights) :]
            if behind in biased:
                layer = replace(layer, bias=np.zeros_like(layer.bias))
            biased.add(behind)
        yield Path(source, layer, weights)


def _walks(
    nodes: dict[str, nir.NIRNode], sources: dict[str, list[str]], name: str, behind: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(source, nodes between) of every path that ends before `behind`; `name` is the node before it."""
    for before in sources[name]:
        if isinstance(nodes[before], (nir.Input, *NEURONS)):
            yield before, behind
        else:
            yield from _walks(nodes, sources, before, (before, *behind))
