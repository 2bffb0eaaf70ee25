"""Counts the operations of a network per sample: the counts that an energy estimate multiplies.

Per sample means over all T time steps of one inference.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NotRequired, TypedDict

import numpy as np

from spikeport.errors import UserError
from spikeport.export.network.connectivity import (
    addressed_synapses,
    dense_ops,
    effective_fan_out_map,
    fan_out_map,
    naive_macs,
    nonzero_weights,
    synapse_weights,
)
from spikeport.export.network.fixed_point import DECAY_ONE
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.network.spike_trace import SpikeTrace

CHUNK = 64  # samples whose values are summed at a time


class LayerMeansJson(TypedDict):
    """Counts of one layer, means per sample over all time steps, as JSON values.

    Attributes:
        name: the layer.
        kind: kind of its synapses.
        shape: shape of its output.
        neurons: number of neurons.
        weights: number of weights.
        spikes_per_sample: output spikes.
        rate: spikes per neuron and step, 0 to 1.
        synops_per_sample: synaptic operations, zero weights counted.
        effective_synops_per_sample: synaptic operations, zero weights not counted.
        dense_ops: operations if every input fired at every step.
        naive_macs: multiply-accumulates of dense passes with padding counted, over all steps.
        updates_active_per_sample: active neuron updates.
        updates_inactive_per_sample: inactive neuron updates.
        messages_per_sample: messages between layers.
        zero_weights, biases: number of weights that are 0, and of bias words; older versions lack both.
        operation: "MAC" where synaptic operations are multiply-accumulates; they are additions elsewhere.
    """

    name: str
    kind: str
    shape: list[int]
    neurons: int
    weights: int
    spikes_per_sample: float
    rate: float
    synops_per_sample: float
    effective_synops_per_sample: float
    dense_ops: int
    naive_macs: int
    updates_active_per_sample: float
    updates_inactive_per_sample: float
    messages_per_sample: float
    operation: NotRequired[str]
    zero_weights: NotRequired[int]
    biases: NotRequired[int]


@dataclass(frozen=True, kw_only=True)
class LayerActivity:
    """Counts of one layer. Arrays are int64 `[N]`, one entry per sample. `*_per_pass` is a count of one dense pass.

    Attributes:
        name: the layer.
        kind: kind of its synapses.
        shape: shape of its output.
        neurons: number of neurons.
        weights, zero_weights: number of weights, and of those that are 0.
        inputs: number of sources of events; a recurrent layer's own neurons are included.
        addressed_synapses: synapses that one event addresses.
        biases: bias words in memory; 0 where all biases are 0.
        state_words: words of one neuron's state, membrane and current.
        state_muls: multiplications of one update; a leak is one.
        state_adds: additions of one update.
        steps: time steps.
        events: events received.
        synops: synaptic operations, zero weights counted.
        effective_synops: synaptic operations, zero weights not counted.
        spikes: output spikes.
        updates_active: neuron updates with input, bias or spike.
        updates_nonzero: these, and those with a membrane or current other than 0; None in traces of earlier versions.
        messages: one per event received, with all destinations on one core, and for the last layer one per output
            spike. A recurrent layer's own spikes are included.
        dense_ops_per_pass: operations of one dense pass, exact at the edges.
        naive_macs_per_pass: operations of one dense pass, padding counted.
        takes_values: whether input events carry values.
        multiplies: whether messages are integers with a sign, so that each operation is a multiply-accumulate.
        carried_synops: `synops` with each event counted as often as its value; None where values are unknown.
        effective_carried_synops: `effective_synops` counted in the same way.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    neurons: int
    weights: int
    inputs: int
    addressed_synapses: int
    biases: int
    state_words: int
    state_muls: int
    state_adds: int
    steps: int
    events: np.ndarray
    synops: np.ndarray
    effective_synops: np.ndarray
    spikes: np.ndarray
    updates_active: np.ndarray
    messages: np.ndarray
    dense_ops_per_pass: int
    naive_macs_per_pass: int
    zero_weights: int = 0
    takes_values: bool = False
    multiplies: bool = False
    carried_synops: np.ndarray | None = None
    effective_carried_synops: np.ndarray | None = None
    updates_nonzero: np.ndarray | None = None

    @property
    def updates(self) -> int:
        """Neuron-steps per sample, active and inactive."""
        return self.neurons * self.steps

    def means(self) -> LayerMeansJson:
        """Means over samples."""
        active = float(np.mean(self.updates_active))
        means = LayerMeansJson(
            name=self.name,
            kind=self.kind,
            shape=list(self.shape),
            neurons=self.neurons,
            weights=self.weights,
            spikes_per_sample=float(np.mean(self.spikes)),
            rate=float(np.mean(self.spikes)) / self.updates,
            synops_per_sample=float(np.mean(self.synops)),
            effective_synops_per_sample=float(np.mean(self.effective_synops)),
            dense_ops=self.dense_ops_per_pass * self.steps,
            naive_macs=self.naive_macs_per_pass * self.steps,
            updates_active_per_sample=active,
            updates_inactive_per_sample=self.updates - active,
            messages_per_sample=float(np.mean(self.messages)),
            zero_weights=self.zero_weights,
            biases=self.biases,
        )
        return {**means, "operation": "MAC"} if self.multiplies else means


@dataclass(frozen=True, kw_only=True)
class Activity:
    """Counts of all layers.

    Attributes:
        layers: counts of each layer.
        samples: number of samples.
        steps: time steps of a sample.
        backend: the backend that counted.
    """

    layers: tuple[LayerActivity, ...]
    samples: int
    steps: int
    backend: str

    @cached_property
    def ann_macs(self) -> int:
        """Multiply-accumulates of an ANN of the same shape: one dense pass, exact at the edges."""
        return sum(layer.dense_ops_per_pass for layer in self.layers)

    @property
    def neurons(self) -> int:
        """Neurons of all layers."""
        return sum(layer.neurons for layer in self.layers)

    @property
    def activation_sparsity(self) -> float:
        """Share of neuron-steps without a spike (NeuroBench)."""
        updates = self.samples * sum(layer.updates for layer in self.layers)
        return 1 - sum(int(layer.spikes.sum()) for layer in self.layers) / updates


def count_activity(network: IntegerNetwork, trace: SpikeTrace, frames: Any = None) -> Activity:
    """The counts of each layer in a spike trace.

    Args:
        network: the network that was simulated.
        trace: its spike trace, with counts.
        frames: `[N, T, ...]`, the input of the trace; needed where the network takes input values other than 1.

    Raises:
        UserError: the trace has no counts, or belongs to another network.
    """
    counts = trace.counts
    if counts is None:
        raise UserError(
            f"a trace from {trace.backend} holds output spikes only",
            where="profile",
            cause="energy needs the counts of every layer",
            hint="simulate with the reference backend, which fires the same spikes",
        )
    samples, steps = trace.spikes.shape[:2]
    expected = (samples, len(network.layers))
    if counts.synops.shape != expected or not samples or not steps:
        raise UserError(
            f"the trace counts {counts.synops.shape} samples and layers, the network asks for {expected}",
            where="profile",
            hint="profile the network that was simulated, with at least one sample and one step",
        )
    last = len(network.layers) - 1
    counted = network.input_message_bits and not network.sends_values
    values: _Values = _carried(network, frames, steps) if counted else {}
    return Activity(
        layers=tuple(
            _layer(
                layer,
                steps,
                events=counts.events_in[:, index],
                synops=counts.synops[:, index],
                effective_synops=counts.effective_synops[:, index],
                spikes=counts.spikes_out[:, index],
                updates_active=counts.updates_active[:, index],
                leaving=counts.spikes_out[:, index] * (index == last),
                updates_nonzero=None if counts.updates_nonzero is None else counts.updates_nonzero[:, index],
                values=values if index == 0 else {},
            )
            for index, layer in enumerate(network.layers)
        ),
        samples=samples,
        steps=steps,
        backend=trace.backend,
    )


class _Values(TypedDict, total=False):
    takes_values: bool
    carried_synops: np.ndarray
    effective_carried_synops: np.ndarray


def _carried(network: IntegerNetwork, frames: Any, steps: int) -> _Values:
    """Sums of value times fan-out over the first layer's events, `[N]` int64 each, where the values are known."""
    if frames is None:
        return {"takes_values": True}
    maps = np.stack([fan_out(network.layers[0]).ravel() for fan_out in (fan_out_map, effective_fan_out_map)], axis=1)
    parts = []
    for start in range(0, len(frames), CHUNK):
        part = np.asarray(frames[start : start + CHUNK])[:, :steps]
        parts.append(part.sum(axis=1, dtype=np.int64).reshape(len(part), -1) @ maps)
    every, effective = np.concatenate(parts).T
    return {"takes_values": True, "carried_synops": every, "effective_carried_synops": effective}


def _layer(
    layer: IntegerLayer,
    steps: int,
    *,
    leaving: np.ndarray,
    values: _Values,
    updates_nonzero: np.ndarray | None,
    **counts: np.ndarray,
) -> LayerActivity:
    # A synaptic current with full decay needs no state word: synapses add directly to the membrane.
    model = layer.model
    current = not model.sends_values and bool(np.any(np.asarray(layer.i_decay) != DECAY_ONE))
    current_leaks = current and bool(np.any(np.asarray(layer.i_decay) != 0))
    biases = 0 if layer.bias is None or not layer.bias.any() else layer.bias.size
    return LayerActivity(
        name=layer.name,
        kind=layer.kind,
        shape=layer.output_shape,
        neurons=layer.neurons,
        weights=synapse_weights(layer),
        inputs=int(np.prod(layer.input_shape)) + (0 if layer.weight_rec is None else layer.neurons),
        addressed_synapses=addressed_synapses(layer),
        biases=biases,
        state_words=model.state_words + current,
        state_muls=bool(np.any(np.asarray(layer.v_decay) != 0)) + current_leaks,
        state_adds=model.state_adds + current + bool(biases),
        steps=steps,
        messages=counts["events"] + leaving,
        dense_ops_per_pass=dense_ops(layer),
        naive_macs_per_pass=naive_macs(layer),
        zero_weights=synapse_weights(layer) - nonzero_weights(layer),
        multiplies=model.sends_values,
        updates_nonzero=updates_nonzero,
        **values,
        **counts,
    )
