"""Lays a graph with branches out as one chain of layers, the only structure that netx has. The rewrite is exact.

Populations of neurons are put into layers in an order of execution. A population that a later layer needs is passed on
by relays: neurons with one input each, whose weight is above their threshold, and whose current decays fully in a time
step. A relay fires exactly when its input does, since every spike resets its voltage to 0. In logical time a spike has
the time step of the input that caused it, so that relays delay nothing. Signals that are added become one synapse over
the channels of all of them. A population whose neurons have decays of their own becomes parts in several layers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import nir
import numpy as np

from spikeport.errors import UserError
from spikeport.export.graph.parameters import one_value
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.lowering.branches.carriers import Stage, places_text
from spikeport.export.lowering.branches.kernels import as_dense, flatten
from spikeport.export.lowering.branches.last_layer import moved_places, output_places, row_order
from spikeport.export.lowering.branches.merged_layer import MergedLayer, convolution, matrix
from spikeport.export.lowering.branches.needs_layout import needs_layout
from spikeport.export.lowering.branches.parts import split, split_words
from spikeport.export.lowering.branches.populations import (
    Part,
    Population,
    populations,
    read_membranes,
    scale_of,
    shared_decay,
)
from spikeport.export.lowering.branches.prune import with_rows, without_unread_relays
from spikeport.export.lowering.branches.relays import slow_current_fault
from spikeport.export.lowering.branches.row_scales import asked_of, refuse_delays, whole_words
from spikeport.values import Shape


@dataclass(frozen=True, kw_only=True)
class LaidOut:
    """A graph as one chain.

    Attributes:
        graph: the chain.
        places: by name of a population, the index of the layer that computes it, and where its neurons lie in the flat
            output of this layer, int64 of the population's shape.
        relays: number of relay neurons of each layer.
        relay_rows: by name of a layer's weights, the rows of them that are relays, int64.
        relayed_inputs: names of the inputs that relays pass on.
        parts: by name of a population that is computed in several layers, its parts; they have places of their own.
    """

    graph: SpikingGraph
    places: Mapping[str, tuple[int, np.ndarray]]
    relays: tuple[int, ...]
    relay_rows: Mapping[str, np.ndarray]
    relayed_inputs: tuple[str, ...]
    parts: Mapping[str, tuple[Part, ...]]


def one_chain(graph: SpikingGraph) -> SpikingGraph:
    """The graph as one chain; `graph` itself if netx can run it layer by layer.

    Args:
        graph: the graph, see `lay_out`.

    Raises:
        UserError: it cannot be laid out exactly.
    """
    return lay_out(graph).graph if needs_layout(graph) else graph


def lay_out(graph: SpikingGraph) -> LaidOut:
    """Lays a graph out as one chain.

    Args:
        graph: a graph whose only loops are recurrent connections of one population.

    Raises:
        UserError: a relay would stand in a layer whose currents last, two read-outs do not go together, a merged layer
            would be too large, a node cannot be part of a layer, or a population would become too many layers.
    """
    refuse_delays(graph.nir_graph, graph.row_scales)
    found = populations(graph.nir_graph, graph.dt_s)
    whole = read_membranes(found, graph.readout)
    asked, notes = asked_of(found, graph.row_scales, graph.scales, whole)
    if asked or not graph.allow_vector:
        found = split(found, graph.scales, whole, asked, own_decays=not graph.allow_vector)
    notes += whole_words([name for name, count in asked.items() if count > 1 and name in found])
    return _Layout(replace(graph, notes=(*graph.notes, *notes)), found).laid_out()


def rewritten_nodes(graph: SpikingGraph) -> dict[str, str]:
    """What became of neurons with decays of their own, and of convolutions that run as matrices, by name, for people.

    Args:
        graph: a graph that can be laid out.
    """
    if not needs_layout(graph):
        return {}
    laid = lay_out(graph)
    placed = {name: laid.graph.nir_graph.nodes.get(name) for name in graph.nir_graph.nodes}
    dense = [name for name, node in placed.items() if isinstance(node, (nir.Linear, nir.Affine))]
    words = {name: "runs as a matrix" for name in dense if isinstance(graph.nir_graph.nodes[name], nir.Conv2d)}
    return {**words, **split_words(laid.parts, laid.relays)}


class _Layout:
    """Builds the chain layer by layer."""

    def __init__(self, graph: SpikingGraph, found: dict[str, Population]) -> None:
        self.graph = graph
        # by name, since a file does not keep the order of nodes
        ends = [found[name] for name in sorted(graph.nir_graph.nodes) if name in found and found[name].neuron is None]
        self.outputs = [p for p in ends if p.paths]
        self.waiting = [p for p in found.values() if p.neuron is not None]
        inputs = [p for p in ends if not p.paths]
        self.stage = Stage.of_inputs(inputs, graph.input_shape)
        self.done = {p.name for p in inputs}
        self.inputs = frozenset(self.done)
        self.relayed_inputs: dict[str, None] = {}
        self.relay_rows: dict[str, np.ndarray] = {}
        self.parts: dict[str, list[Part]] = {}
        self.part_of = {p.name: p.part.of for p in self.waiting if p.part is not None}
        for p in self.waiting:
            if p.part is not None:
                self.parts.setdefault(p.part.of, []).append(p.part)
        self.nodes: dict[str, nir.NIRNode] = {inputs[0].name: nir.Input({"input": np.array(graph.input_shape)})}
        self.edges: list[tuple[str, str]] = []
        self.last = inputs[0].name
        self.layers: list[tuple[MergedLayer, float | None]] = []
        self.places: dict[str, tuple[int, np.ndarray]] = {}
        self.scales: dict[str, float] = {}
        self.notes: list[str] = []
        if len(inputs) > 1:
            axis = "channels" if len(graph.input_shape) == 3 else "entries"
            sizes = [(p.name, p.shape[0] if axis == "channels" else math.prod(p.shape)) for p in inputs]
            self.notes.append(f"the inputs are side by side, in {axis}: {places_text(sizes)}")

    def laid_out(self) -> LaidOut:
        while self.waiting:
            self._add_layer()
        layers = without_unread_relays([layer for layer, _ in self.layers])
        rows = [np.arange(layer.computed, layer.stage.shape[0]) for layer in layers]
        order = self._output_order()
        if order is not None and layers:
            layers[-1], rows[-1] = with_rows(layers[-1], order), np.flatnonzero(order >= layers[-1].computed)
            self._move_last(order)
        shape = self.graph.input_shape
        for layer, relays, (_, scale) in zip(layers, rows, self.layers, strict=True):
            self._emit(layer, relays, shape, scale)
            shape = layer.stage.shape
        self._add_output(direct=order is not None)
        words = split_words(self.parts, [layer.relays for layer in layers])
        self.notes += [f"{name} became {text}" for name, text in words.items()]
        graph = nir.NIRGraph(self.nodes, self.edges, metadata=self.graph.nir_graph.metadata, type_check=False)
        notes = (*self.graph.notes, *self.notes)
        chain = replace(self.graph, nir_graph=graph, scales=self.scales, row_scales=1, notes=notes)
        return LaidOut(
            graph=chain,
            places=self.places,
            relays=tuple(layer.relays for layer in layers),
            relay_rows=self.relay_rows,
            relayed_inputs=tuple(self.relayed_inputs),
            parts={name: tuple(parts) for name, parts in self.parts.items()},
        )

    def _add_layer(self) -> None:
        ready = [p for p in self.waiting if all(path.source in self.done for path in p.paths)]
        firing = [p for p in ready if not p.silent]
        first = (firing or ready)[0]
        group = [p for p in ready if p.silent == first.silent and self._kind(p) == self._kind(first)]
        built = None
        for members in (group, [first]):
            relays = self._relays(members)
            self._check_relays(members, relays)
            last = len(members) == len(self.waiting)
            built = convolution(
                members, relays, self.stage, self._scale(first), self.graph.dt_s, keep_grid=last and bool(relays)
            )
            if built is not None:
                break
        else:
            members, relays = group, self._relays(group)
            built = matrix(members, relays, self.stage, self._scale(first), self.graph.dt_s)
        assert built is not None
        self.stage = built.stage
        for member in members:
            self.places[member.name] = len(self.layers), built.stage.carriers[member.name].places
        self.layers.append((built, self._scale(first)))
        self.notes += built.notes
        self.relayed_inputs |= dict.fromkeys(name for name in relays if name in self.inputs)
        self.waiting = [p for p in self.waiting if p not in members]
        self.done |= {p.name for p in members}

    def _emit(self, layer: MergedLayer, relays: np.ndarray, entering: Shape, scale: float | None) -> None:
        if isinstance(layer.weights, (nir.Linear, nir.Affine)) and len(entering) == 3:
            self._append(f"{layer.name}.flatten", flatten(entering))
        self._append(layer.name, layer.weights)
        if layer.relays:
            self.relay_rows[self.last] = relays
        if scale is not None:
            self.scales[self.last] = scale
        self._append(layer.neurons, layer.node)
        if layer.recurrence is not None:
            back = self._free(f"{layer.neurons}.w_rec")
            self.nodes[back] = layer.recurrence
            self.edges += [(self.last, back), (back, self.last)]

    def _relays(self, members: list[Population]) -> list[str]:
        """Names of carried populations that something after the layer of `members` needs."""
        later = [p for p in self.waiting if p not in members] + self.outputs
        needed = {path.source for p in later for path in p.paths}
        return [name for name in self.stage.carriers if name in needed]

    def _check_relays(self, members: list[Population], relays: list[str]) -> None:
        first, step = members[0], members[0].step
        assert step is not None
        if relays and first.silent:
            raise UserError("its membrane is read out beside spikes of " + ", ".join(relays), where=first.name,
                            cause="one read-out holds for all outputs",
                            hint="let all outputs fire, or none")  # fmt: skip
        if relays and np.any(np.asarray(step.i_decay) != 1):
            raise slow_current_fault(first, relays)

    def _kind(self, population: Population) -> tuple[object, ...]:
        """What the neurons of a layer share: decays, and where weights are on a grid already their scale and threshold,
        since a row that is rescaled to another threshold leaves the grid."""
        step = population.step
        assert step is not None
        scale = self._scale(population)
        decays = [shared_decay(value) for value in (step.i_decay, step.v_decay)]
        threshold = None if scale is None else np.asarray(one_value(np.asarray(step.threshold))).tobytes()
        part = population.part
        alone = part.name if part is not None and part.by_scale else None  # beside others it would share their scale
        return (*decays, threshold, population.silent, scale, alone)

    def _scale(self, population: Population) -> float | None:
        return scale_of(population, self.graph.scales)

    def _append(self, name: str, node: nir.NIRNode) -> None:
        name = self._free(name)
        self.nodes[name] = node
        self.edges.append((self.last, name))
        self.last = name

    def _free(self, name: str) -> str:
        while name in self.nodes:
            name += "_"
        return name

    def _output_order(self) -> np.ndarray | None:
        """The order of the last layer's rows that is the order of all outputs; None if weights are to be computed."""
        places = [
            output_places(p, self.stage, self.parts.get(self.part_of.get(p.paths[0].source, ""), ()))
            for p in self.outputs
        ]
        known = [each for each in places if each is not None]
        return row_order(np.concatenate(known), self.stage) if len(known) == len(places) else None

    def _move_last(self, order: np.ndarray) -> None:
        """Notes that the rows of the last layer are in another order."""
        size = int(np.prod(self.stage.shape[1:]))
        for name, (layer, places) in self.places.items():
            if layer == len(self.layers) - 1:
                self.places[name] = layer, moved_places(places, order, size)

    def _add_output(self, *, direct: bool) -> None:
        """The Output node: in its order the populations of all outputs, or weights that the host computes."""
        if direct:
            if len(self.outputs) > 1:
                self._note_outputs([(p.name, int(np.prod(p.shape))) for p in self.outputs])
            self._append(self.outputs[0].name, nir.Output({"output": np.array(self.stage.shape)}))
            return
        rows = [self._host_rows(p) for p in self.outputs]
        if len(self.stage.shape) == 3:
            self._append("flatten", flatten(self.stage.shape))
        weight, bias = np.concatenate([w for w, _ in rows]), np.concatenate([b for _, b in rows])
        name = next((path.weights for p in self.outputs for path in p.paths if path.weights), "readout")
        self._append(name, nir.Affine(weight, bias) if np.any(bias) else nir.Linear(weight))
        if len(rows) > 1:
            self._note_outputs([(p.name, len(w)) for p, (w, _) in zip(self.outputs, rows, strict=True)])
        self._append(self.outputs[0].name, nir.Output({"output": np.array((len(weight),))}))

    def _host_rows(self, output: Population) -> tuple[np.ndarray, np.ndarray]:
        layers = [(path.source, as_dense(path.layer)) for path in output.paths]
        weight = np.zeros((len(layers[0][1].weight), int(np.prod(self.stage.shape))))
        bias = np.zeros(len(weight))
        for source, layer in layers:
            gain = np.reshape(layer.gain, (-1, 1)) / layer.divisor
            weight[:, self.stage.carriers[source].places.ravel()] += gain * layer.weight
            bias += gain[:, 0] * layer.bias
        return weight, bias

    def _note_outputs(self, sizes: list[tuple[str, int]]) -> None:
        self.notes.append(f"the outputs follow each other: {places_text(sizes)}")
