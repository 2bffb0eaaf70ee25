"""Initialization of a student with its teacher's weights (IDSNN; SAKD, Neural Networks 2024)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spikeport.errors import UserError


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
    offered = _layers(teacher)
    taken: list[tuple[str, str]] = []
    for name, layer in _layers(student):
        for at, (other, source) in enumerate(offered):
            weight = _fitted(source.weight, layer.weight)
            if weight is None:
                continue
            with torch.no_grad():
                layer.weight.copy_(weight)
                if layer.bias is not None and source.bias is not None:
                    layer.bias.copy_(source.bias)
            taken.append((name, other))
            offered = offered[at + 1 :]
            break
    if not taken:
        raise UserError(
            "no layer of the teacher fits the student",
            where="distillation.initialize",
            hint="use networks of the same widths and kernels, or set initialize to false",
        )
    return taken


def _layers(network: nn.Module) -> list[tuple[str, nn.Conv2d | nn.Linear]]:
    return [(name, layer) for name, layer in network.named_modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]


def _fitted(source: Tensor, wanted: Tensor) -> Tensor | None:
    """`source` in the shape of `wanted`, or None where it does not fit."""
    if source.shape == wanted.shape:
        return source
    colors_to_polarities = source.ndim == wanted.ndim == 4 and (source.shape[1], wanted.shape[1]) == (3, 2)
    if colors_to_polarities and source.shape[0] == wanted.shape[0] and source.shape[2:] == wanted.shape[2:]:
        return source.mean(1, keepdim=True).expand_as(wanted) * 1.5
    return None
