"""Scales of a student's layers: integer units per float unit."""

from __future__ import annotations

import copy
import math
from typing import TypeVar

import torch

from spikeport.export.network.fixed_point import BIAS_LIMIT, THRESHOLD_LIMIT, WEIGHT_LIMIT
from spikeport.pipeline.models.students.base import DeployedNetwork

Network = TypeVar("Network", bound=DeployedNetwork)
RELAYED_LIMIT = WEIGHT_LIMIT - 2  # of a threshold beside relays, whose weight must exceed it


def rescale(student: Network) -> Network:
    """Multiplies weights, bias and threshold of each layer by one factor, so that its weights fill 8 bits.

    The scale S of a layer is the power of two nearest to 254 / max|W|, and the factor makes S max|W| exactly 254, or
    less where bias or threshold would leave their ranges. Spikes do not change.

    Args:
        student: a student without batch norm. It is not changed.

    Returns:
        A copy with other weights and with `scale` set in its neurons.
    """
    student = copy.deepcopy(student)
    for layer in student.weight_layers():
        neurons, pooled = layer.neurons, layer.pooled
        largest = max(1e-30, *(float(synapse.weight.detach().abs().max()) for _, synapse in layer.synapses))
        if (recurrence := neurons.recurrent_synapse) is not None:  # both have one scale
            largest = max(largest, float(recurrence.weight.detach().abs().max()) * pooled)
        bias = 0.0 if layer.bias is None else float(layer.bias.detach().abs().max()) * pooled
        threshold = float(neurons.threshold) * pooled
        highest = RELAYED_LIMIT if layer.passed else THRESHOLD_LIMIT
        units = min(layer.limit / largest, highest / threshold, BIAS_LIMIT / max(bias, 1e-30))
        scale = 2.0 ** round(math.log2(units))
        factor = units / scale
        with torch.no_grad():
            for _, synapse in layer.synapses:
                synapse.weight *= factor
            if layer.bias is not None:
                layer.bias.mul_(factor)
            neurons.rescale(factor)
            neurons.scale.fill_(scale * pooled)
    return student


def scales(student: DeployedNetwork) -> dict[str, float]:
    """The scale S of each synapse by name: integer weights are S times the float weights."""
    return {
        name: float(layer.neurons.scale) / layer.pooled
        for layer in student.weight_layers()
        for name, _ in layer.synapses
    }
