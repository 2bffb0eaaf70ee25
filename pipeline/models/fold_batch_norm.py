"""Folding batch norm into the layers before it, after training and before quantization."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.pipeline.models.batch_norm_through_time import BatchNormThroughTime
from spikeport.pipeline.models.batch_rms_norm import BatchRMSNorm
from spikeport.pipeline.models.students.base import BranchedBlock, Student


def fold_batch_norm(student: Student) -> Student:
    """A copy of the deployed path, float, in eval mode, in which every synapse contains the batch norm behind it.

    w' = w g and b' = beta + (b - mean) g with g = gamma / sqrt(var + eps), exact up to float32 rounding of the
    weights. A norm without shift leaves no bias: w' = w g. The static head is dropped.

    Batch norm through time folds where it is the same in every step.

    Args:
        student: a float student.

    Raises:
        UserError: batch norm through time differs from step to step.
    """
    folded = copy.deepcopy(student).eval()
    layers: dict[str, nn.Module] = {}
    before: nn.Module | None = None
    waiting: nn.BatchNorm1d | None = None
    for name, layer in folded.backbone.items():
        if isinstance(layer, BatchNormThroughTime):
            layer = _of_all_steps(name, layer)
        if isinstance(layer, BranchedBlock):
            layer.fold_norms(_folded)
            layers[name] = layer
        elif isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)) and isinstance(before, (nn.Conv2d, nn.Linear)):
            _fold_into(before, layer)
        elif isinstance(layer, nn.BatchNorm1d) and isinstance(before, nn.Flatten):
            waiting = layer  # it has no weights before it, so that it goes into those behind it
            continue
        elif isinstance(layer, BatchRMSNorm) and isinstance(before, (nn.Conv2d, nn.Linear)):
            _scale_rows(before, layer.gain(layer.mean_square.double()))
        else:
            layers[name] = layer
        if waiting is not None and isinstance(layer, nn.Linear):
            _fold_behind(waiting, layer)
            waiting = None
        before = layer
    head = folded.synapse("event")
    if waiting is not None:
        assert isinstance(head, nn.Linear)
        _fold_behind(waiting, head)
    heads = nn.ModuleDict({"event": head})
    return Student(nn.ModuleDict(layers), heads, folded.output_neurons).eval()


def _of_all_steps(name: str, norms: BatchNormThroughTime) -> nn.BatchNorm1d | nn.BatchNorm2d:
    """The norm of every step. Raises UserError where they differ."""
    first, *others = [norm for norm in norms.norms if isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d))]
    wanted = _gain_and_shift(first)
    if not all(torch.equal(*pair) for norm in others for pair in zip(_gain_and_shift(norm), wanted, strict=True)):
        raise UserError(
            f"the norms of {name} differ from step to step and do not fold into one layer",
            where="student.norm_steps",
            cause="weights on the chip do not change from step to step",
            hint="use the student in float, or train one with student.norm_steps = 0",
        )
    return first


def _fold_into(synapse: nn.Conv2d | nn.Linear, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    bias = _folded(synapse, norm)
    assert bias is not None
    synapse.bias = nn.Parameter(bias)


def _folded(synapse: nn.Conv2d | nn.Linear, norm: nn.Module) -> Tensor | None:
    """Folds a norm into the weights before it, and returns the bias that this leaves; None if `norm` is no norm."""
    if not isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d)):
        return None if synapse.bias is None else synapse.bias.detach()
    gain, bias = _gain_and_shift(norm)
    if synapse.bias is not None:
        bias = bias + synapse.bias.double() * gain
    _scale_rows(synapse, gain)
    return bias.detach().to(synapse.weight.dtype)


def _fold_behind(norm: nn.BatchNorm1d, synapse: nn.Linear) -> None:
    """Folds a norm into the weights behind it: W (g x + c) + b = (W g) x + (W c + b)."""
    gain, shift = _gain_and_shift(norm)
    weight = synapse.weight.double()
    bias = weight @ shift + (0 if synapse.bias is None else synapse.bias.double())
    dtype = synapse.weight.dtype
    synapse.weight = nn.Parameter((weight * gain).detach().to(dtype))
    synapse.bias = nn.Parameter(bias.detach().to(dtype))


def _gain_and_shift(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """The norm in evaluation as g x + c."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None  # students' norms keep statistics
    assert variance is not None
    gain = norm.weight.double() / torch.sqrt(variance.double() + norm.eps)
    return gain, (0 if norm.bias is None else norm.bias.double()) - mean.double() * gain


def _scale_rows(synapse: nn.Conv2d | nn.Linear, gain: Tensor) -> None:
    weight = synapse.weight.double() * gain.view(-1, *[1] * (synapse.weight.ndim - 1))
    synapse.weight = nn.Parameter(weight.detach().to(synapse.weight.dtype))
