"""The network that an adaptation trains: the nearest legal graph in neurons that compute Loihi's integers too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from spikeport.errors import UserError
from spikeport.export.frontends.from_snntorch import to_spiking_graph
from spikeport.export.graph.parameters import per_row
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.lowering.branches.populations import Population, populations
from spikeport.export.lowering.path_folding import recurrent_weights
from spikeport.export.network.fixed_point import DECAY_ONE, WEIGHT_LIMIT
from spikeport.pipeline.adaptation.from_populations import BuiltNetwork, NeuronPlan, build
from spikeport.pipeline.adaptation.module_network import ModuleNetwork
from spikeport.pipeline.models.neurons.base import LoihiNeuron
from spikeport.pipeline.models.neurons.leaky import LoihiLeaky
from spikeport.pipeline.models.neurons.membrane import LoihiMembrane, LoihiSynapticMembrane
from spikeport.pipeline.models.neurons.recurrent import LoihiRecurrent
from spikeport.pipeline.models.neurons.recurrent_synaptic import LoihiRecurrentSynaptic
from spikeport.pipeline.models.neurons.synaptic import LoihiSynaptic
from spikeport.pipeline.models.students.base import DeployedNetwork, WeightLayer
from spikeport.pipeline.training.scaling import scales
from spikeport.values import Shape


class AdaptedNetwork(ModuleNetwork, DeployedNetwork):
    """A legal graph as a network that is trained, in float and in Loihi numerics.

    Args:
        built: synapses, neurons and pools.
        input_shape: shape of one time step, `(C, H, W)` or `(N,)`.
        dt_s: time step in seconds.
        readout: how the output becomes a class, see `SpikingGraph`.
    """

    def __init__(self, built: BuiltNetwork, input_shape: Shape, dt_s: float, readout: str) -> None:
        super().__init__(built.named, built.wiring, outputs=built.outputs, membrane=built.membrane)
        self.synapses = built.synapses
        self.input_shape, self.dt_s, self.readout = input_shape, dt_s, readout

    def weight_layers(self) -> Iterator[WeightLayer]:
        """The synapses of each layer of neurons, in order, as `quantize` and QAT take them."""
        modules: dict[str, Any] = dict(self.named())
        branched = any(len(names) > 1 for names in self.synapses.values()) or len(self.outputs) > 1
        for name, (first, *others) in self.synapses.items():
            added = tuple((each, modules[each]) for each in others)
            read = [self._spikes_before(each) for each in (first, *others)]
            most = max(read.count(source) for source in read)
            limit = WEIGHT_LIMIT // most // 2 * 2
            yield WeightLayer(first, modules[first], modules[name], 1, added, branched, limit)

    def _spikes_before(self, name: str) -> str:
        """What a synapse reads, before a flatten."""
        before = self.sources[name][0]
        while before in self.names and isinstance(dict(self.named())[before], nn.Flatten):
            before = self.sources[before][0]
        return before

    def graph(self) -> SpikingGraph:
        """The network as a spiking graph; quantized layers state their scales."""
        quantized = all(layer.neurons.numerics == "loihi" for layer in self.weight_layers())
        given = {name: self.sources[name] for name in self.names}
        found = scales(self) if quantized else None
        outputs = self.outputs if len(self.outputs) > 1 else ()
        return to_spiking_graph(self.named(), self.input_shape, self.dt_s, found, self.readout, given, outputs)


def student_of(graph: SpikingGraph, changes: list[str]) -> AdaptedNetwork:
    """The network of a graph, with its weights, thresholds of 1 and one decay for each layer of neurons.

    Args:
        graph: a graph that resets to zero.
        changes: receives a line for each difference from the graph.

    Raises:
        UserError: the graph has a node that has no place on the chip.
    """
    found = populations(graph.nir_graph, graph.dt_s)
    inputs = [p.name for p in found.values() if p.neuron is None and not p.paths]
    if len(inputs) > 1:
        raise UserError(f"the graph has {len(inputs)} inputs: {', '.join(inputs)}",
                        hint="adapt takes one input; join them before")  # fmt: skip
    built = build(found, lambda population: _plan(population, changes))
    return AdaptedNetwork(built, graph.input_shape, graph.dt_s, graph.readout)


def _plan(population: Population, changes: list[str]) -> NeuronPlan:
    step, name = population.step, population.name
    assert step is not None
    assert population.neuron is not None
    i_decay = _one(name, "synaptic decay", step.i_decay, changes)
    v_decay = _one(name, "membrane decay", step.v_decay, changes)
    theta: Any = 1.0 if population.silent else _rows(name, "threshold", step.threshold, population.shape, changes)
    row_gain = np.asarray(_rows(name, "gain", step.gain, population.shape, changes) / theta)
    drive = np.asarray(_rows(name, "drive", step.drive, population.shape, changes) / theta)
    alpha, beta = 1 - round(DECAY_ONE * i_decay) / DECAY_ONE, 1 - v_decay
    size = population.shape[0]
    recurrent = population.neuron.recurrence
    if alpha and any(np.any(path.layer.bias) for path in population.paths):
        changes.append(f"{name}: a bias of the synaptic current became a bias of the membrane")
    if not recurrent:
        neurons: LoihiNeuron
        if alpha == 0:
            neurons = LoihiMembrane(beta) if population.silent else LoihiLeaky(beta)
            return NeuronPlan(neurons, row_gain, drive)
        neurons = LoihiSynapticMembrane(size, alpha, beta) if population.silent else LoihiSynaptic(size, alpha, beta)
        return NeuronPlan(neurons, row_gain, drive, takes_bias=False, bias_gain=1 / i_decay)
    if len(population.shape) != 1 or population.silent:
        raise UserError("is recurrent, and no layer of firing neurons behind dense weights", where=name,
                        hint="put a Flatten and a Linear before it")  # fmt: skip
    weight, bias = recurrent_weights(population.neuron)
    weight = np.reshape(row_gain, (-1, 1)) * weight
    if alpha == 0:
        recurrence = LoihiRecurrent(size, beta)
        _set(recurrence, weight)
        return NeuronPlan(recurrence, row_gain, drive + row_gain * bias)
    slow = LoihiRecurrentSynaptic(size, alpha, beta)
    _set(slow, weight)
    return NeuronPlan(slow, row_gain, drive + row_gain * bias / i_decay, takes_bias=False, bias_gain=1 / i_decay)


def _set(neurons: LoihiRecurrent | LoihiRecurrentSynaptic, weight: np.ndarray) -> None:
    with torch.no_grad():
        neurons.recurrent.weight.copy_(torch.as_tensor(weight))


def _one(name: str, what: str, value: float | np.ndarray, changes: list[str]) -> float:
    values = np.asarray(value, dtype=np.float64)
    one = float(values.mean())
    if np.ptp(values) > 1 / DECAY_ONE:
        changes.append(f"{name}: a {what} of {values.min():.4g} to {values.max():.4g} a step became {one:.4g}")
    return one


def _rows(
    name: str, what: str, value: float | np.ndarray, shape: Sequence[int], changes: list[str]
) -> float | np.ndarray:
    """One number, or one for each row (channel)."""
    values = np.asarray(value, dtype=np.float64)
    if values.ndim == 0:
        return float(values)
    values = values.reshape(shape)
    rows = per_row(values, tuple(shape))
    if rows is None:
        rows = values.mean(axis=tuple(range(1, len(shape))))
        changes.append(f"{name}: a {what} that differs within a channel became its mean")
    return np.asarray(rows)
