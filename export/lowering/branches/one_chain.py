"""Lays a graph with branches out as one chain of layers, the only structure that netx has. The rewrite is exact.

Populations of neurons are put into layers in an order of execution. A population that a later layer needs is passed on
by relays: neurons with one input each, whose weight is above their threshold, and whose current decays fully in a time
step. A relay fires exactly when its input does, since every spike resets its voltage to 0. In logical time a spike has
the time step of the input that caused it, so that relays delay nothing. Signals that are added become one synapse over
the channels of all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import nir
import numpy as np

from spikeport.errors import UserError
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.graph.structure import is_chain
from spikeport.export.lowering.branches.carriers import Stage
from spikeport.export.lowering.branches.kernels import as_dense
from spikeport.export.lowering.branches.merged_layer import MergedLayer, convolution, matrix
from spikeport.export.lowering.branches.populations import Population, populations
from spikeport.export.lowering.branches.prune import without_unread_relays
from spikeport.values import Shape


@dataclass(frozen=True, kw_only=True)
class LaidOut:
    """A graph as one chain.

    Attributes:
        graph: the chain.
        places: by name of a population, the index of the layer that computes it, and where its neurons lie in the flat
            output of this layer, int64 of the population's shape.
        relays: number of relay neurons of each layer.
        relay_rows: by name of a layer's weights, the rows of them that are relays.
        relayed_inputs: names of the inputs that relays pass on.
    """

    graph: SpikingGraph
    places: Mapping[str, tuple[int, np.ndarray]]
    relays: tuple[int, ...]
    relay_rows: Mapping[str, slice]
    relayed_inputs: tuple[str, ...]


def one_chain(graph: SpikingGraph) -> SpikingGraph:
    """The graph as one chain; `graph` itself if it is one.

    Raises:
        UserError: it cannot be laid out exactly.
    """
    return graph if is_chain(graph.nir_graph) else lay_out(graph).graph


def lay_out(graph: SpikingGraph) -> LaidOut:
    """Lays a graph out as one chain.

    Args:
        graph: a graph whose only loops are recurrent connections of one population.

    Raises:
        UserError: a relay would stand in a layer whose currents last, two read-outs do not go together, a merged layer
            would be too large, or a node cannot be part of a layer.
    """
    found = populations(graph.nir_graph, graph.dt_s)
    return _Layout(graph, found).laid_out()


class _Layout:
    """Builds the chain layer by layer."""

    def __init__(self, graph: SpikingGraph, found: dict[str, Population]) -> None:
        self.graph = graph
        self.outputs = [p for p in found.values() if p.neuron is None and p.paths]
        self.waiting = [p for p in found.values() if p.neuron is not None]
        inputs = [p for p in found.values() if p.neuron is None and not p.paths]
        self.stage = Stage.of_inputs(inputs, graph.input_shape)
        self.done = {p.name for p in inputs}
        self.inputs = frozenset(self.done)
        self.relayed_inputs: dict[str, None] = {}
        self.relay_rows: dict[str, slice] = {}
        self.nodes: dict[str, nir.NIRNode] = {inputs[0].name: nir.Input({"input": np.array(graph.input_shape)})}
        self.edges: list[tuple[str, str]] = []
        self.last = inputs[0].name
        self.layers: list[tuple[MergedLayer, float | None]] = []
        self.places: dict[str, tuple[int, np.ndarray]] = {}
        self.scales: dict[str, float] = {}
        self.notes: list[str] = []

    def laid_out(self) -> LaidOut:
        while self.waiting:
            self._add_layer()
        layers = without_unread_relays([layer for layer, _ in self.layers])
        shape = self.graph.input_shape
        for layer, (_, scale) in zip(layers, self.layers, strict=True):
            self._emit(layer, shape, scale)
            shape = layer.stage.shape
        self._add_output()
        graph = nir.NIRGraph(self.nodes, self.edges, metadata=self.graph.nir_graph.metadata, type_check=False)
        notes = (*self.graph.notes, *self.notes)
        chain = replace(self.graph, nir_graph=graph, scales=self.scales, notes=notes)
        return LaidOut(
            graph=chain,
            places=self.places,
            relays=tuple(layer.relays for layer in layers),
            relay_rows=self.relay_rows,
            relayed_inputs=tuple(self.relayed_inputs),
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

    def _emit(self, layer: MergedLayer, entering: Shape, scale: float | None) -> None:
        if isinstance(layer.weights, (nir.Linear, nir.Affine)) and len(entering) == 3:
            self._append(f"{layer.name}.flatten", flatten(entering))
        self._append(layer.name, layer.weights)
        if layer.relays:
            self.relay_rows[self.last] = slice(layer.computed, layer.stage.shape[0])
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
            raise UserError(
                f"a branch passes {first.name}: {', '.join(relays)} would need relays in its layer", where=first.name,
                cause="a relay beside neurons whose current lasts would fire more than once",
                hint="use neurons without synaptic current (LIF or IF) there, or let the branch end before them",
            )  # fmt: skip

    def _kind(self, population: Population) -> tuple[object, ...]:
        """What the neurons of a layer share: decays, and where weights are on a grid already their scale and threshold,
        since a row that is rescaled to another threshold leaves the grid."""
        step = population.step
        assert step is not None
        scale = self._scale(population)
        shared = [step.i_decay, step.v_decay, *([] if scale is None else [step.threshold])]
        return (*(np.asarray(value).tobytes() for value in shared), population.silent, scale)

    def _scale(self, population: Population) -> float | None:
        given = {self.graph.scales.get(path.weights) for path in population.paths if path.weights}
        divisors = {path.layer.divisor for path in population.paths}
        if given == {None} or not given:
            return None
        if len(given) > 1 or len(divisors) > 1:
            raise UserError(
                "adds weights of different scales or pools, which are on an integer grid already",
                where=population.name,
                hint="quantize the branches that are added with one scale",
            )  # fmt: skip
        return given.pop()

    def _append(self, name: str, node: nir.NIRNode) -> None:
        name = self._free(name)
        self.nodes[name] = node
        self.edges.append((self.last, name))
        self.last = name

    def _free(self, name: str) -> str:
        while name in self.nodes:
            name += "_"
        return name

    def _add_output(self) -> None:
        """The Output node: in its order the populations of all outputs, or weights that the host computes."""
        direct = [p for p in self.outputs if len(p.paths) == 1 and not p.paths[0].weights]
        order = [p.paths[0].source for p in direct]
        carried = list(self.stage.carriers)
        if len(direct) == len(self.outputs) and order == carried and self.stage.plain:
            if len(order) > 1:
                self._note_outputs([(p.name, self.stage.carriers[p.paths[0].source].size) for p in direct])
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
        first, texts = 0, []
        for name, size in sizes:
            texts.append(f"{name} is {first} to {first + size - 1}")
            first += size
        self.notes.append(f"the outputs follow each other: {', '.join(texts)}")


def flatten(shape: Shape) -> nir.Flatten:
    """A Flatten of all axes of `shape`."""
    return nir.Flatten({"input": np.array(shape)}, start_dim=0, end_dim=-1)
