"""Initialization of a student with its teacher's weights (IDSNN; SAKD, Neural Networks 2024)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from spikeport.errors import UserError

NamedLayer = tuple[str, nn.Conv2d | nn.Linear]


def initialize_from_teacher(student: nn.Module, teacher: nn.Module) -> list[tuple[str, str]]:
    """Copies weights from a teacher into a student, in place, layer by layer in order.

    Each convolution or dense layer of the student gets the weights of the teacher's next layer of the same shape, and
    its bias if both have one. Where only the input channels differ, 3 colors and 2 polarities, each polarity gets the
    mean over the colors times 3/2, so that a gray image gives the same current.

    Args:
        student: the network that is changed.
        teacher: the network with the weights.

    Returns:
        Pairs of names: layer of the student, layer of the teacher.

    Raises:
        UserError: no layer fits.
    """
    pairs = layer_pairs(student, teacher)
    for (_, layer), (_, source) in pairs:
        weight = fitted(source.weight, layer.weight)
        assert weight is not None  # as they are paired
        with torch.no_grad():
            layer.weight.copy_(weight)
            if layer.bias is not None and source.bias is not None:
                layer.bias.copy_(source.bias)
    if not pairs:
        raise UserError(
            "no layer of the teacher fits the student",
            where="distillation.initialize",
            hint="use networks of the same widths and kernels, or set initialize to false",
        )
    return [(name, other) for (name, _), (other, _) in pairs]


def layer_pairs(student: nn.Module, teacher: nn.Module) -> list[tuple[NamedLayer, NamedLayer]]:
    """Each convolution and dense layer of the student with the teacher's next layer of the same shape, in order.

    Args:
        student: one network.
        teacher: the other.

    Returns:
        Pairs of a layer of the student and one of the teacher, each with its name.
    """
    offered, pairs = _layers(teacher), []
    for ours in _layers(student):
        for at, theirs in enumerate(offered):
            if fitted(theirs[1].weight, ours[1].weight) is not None:
                pairs.append((ours, theirs))
                offered = offered[at + 1 :]
                break
    return pairs


def weight_pairs(student: nn.Module, teacher: nn.Module) -> tuple[tuple[Tensor, Tensor], ...] | None:
    """The weights of `layer_pairs`, those of the teacher without a gradient.

    Args:
        student: one network.
        teacher: the other.

    Returns:
        Pairs of weights; empty in quantization-aware training, where weights contain batch norm; None where none fit.
    """
    pairs = [(ours, theirs.weight.detach()) for (_, ours), (_, theirs) in layer_pairs(student, teacher)]
    if any(is_parametrized(ours) for ours, _ in pairs):
        return ()
    return tuple((ours.weight, theirs) for ours, theirs in pairs) or None


def _layers(network: nn.Module) -> list[NamedLayer]:
    return [(name, layer) for name, layer in network.named_modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]


def fitted(source: Tensor, wanted: Tensor) -> Tensor | None:
    """A weight in the shape of another, see `initialize_from_teacher`; None where it does not fit.

    Args:
        source: the weight.
        wanted: a weight of the wanted shape.
    """
    if source.shape == wanted.shape:
        return source
    colors_to_polarities = source.ndim == wanted.ndim == 4 and (source.shape[1], wanted.shape[1]) == (3, 2)
    if colors_to_polarities and source.shape[0] == wanted.shape[0] and source.shape[2:] == wanted.shape[2:]:
        return source.mean(1, keepdim=True).expand_as(wanted) * 1.5
    return None
