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
        raise UserError(f"expects {module.in_channels} input channels, got {shape}", where=name,
                        hint="check the input shape, (C, H, W)")  # fmt: skip
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


def _conv1d(name: str, module: Any, shape: Shape) -> nir.NIRNode:
    if module.padding_mode != "zeros":
        raise UserError(f"padding_mode {module.padding_mode!r} cannot go to netx", where=name, hint="use 'zeros'")
    if len(shape) != 2 or shape[0] != module.in_channels:
        raise UserError(f"expects {module.in_channels} input channels, got {shape}", where=name,
                        hint="give the input shape as (C, N)" if len(shape) != 2 else "")  # fmt: skip
    return nir.Conv1d(
        input_shape=shape[1],
        weight=array(module.weight),
        stride=module.stride[0],
        padding=module.padding if isinstance(module.padding, str) else module.padding[0],
        dilation=module.dilation[0],
        groups=module.groups,
        bias=np.zeros(module.out_channels, dtype=np.float32) if module.bias is None else array(module.bias),
    )


def average_pool(name: str, module: Any, shape: Shape) -> dict[str, nir.NIRNode]:
    """An average pool, and factors behind it where its windows are not divided by their size.

    At an edge that is padded and not counted, a window with n values of k divides by n: the average over k, times k/n.

    Args:
        name: name of the module.
        module: an AvgPool1d or AvgPool2d.
        shape: `(C, H, W)` of its input.

    Returns:
        The nodes by name, in their order.

    Raises:
        UserError: a setting has no exact form.
    """
    geometry = pool_geometry(module)
    kernel, stride, padding = geometry["kernel_size"], geometry["stride"], geometry["padding"]
    divisor, kind = getattr(module, "divisor_override", None), type(module).__name__
    if len(shape) != 3:
        raise UserError(f"a pool needs (C, H, W) input, got {shape}", where=name,
                        hint="put it before the Flatten")  # fmt: skip
    spare = [n + 2 * p - k for n, p, k in zip(shape[1:], padding, kernel, strict=True)]
    if module.ceil_mode and any(each % step for each, step in zip(spare, stride, strict=True)):
        raise UserError(f"{kind} with ceil_mode True has windows beyond its input", where=name,
                        hint="use ceil_mode False, or sizes that the windows divide")  # fmt: skip
    arrays: dict[str, Any] = {"kernel_size": np.array(kernel), "stride": np.array(stride), "padding": np.array(padding)}
    size = kernel[0] * kernel[1]
    if divisor not in (None, size):
        pool: nir.NIRNode = nir.SumPool2d(**arrays)
        factors = np.array([[1 / divisor]])
    else:
        pool = nir.AvgPool2d(**arrays)
        counted = module.count_include_pad or divisor is not None
        rows, columns = (
            _counted(n, k, s, p) for n, k, s, p in zip(shape[1:], kernel, stride, padding, strict=True)
        )  # fmt: skip
        factors = np.ones((1, 1)) if counted else size / np.outer(rows, columns)
    if np.all(factors == 1):
        return {name: pool}
    behind = (shape[0], *(each // step + 1 for each, step in zip(spare, stride, strict=True)))
    return {name: pool, f"{name}.factors": nir.Scale(np.array(np.broadcast_to(factors, behind)))}


def _counted(size: int, kernel: int, stride: int, padding: int) -> np.ndarray:
    """Number of inputs in each window along one axis."""
    starts = np.arange((size + 2 * padding - kernel) // stride + 1) * stride - padding
    return np.minimum(starts + kernel, size) - np.maximum(starts, 0)


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
    nn.Conv1d: _conv1d,
    nn.Conv2d: _conv2d,
    nn.Flatten: _flatten,
    nn.Linear: _linear,
}
WEIGHTS = (nn.Conv1d, nn.Conv2d, nn.Linear)
AVERAGE_POOLS = (nn.AvgPool1d, nn.AvgPool2d)


def pool_geometry(module: Any) -> dict[str, tuple[int, int]]:
    """Kernel size, stride, padding and dilation of a pool, each (height, width); height 1 for pools of one axis.

    Args:
        module: an average or maximum pool.
    """
    found = {}
    for key, rest in (("kernel_size", 1), ("stride", 1), ("padding", 0), ("dilation", 1)):
        values = np.atleast_1d(getattr(module, key, 1))
        one_axis = isinstance(module, (nn.AvgPool1d, nn.MaxPool1d))
        found[key] = (rest if one_axis else int(values[0])), int(values[-1])
    return found
