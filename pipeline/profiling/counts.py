"""What a network did, as integers per sample: the counts that every energy account multiplies.

Units are named: per sample means over all T steps of one inference, never per step.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from spikeport.errors import UserError
from spikeport.export.network.connectivity import (
    addressed_synapses,
    dense_ops,
    effective_fan_out_map,
    fan_out_map,
    naive_macs,
    synapse_weights,
)
from spikeport.export.network.fixed_point import DECAY_ONE
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.network.spike_trace import SpikeTrace

CHUNK = 64  # samples whose values are summed at a time


@dataclass(frozen=True, kw_only=True)
class LayerActivity:
    """One layer's counts. Arrays are int64 `[N]`, one entry per sample; `*_per_pass` are those of one dense pass.

    `messages`: one per event received, own spikes of a recurrent layer too, as if all its destinations sat on one
    core, and for the last layer one more per spike that leaves the network. `inputs`: places that events come from, own
    neurons of a recurrent layer too. `addressed_synapses`: those that an event looks for. `biases`: words kept of
    them, 0 where all are 0. `state_words`: a neuron's, membrane and current; `state_muls`, `state_adds`: what an
    update takes, a leak being one multiplication. `carried_synops`, `effective_carried_synops`: each event counted as
    often as its value says, where a layer takes messages of values; None where these are not known.
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
    takes_values: bool = False
    carried_synops: np.ndarray | None = None
    effective_carried_synops: np.ndarray | None = None

    @property
    def updates(self) -> int:
        """Neuron-steps per sample, active and inactive."""
        return self.neurons * self.steps

    def row(self) -> dict[str, Any]:
        """The layer as JSON: counts are means per sample, `rate` is spikes per neuron and step."""
        active = float(np.mean(self.updates_active))
        return {
            "name": self.name,
            "kind": self.kind,
            "shape": list(self.shape),
            "neurons": self.neurons,
            "weights": self.weights,
            "spikes_per_sample": float(np.mean(self.spikes)),
            "rate": float(np.mean(self.spikes)) / self.updates,
            "synops_per_sample": float(np.mean(self.synops)),
            "effective_synops_per_sample": float(np.mean(self.effective_synops)),
            "dense_ops": self.dense_ops_per_pass * self.steps,
            "naive_macs": self.naive_macs_per_pass * self.steps,
            "updates_active_per_sample": active,
            "updates_inactive_per_sample": self.updates - active,
            "messages_per_sample": float(np.mean(self.messages)),
        }


@dataclass(frozen=True, kw_only=True)
class Activity:
    """What a network did over `samples` samples of `steps` steps, as counted by `backend`."""

    layers: tuple[LayerActivity, ...]
    samples: int
    steps: int
    backend: str

    @cached_property
    def ann_macs(self) -> int:
        """MACs of an ANN of the same shape: one dense pass, exact at the edges."""
        return sum(layer.dense_ops_per_pass for layer in self.layers)

    @property
    def activation_sparsity(self) -> float:
        """Share of neuron-steps without a spike (NeuroBench)."""
        updates = self.samples * sum(layer.updates for layer in self.layers)
        return 1 - sum(int(layer.spikes.sum()) for layer in self.layers) / updates


def count_activity(network: IntegerNetwork, trace: SpikeTrace, frames: Any = None) -> Activity:
    """The counts in `trace` by layer. `frames` `[N, T, ...]`, which it is a trace of, say what values its messages had,
    where the network takes any but 1. Raises UserError where the trace has none, or another network's."""
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
    values = _carried(network, frames, steps) if network.input_message_bits else {}
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
                values=values if index == 0 else {},
            )
            for index, layer in enumerate(network.layers)
        ),
        samples=samples,
        steps=steps,
        backend=trace.backend,
    )


def _carried(network: IntegerNetwork, frames: Any, steps: int) -> dict[str, Any]:
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
    layer: IntegerLayer, steps: int, *, leaving: np.ndarray, values: dict[str, Any], **counts: Any
) -> LayerActivity:
    # A current that keeps nothing from step to step needs no word of its own: synapses add to the membrane.
    current = bool(np.any(np.asarray(layer.i_decay) != DECAY_ONE))
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
        state_words=1 + current,
        state_muls=bool(np.any(np.asarray(layer.v_decay) != 0)) + current_leaks,
        state_adds=current + bool(biases),
        steps=steps,
        messages=counts["events"] + leaving,
        dense_ops_per_pass=dense_ops(layer),
        naive_macs_per_pass=naive_macs(layer),
        **values,
        **counts,
    )
