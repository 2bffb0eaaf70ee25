"""What an adaptation is judged by: agreement with the source, accuracy, outputs in each step, and rates of layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.network.accuracy import compare_with_labels
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.readout import classify
from spikeport.pipeline.adaptation.module_network import ModuleNetwork
from spikeport.pipeline.adaptation.task import batch_of
from spikeport.pipeline.run.intervals import Accuracy, share, wilson

BATCH = 50


@dataclass(frozen=True)
class Answers:
    """What a network answers to N samples.

    Attributes:
        classes: int64 `[N]`, SILENT (-1) for samples without an output spike.
        outputs: `[N, T, K]`, spikes as uint8, or other outputs as float32.
        rates: spikes per neuron and step by layer.
        neurons: neurons of each layer in `rates`.
    """

    classes: np.ndarray
    outputs: np.ndarray
    rates: Mapping[str, float]
    neurons: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A network beside the source, on the same samples.

    Attributes:
        network: which network.
        agreement: share of samples in the class that the source gives, with Wilson's interval.
        accuracy: share of samples in the class of their label; without labels the reason.
        output_difference: share of output spikes (neuron, step, sample) that differ from the source's; None where the
            output is no spikes.
        rates: spikes per neuron and step, by layer of the source.
    """

    network: str
    agreement: Accuracy
    accuracy: Accuracy
    output_difference: float | None
    rates: Mapping[str, float]


def answers_of(network: ModuleNetwork, frames: Any, readout: str) -> Answers:
    """The answers of a network of modules.

    Args:
        network: the network; it computes on the CPU.
        frames: `[N, T, *input_shape]`.
        readout: how the output becomes a class, see `SpikingGraph`; "" for spikes, or the sum of other outputs.
    """
    training = network.training
    network.eval()
    parts, sums, places = [], dict[str, float](), dict[str, int]()
    with torch.no_grad():
        for first in range(0, len(frames), BATCH):
            found = network(batch_of(frames, slice(first, first + BATCH)))
            parts.append(found.output.transpose(0, 1).numpy())
            for name, spikes in found.layers.items():
                sums[name] = sums.get(name, 0.0) + float(spikes.sum(dtype=torch.float64))
                places[name] = places.get(name, 0) + spikes.numel()
    network.train(training)
    outputs = np.concatenate(parts)
    spiking = not network.membrane and bool(np.all(outputs == outputs.astype(np.uint8)))
    if spiking:
        outputs = outputs.astype(np.uint8)
    classes = classify(outputs) if spiking else over_time(outputs, readout).argmax(axis=1)
    steps = max(outputs.shape[0] * outputs.shape[1], 1)
    rates = {name: sums[name] / places[name] for name in sums}
    return Answers(classes, outputs, rates, {name: places[name] // steps for name in sums})


def over_time(outputs: np.ndarray, readout: str) -> np.ndarray:
    """Outputs `[N, T, K]` reduced over time: their sum, or as a membrane read-out says.

    Args:
        outputs: the outputs.
        readout: see `SpikingGraph`.
    """
    if readout == "membrane-max":
        return outputs.max(axis=1)
    return outputs[:, -1] if readout == "membrane-last" else outputs.sum(axis=1, dtype=np.float64)


def integer_answers(
    network: IntegerNetwork, frames: Any, layers: Mapping[str, str], neurons: Mapping[str, int]
) -> Answers:
    """The answers of an integer network in the reference.

    Args:
        network: the network.
        frames: `[N, T, *input_shape]`.
        layers: by layer of the source, the name of the integer layer.
        neurons: neurons of each of these layers. Integer layers of another size, which hold relays or bias neurons too,
            have no rate.
    """
    trace = simulate(network, frames)
    rates: dict[str, float] = {}
    names = [layer.name for layer in network.layers]
    for theirs, ours in layers.items():
        if ours in names and trace.counts is not None:
            at = names.index(ours)
            size = int(np.prod(network.layers[at].output_shape))
            if size != neurons.get(theirs):
                continue
            places = size * frames.shape[0] * frames.shape[1]
            rates[theirs] = float(trace.counts.spikes_out[:, at].sum()) / max(places, 1)
    outputs = trace.spikes if trace.membrane is None else trace.membrane
    return Answers(network.readout.classes(trace.spikes, trace.membrane), outputs, rates, neurons)


def measured(name: str, found: Answers, source: Answers, labels: np.ndarray | None) -> Measured:
    """Compares the answers of a network with those of the source.

    Args:
        name: which network.
        found: its answers.
        source: the answers of the source.
        labels: classes `[N]`, or None.
    """
    same = int(np.count_nonzero(found.classes == source.classes))
    count = len(source.classes)
    low, high = wilson(same, count) if count else (0.0, 1.0)
    agreement: Accuracy = {"value": same / count if count else None, "n": count, "low": low, "high": high}
    accuracy: Accuracy = {"value": None, "reason": "the frames have no labels"}
    if labels is not None:
        accuracy = share(compare_with_labels(labels, found.classes))
    binary = found.outputs.dtype == source.outputs.dtype == np.uint8 and found.outputs.shape == source.outputs.shape
    difference = float(np.mean(found.outputs != source.outputs)) if binary and found.outputs.size else None
    return Measured(
        network=name, agreement=agreement, accuracy=accuracy, output_difference=difference, rates=found.rates
    )
