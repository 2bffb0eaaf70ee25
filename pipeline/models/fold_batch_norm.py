"""Folding batch norm into the layers before it, after training and before quantization."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from spikeport.pipeline.models.batch_rms_norm import BatchRMSNorm
from spikeport.pipeline.models.students.base import Student


def fold_batch_norm(student: Student) -> Student:
    """A copy of the deployed path, float, in eval mode, in which every synapse contains the batch norm behind it.

    w' = w g and b' = beta + (b - mean) g with g = gamma / sqrt(var + eps), exact up to float32 rounding of the
    weights. A norm without shift leaves no bias: w' = w g. The static head is dropped.

    Args:
        student: a float student.
    """
    folded = copy.deepcopy(student).eval()
    layers: dict[str, nn.Module] = {}
    before: nn.Module | None = None
    for name, layer in folded.backbone.items():
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)) and isinstance(before, (nn.Conv2d, nn.Linear)):
            _fold_into(before, layer)
        elif isinstance(layer, BatchRMSNorm) and isinstance(before, (nn.Conv2d, nn.Linear)):
            _scale_rows(before, layer.gain(layer.mean_square.double()))
        else:
            layers[name] = layer
        before = layer
    heads = nn.ModuleDict({"event": folded.synapse("event")})
    return Student(nn.ModuleDict(layers), heads, folded.output_neurons).eval()


def _fold_into(synapse: nn.Conv2d | nn.Linear, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None  # students' norms keep statistics
    assert variance is not None
    gain = norm.weight.double() / torch.sqrt(variance.double() + norm.eps)
    bias = norm.bias.double() - mean.double() * gain
    if synapse.bias is not None:
        bias = bias + synapse.bias.double() * gain
    _scale_rows(synapse, gain)
    synapse.bias = nn.Parameter(bias.detach().to(synapse.weight.dtype))


def _scale_rows(synapse: nn.Conv2d | nn.Linear, gain: Tensor) -> None:
    weight = synapse.weight.double() * gain.view(-1, *[1] * (synapse.weight.ndim - 1))
    synapse.weight = nn.Parameter(weight.detach().to(synapse.weight.dtype))
