"""Sources of an adaptation: a network of torch modules or a NIR graph, run in float as it was trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import nir
import numpy as np
import torch
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.export.frontends.convert import modules_of
from spikeport.export.frontends.from_snntorch import to_spiking_graph
from spikeport.export.frontends.module_walk import Named
from spikeport.export.frontends.snntorch_neurons import resets
from spikeport.export.frontends.wiring import INPUT
from spikeport.export.graph.node_kinds import SPIKING
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.graph.structure import refuse
from spikeport.export.lowering.branches.populations import Population, populations
from spikeport.export.lowering.path_folding import recurrent_weights
from spikeport.pipeline.adaptation.from_populations import NeuronPlan, build
from spikeport.pipeline.adaptation.module_network import NEURONS, ModuleNetwork
from spikeport.pipeline.adaptation.nearest_modules import nearest_modules
from spikeport.pipeline.adaptation.own_forward import OwnForward
from spikeport.pipeline.adaptation.source_neurons import SourceNeurons, SourceReset
from spikeport.values import Shape

RESETS: dict[SourceReset, str] = {
    "subtract": "reset by subtraction",
    "subtract-late": "reset by subtraction in the next step",
    "subtract-many": "several spikes a step and reset by subtraction",
}


@dataclass(frozen=True, kw_only=True)
class Source:
    """A trained network, and its nearest legal graph.

    Attributes:
        network: the network in float, with its own reset, pools and decays; in eval mode.
        nearest: the nearest graph that the chip can execute, with the weights of the source.
        pairs: by name of a layer of the source, the name of the layer of the adapted network whose spikes should equal
            its own.
        changes: what differs between the two, a line each.
        notes: what was read from the source.
        own: the forward of the network that it was read from; None for NIR graphs and pairs (name, module).
    """

    network: ModuleNetwork
    nearest: SpikingGraph
    pairs: Mapping[str, str]
    changes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    own: OwnForward | None = None

    @property
    def outputs(self) -> int:
        """Number of outputs K."""
        with torch.no_grad():
            return self.network(torch.zeros(1, 1, *self.nearest.input_shape)).output.shape[2]


def source_of_modules(
    model: nn.Module | Iterable[tuple[str, nn.Module]],
    input_shape: Shape,
    dt_s: float,
    *,
    readout: str = "",
    example: Tensor | None = None,
) -> Source:
    """The source that a network of torch modules and snnTorch neurons is.

    Args:
        model: the network, see `convert`. Its modules are shared: they are put into eval mode.
        input_shape: shape of one time step, `(C, H, W)` or `(N,)`.
        dt_s: time step in seconds.
        readout: how the output becomes a class, see `SpikingGraph`.
        example: an input for the trace, see `convert`.

    Raises:
        UserError: the network is not on the CPU, or a module has no neighbor on the chip; the error names all of them.
    """
    executed = modules_of(_on_cpu(model), input_shape, example)
    refuse(list(executed.faults))
    named, wiring = executed.named, executed.wiring
    more = {each for sources in wiring.values() for each in sources if each.startswith(INPUT) and each != INPUT}
    if more:
        raise UserError(f"the network has {len(more) + 1} inputs", where="SOURCE",
                        hint="adapt takes one; concatenate them before the network")  # fmt: skip
    nearest = nearest_modules(named, wiring, executed.outputs)
    outputs = tuple(nearest.pairs.get(each, each) for each in executed.outputs)
    graph = to_spiking_graph(nearest.named, input_shape, dt_s, None, readout, nearest.wiring, outputs)
    read = executed.outputs or (_last_module(named),)
    membrane = all(_is_silent(dict(named)[each]) for each in read)
    network = ModuleNetwork(named, wiring, outputs=read if membrane else executed.outputs, membrane=membrane)
    own = None
    if isinstance(model, nn.Module) and executed.run is not None:
        returned = ModuleNetwork(named, wiring, outputs=executed.outputs, membrane=executed.run.membrane)
        own = OwnForward(model=model, network=returned, run=executed.run)
    return Source(
        network=network.eval(),
        nearest=replace(graph, bias="neuron"),
        pairs={name: each.replace("/", "_") for name, each in nearest.pairs.items()},
        changes=tuple(nearest.changes),
        notes=(*executed.notes, *graph.notes),
        own=own,
    )


def source_of_graph(graph: SpikingGraph, reset: SourceReset | Callable[[nir.NIRNode], SourceReset]) -> Source:
    """The source that a NIR graph is.

    Args:
        graph: the graph, as `load_graph` returns it for reset "zero".
        reset: the reset that it was trained with: one for all neurons, or a function that gives that of a node.

    Raises:
        UserError: a node has no place on the chip, or the graph has a delay.
    """

    def own(node: nir.NIRNode) -> SourceReset:
        return reset(node) if callable(reset) else reset

    if delays := [name for name, node in graph.nir_graph.nodes.items() if isinstance(node, nir.Delay)]:
        raise UserError("adapt does not train delays", where=delays[0], hint="remove it, or export without adapt")

    def plan(population: Population) -> NeuronPlan:
        assert population.neuron is not None
        assert population.step is not None
        weights = recurrent_weights(population.neuron) if population.neuron.recurrence else None
        step = population.step
        shaped: dict[str, Any] = {
            key: np.reshape(value, population.shape)
            for key in ("i_decay", "v_decay", "gain", "threshold", "drive")
            if np.ndim(value := getattr(step, key))
        }
        kind = own(population.neuron.node)
        return NeuronPlan(SourceNeurons(replace(step, **shaped), kind, weights, graph.fires_at))

    built = build(populations(graph.nir_graph, graph.dt_s), plan)
    network = ModuleNetwork(built.named, built.wiring, outputs=built.outputs, membrane=built.membrane)
    firing = {name: own(node) for name, node in graph.nir_graph.nodes.items() if isinstance(node, SPIKING)}
    changes = tuple(
        f"{words} became reset to zero: {', '.join(names)}"
        for kind, words in RESETS.items()
        if (names := [name for name, each in firing.items() if each == kind])
    )
    if graph.fires_at == ">=":
        changes = (*changes, "a spike at v >= threshold became a spike at v > threshold")
    pools = [name for name, module in built.named if isinstance(module, nn.MaxPool2d)]
    pairs = {name: name for name in network.names if name in firing or name in pools}
    return Source(
        network=network.eval(), nearest=replace(graph, bias="neuron"), pairs=pairs, changes=changes, notes=graph.notes
    )


def _on_cpu(model: Any) -> Any:
    """The model, if it is on the CPU, where sources and frames are compared; the training may be elsewhere."""
    tensors = (*model.parameters(), *model.buffers()) if isinstance(model, nn.Module) else ()
    if elsewhere := next((str(each.device) for each in tensors if each.device.type != "cpu"), ""):
        raise UserError(f"is on {elsewhere}", where=type(model).__name__,
                        hint="give network.cpu(); the training takes a GPU by itself")  # fmt: skip
    return model


def _last_module(named: Named) -> str:
    return [name for name, module in named if not isinstance(module, nn.Flatten)][-1]


def _is_silent(module: nn.Module) -> bool:
    """Whether a module is neurons that never fire, so that their membrane is the output."""
    return isinstance(module, NEURONS) and resets(module) == "none"
