"""Convolutions, linear layers, average pools and flattens of torch as NIR nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np
from torch import nn

from spikeport.errors import UserError
from spikeport.export.frontends.snntorch_neurons import array
from spikeport.export.graph.shapes import conv_geometry
from spikeport.values import Shape


def _conv2d(name: str, module: Any, shape: Shape) -> nir.NIRNode:
    if module.padding_mode != "zeros":
        raise UserError(f"padding_mode {module.padding_mode!r} cannot go to netx", where=name, hint="use 'zeros'")
    if len(shape) != 3 or shape[0] != module.in_channels:
        raise UserError(f"expects {module.in_channels} input channels, got {shape}", where=name)
    bias = np.zeros(module.out_channels, dtype=np.float32) if module.bias is None else array(module.bias)
    node = nir.Conv2d(
        input_shape=shape[1:],
        weight=array(module.weight),
        stride=tuple(module.stride),
        padding=module.padding if isinstance(module.padding, str) else tuple(module.padding),
        dilation=tuple(module.dilation),
        groups=module.groups,
        bias=bias,
    )
    weight, _, padding, _ = conv_geometry(node, name)
    if weight.shape == node.weight.shape:
        node.padding = padding  # as numbers if possible, since not every reader supports 'same'
    return node


def _avg_pool(name: str, module: Any, shape: Shape) -> nir.NIRNode:
    kernel, stride, padding = (_two(each) for each in (module.kernel_size, module.stride, module.padding))
    padded = any(padding) and not module.count_include_pad
    if padded or module.ceil_mode or module.divisor_override not in (None, 1, kernel[0] * kernel[1]):
        raise UserError(
            f"AvgPool2d with padding {padding}, count_include_pad {module.count_include_pad}, ceil_mode "
            f"{module.ceil_mode}, divisor_override {module.divisor_override} cannot be folded exactly", where=name,
            hint="use count_include_pad True, ceil_mode False and no divisor_override",
        )  # fmt: skip
    kind = nir.SumPool2d if module.divisor_override == 1 and kernel != (1, 1) else nir.AvgPool2d
    return kind(kernel_size=np.array(kernel), stride=np.array(stride), padding=np.array(padding))


def _flatten(name: str, module: Any, shape: Shape) -> nir.NIRNode:
    if module.start_dim != 1 or module.end_dim not in (-1, len(shape)):
        raise UserError(
            f"Flatten({module.start_dim}, {module.end_dim}) does not merge all axes behind the batch", where=name,
            hint="use nn.Flatten()",
        )  # fmt: skip
    return nir.Flatten({"input": np.array(shape)}, start_dim=0, end_dim=-1)


def _linear(name: str, module: Any, shape: Shape) -> nir.NIRNode:
    weight = array(module.weight)
    return nir.Linear(weight) if module.bias is None else nir.Affine(weight, array(module.bias))


SYNAPTIC_LAYERS: dict[type, Callable[[str, Any, Shape], nir.NIRNode]] = {
    nn.Conv2d: _conv2d,
    nn.AvgPool2d: _avg_pool,
    nn.Flatten: _flatten,
    nn.Linear: _linear,
}


def _two(value: int | tuple[int, int]) -> tuple[int, int]:
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[1]))
