"""Multiplies the weights of each layer so that it fires as often as the layer of the source does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from spikeport.pipeline.adaptation.module_network import ModuleNetwork
from spikeport.pipeline.adaptation.student import AdaptedNetwork
from spikeport.pipeline.adaptation.task import batch_of

FACTORS = (0.5, 2.0)  # range of the search
HALVINGS = 7  # of the range, on a logarithmic scale: to 1.1 %


def match_rates(
    network: AdaptedNetwork, source: ModuleNetwork, pairs: Mapping[str, str], frames: Any
) -> dict[str, float]:
    """Scales layer after layer, in place: bisection of the factor of weights and biases.

    A reset to zero loses what is above the threshold, and a maximum of spikes adds spikes; both move the rate.

    Args:
        network: the adapted network, in float.
        source: the source.
        pairs: names of the layers of the source and of `network` that should fire alike, in order.
        frames: `[N, T, *input_shape]`, some tens of samples.

    Returns:
        The factor of each layer that fires, by its name in the source.
    """
    batch = batch_of(frames, slice(None))
    factors: dict[str, float] = {}
    layers = dict(zip(network.synapses, network.weight_layers(), strict=True))
    with torch.no_grad():
        expected = {name: float(spikes.mean()) for name, spikes in source(batch).layers.items()}
        for theirs, ours in pairs.items():
            neurons = ours if ours in layers else network.sources[ours][0]
            if neurons not in layers or not expected[theirs]:
                continue
            low, high = FACTORS
            whole = 1.0
            for _ in range(HALVINGS):
                middle = (low * high) ** 0.5
                scale_layer(layers[neurons], middle / whole)
                whole = middle
                if float(network(batch).layers[ours].mean()) < expected[theirs]:
                    low = middle
                else:
                    high = middle
            factors[theirs] = whole
    return factors


def scale_layer(layer: Any, factor: float) -> None:
    """Multiplies the weights and biases of a layer, not its threshold.

    Args:
        layer: a `WeightLayer`.
        factor: a positive number.
    """
    for _, synapse in layer.synapses:
        synapse.weight.mul_(factor)
    if layer.bias is not None:
        layer.bias.mul_(factor)
    if layer.neurons.recurrent_synapse is not None:
        layer.neurons.recurrent_synapse.weight.mul_(factor)
