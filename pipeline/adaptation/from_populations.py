"""Builds torch modules of a spiking graph: one synapse for each path between two populations, and their neurons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.export.frontends.module_walk import Named
from spikeport.export.frontends.wiring import INPUT
from spikeport.export.graph.parameters import beside
from spikeport.export.lowering.branches.kernels import as_dense
from spikeport.export.lowering.branches.populations import Path, Population
from spikeport.export.lowering.folded_layer import FoldedLayer
from spikeport.values import Shape

OR_THRESHOLD = 0.5


@dataclass(frozen=True)
class NeuronPlan:
    """The neurons of a population, and what multiplies its currents.

    Attributes:
        module: the neurons.
        row_gain: factor of the weights and biases that lead to them: one number, or one per row (channel).
        bias: added to the biases of the first path, after the gain: one number, or one per row.
        takes_bias: whether biases may stand in the synapse; else `module.bias` receives their sum.
        bias_gain: factor of the biases of the paths besides `row_gain`.
    """

    module: nn.Module
    row_gain: float | np.ndarray = 1.0
    bias: float | np.ndarray = 0.0
    takes_bias: bool = True
    bias_gain: float = 1.0


@dataclass
class BuiltNetwork:
    """Modules of a graph, as `ModuleNetwork` takes them.

    Attributes:
        named: names and modules in an order of execution.
        wiring: what enters each.
        outputs: names of the modules whose outputs are the network's.
        membrane: whether the output is a membrane.
        synapses: by name of a population, the names of the synapses that lead to it.
    """

    named: Named = field(default_factory=list)
    wiring: dict[str, tuple[str, ...]] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)
    membrane: bool = False
    synapses: dict[str, list[str]] = field(default_factory=dict)

    def add(self, name: str, module: nn.Module, *sources: str) -> str:
        """Adds a module under a free name, which is returned.

        Args:
            name: the name that it gets if it is free.
            module: the module.
            *sources: names of the modules whose sum enters it.
        """
        taken = {each for each, _ in self.named}
        free = name.replace("/", "_")
        while free in taken:
            free += "_"
        self.named.append((free, module))
        self.wiring[free] = sources
        return free


class Slice(nn.Module):
    """Some channels, or some neurons, of a signal.

    Args:
        first: the first.
        stop: behind the last.
    """

    def __init__(self, first: int, stop: int) -> None:
        super().__init__()
        self.first, self.stop = first, stop

    def forward(self, values: Tensor) -> Tensor:
        """Slices axis 1.

        Args:
            values: `[B, C, ...]`.
        """
        return values[:, self.first : self.stop]


def build(found: Mapping[str, Population], plan: Callable[[Population], NeuronPlan]) -> BuiltNetwork:
    """The modules of populations.

    A population that takes the maximum of spikes, a layer of OR neurons, becomes a MaxPool2d.

    Args:
        found: the populations in an order of execution.
        plan: makes the neurons of a population.

    Raises:
        UserError: the graph has no neurons, or weights behind its last neurons differ in their sources.
    """
    built = BuiltNetwork()
    names: dict[str, str] = {}
    inputs = [p for p in found.values() if p.neuron is None and not p.paths]
    first = 0
    for entry in inputs:
        count = entry.shape[0]
        names[entry.name] = INPUT if len(inputs) == 1 else built.add(entry.name, Slice(first, first + count), INPUT)
        first += count
    for population in found.values():
        if population.neuron is None and population.paths:
            built.outputs += _output(built, population, names)
        elif population.neuron is not None:
            pool = or_pool(population)
            if pool is not None:
                source = names[population.paths[0].source]
                names[population.name] = built.add(population.name.removesuffix(".or"), pool, source)
            else:
                shapes = {name: each.shape for name, each in found.items()}
                names[population.name] = _add(built, population, names, shapes, plan(population))
            built.membrane = built.membrane or population.silent
    return built


def or_pool(population: Population) -> nn.MaxPool2d | None:
    """The maximum pool that a population of OR neurons computes; None for other populations.

    Args:
        population: the population.
    """
    step = population.step
    if step is None or len(population.paths) != 1 or not np.all(np.isfinite(step.threshold)):
        return None
    layer = population.paths[0].layer
    if layer.kind != "conv" or layer.groups != layer.input_shape[0] != 1 or layer.divisor != 1 or np.any(layer.bias):
        return None
    plain = np.all(layer.weight == 1) and np.all(np.asarray(layer.gain) == 1) and np.all(np.asarray(step.gain) == 1)
    forgets = np.all(np.asarray(step.v_decay) == 1) and np.all(np.asarray(step.i_decay) == 1)
    below = np.all(np.asarray(step.threshold) < 1) and not np.any(step.drive)
    if not (plain and forgets and below) or population.neuron is None or population.neuron.recurrence:
        return None
    kernel = (layer.weight.shape[2], layer.weight.shape[3])
    if any(2 * pad > size for pad, size in zip(layer.padding, kernel, strict=True)):
        return None  # torch has no such pool
    return nn.MaxPool2d(kernel, layer.stride, layer.padding, layer.dilation)


def synapse_of(layer: FoldedLayer, row_gain: float | np.ndarray, bias: np.ndarray | None) -> nn.Conv2d | nn.Linear:
    """A convolution or linear layer with the weights of a folded layer, in float32.

    Args:
        layer: the layer.
        row_gain: factor of the weights, one number or one per row.
        bias: biases `[Cout]`, or None.
    """
    weight = beside(_gain(layer, row_gain), layer.weight) * layer.weight
    rows = len(weight)
    module: nn.Conv2d | nn.Linear
    if layer.kind == "dense":
        module = nn.Linear(weight.shape[1], rows, bias=bias is not None)
    else:
        kernel = (weight.shape[2], weight.shape[3])
        geometry = (layer.stride, layer.padding, layer.dilation, layer.groups)
        module = nn.Conv2d(layer.input_shape[0], rows, kernel, *geometry, bias=bias is not None)
    with torch.no_grad():
        module.weight.copy_(torch.as_tensor(weight))
        if bias is not None and module.bias is not None:
            module.bias.copy_(torch.as_tensor(bias))
    return module


def _gain(layer: FoldedLayer, row_gain: float | np.ndarray) -> np.ndarray:
    return np.asarray(layer.gain) * np.asarray(row_gain) / layer.divisor


def _biases(layer: FoldedLayer, row_gain: float | np.ndarray) -> np.ndarray:
    return beside(_gain(layer, row_gain), layer.bias) * layer.bias


def _with_row_biases(path: Path, row_gain: float | np.ndarray) -> FoldedLayer:
    """The layer of a path; as a matrix if biases or gains differ within a channel."""
    layer = path.layer
    by_place = layer.bias.ndim == 3 and bool(np.any(np.ptp(layer.bias, axis=(1, 2))))
    if layer.kind == "conv" and layer.bias.ndim == 3 and not by_place:
        layer = replace(layer, bias=layer.bias[:, 0, 0])
    if np.ndim(row_gain) and np.size(row_gain) != len(layer.weight):
        by_place = True
    return as_dense(layer) if by_place else layer


def _add(
    built: BuiltNetwork,
    population: Population,
    names: Mapping[str, str],
    shapes: Mapping[str, Shape],
    plan: NeuronPlan,
) -> str:
    """Adds the synapses and the neurons of a population, and returns the name of the neurons."""
    entering: list[str] = []
    biases: list[np.ndarray] = []
    for number, path in enumerate(population.paths):
        layer = _with_row_biases(path, plan.row_gain)
        own = plan.bias_gain * _biases(layer, plan.row_gain) + (np.asarray(plan.bias) if number == 0 else 0.0)
        bias = np.broadcast_to(own, (len(layer.weight),)).copy()
        biases.append(bias)
        source = names[path.source]
        if layer.kind == "dense" and len(shapes[path.source]) > 1:
            source = built.add(f"{path.weights or population.name}.flatten", nn.Flatten(), source)
        first = number == 0 and plan.takes_bias
        module = synapse_of(layer, plan.row_gain, bias if first else None)
        entering.append(built.add(path.weights or f"{population.name}.input{number or ''}", module, source))
    total = np.sum(biases, axis=0)
    main = dict(built.named)[entering[0]]
    owner = main if plan.takes_bias else plan.module
    if isinstance(getattr(owner, "bias", None), nn.Parameter):
        with torch.no_grad():
            owner.bias.copy_(torch.as_tensor(total))  # type: ignore[operator]
    name = built.add(population.name, plan.module, *entering)
    built.synapses[name] = entering
    return name


def _output(built: BuiltNetwork, output: Population, names: Mapping[str, str]) -> list[str]:
    """Names of the modules that give an output: neurons, or weights that the host computes."""
    if all(not path.weights and not path.layer.folded for path in output.paths):
        if len(output.paths) > 1:
            raise UserError("adds spikes of several populations", where=output.name,
                            hint="put weights or neurons where the branches join")  # fmt: skip
        return [names[path.source] for path in output.paths]
    layers = [(path, as_dense(path.layer)) for path in output.paths]
    flat = [built.add(f"{path.weights}.flatten", nn.Flatten(), names[path.source]) for path, _ in layers]
    bias = np.sum([_biases(layer, 1.0) for _, layer in layers], axis=0)
    heads = [
        built.add(path.weights or f"{output.name}.weights", synapse_of(layer, 1.0, None if number else bias), source)
        for number, ((path, layer), source) in enumerate(zip(layers, flat, strict=True))
    ]
    return [built.add(f"{output.name}.sum", nn.Identity(), *heads)] if len(heads) > 1 else heads
