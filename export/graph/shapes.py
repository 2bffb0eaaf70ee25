"""Output shapes and geometry of NIR nodes.

NIR's own shape inference is not used: it computes the width of a convolution from the height of its kernel.
"""

from __future__ import annotations

import math
from typing import Any

import nir
import numpy as np

from spikeport.errors import UserError
from spikeport.export.graph.parameters import on_layer
from spikeport.export.network.geometry import conv_extent
from spikeport.values import Shape

NEURONS_LIMIT = 1 << 24  # neurons of one layer: far above any chip, far below the memory of the host
WEIGHTS_LIMIT = 1 << 27  # weights of one layer: 1 GiB as float64
SIZE_LIMIT = 1 << 20  # upper limit of strides, paddings and kernel sizes in a file

POOLS = (nir.AvgPool2d, nir.SumPool2d)


def pair(value: Any, where: str, what: str) -> tuple[int, int]:
    """Reads a stride, padding, dilation or kernel size.

    Args:
        value: one integer for both axes, or two.
        where: name of the node, for error messages.
        what: name of the parameter. Only "padding" may be 0.

    Returns:
        (height, width).

    Raises:
        UserError: the value is not one or two integers, or is too small.
    """
    numbers = _numbers(value)
    if numbers.size not in (1, 2) or np.any(numbers != np.rint(numbers)):
        raise UserError(f"{what} {value!r} is neither one integer nor two", where=where)
    if numbers.min() < (0 if what == "padding" else 1):
        raise UserError(f"{what} {numbers.astype(int).tolist()} is too small", where=where)
    return int(numbers[0]), int(numbers[-1])


def whole(value: Any, where: str, what: str) -> int:
    """Converts a parameter to an integer.

    Args:
        value: the stored value.
        where: name of the node, for the error.
        what: name of the parameter, for the error.

    Raises:
        UserError: the value is not one integer.
    """
    numbers = _numbers(value)
    if numbers.size != 1 or numbers[0] != np.rint(numbers[0]):
        raise UserError(f"{what} {value!r} is not an integer", where=where)
    return int(numbers[0])


def _numbers(value: Any) -> np.ndarray:
    """`value` as flat float64; empty if it is not numeric, not finite or above `SIZE_LIMIT`."""
    numbers = np.asarray(value).ravel()
    if numbers.dtype.kind not in "iuf" or not np.all(np.abs(numbers.astype(np.float64)) < SIZE_LIMIT):
        return np.zeros(0)
    return numbers.astype(np.float64)


def conv_geometry(node: nir.Conv2d, where: str) -> tuple[np.ndarray, tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Geometry of a convolution with symmetric padding.

    Padding "same" adds d (k - 1) zeros per axis; in PyTorch an odd number has the extra zero at the end. netx pads
    both sides equally, so here the kernel gets a leading row or column of zeros, which reads the extra zero at the
    start. The dilation of such a kernel is expanded to zeros.

    Args:
        node: the convolution.
        where: name of the node, for error messages.

    Returns:
        (weight, stride, padding, dilation): float64 `(Cout, Cin / groups, kH, kW)`, then pairs (height, width).

    Raises:
        UserError: the padding is not supported.
    """
    weight = np.asarray(node.weight, dtype=np.float64)
    stride, dilation = pair(node.stride, where, "stride"), pair(node.dilation, where, "dilation")
    if not isinstance(node.padding, str):
        return weight, stride, pair(node.padding, where, "padding"), dilation
    if node.padding == "valid":
        return weight, stride, (0, 0), dilation
    if node.padding != "same":
        raise UserError(f"padding {node.padding!r} is unknown", where=where, hint="use numbers, 'same' or 'valid'")
    if stride != (1, 1):
        raise UserError(f"padding 'same' with stride {stride} has no meaning", where=where,
                        hint="pad explicitly, with numbers")  # fmt: skip
    total = tuple(d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True))
    odd = tuple(each % 2 for each in total)
    if any(odd):
        spread = np.zeros((*weight.shape[:2], *(each + 1 + more for each, more in zip(total, odd, strict=True))))
        spread[:, :, odd[0] :: dilation[0], odd[1] :: dilation[1]] = weight
        weight, dilation = spread, (1, 1)
    return weight, stride, ((total[0] + odd[0]) // 2, (total[1] + odd[1]) // 2), dilation


def output_shape(name: str, node: nir.NIRNode, shape: Shape) -> Shape:
    """Output shape of a node.

    Args:
        name: name of the node, for error messages.
        node: the node.
        shape: shape of its input, `(C, H, W)` or `(N,)`.

    Raises:
        UserError: the node or one of its parameters does not fit the shape.
    """
    behind = _shape_behind(name, node, shape)
    check_size(name, behind)
    if behind == shape:
        for key, value in vars(node).items():
            if isinstance(value, np.ndarray) and not isinstance(node, (nir.Conv2d, nir.Linear, nir.Affine, *POOLS)):
                on_layer(name, key, value, shape)
    return behind


def check_size(name: str, shape: Shape) -> None:
    """Checks the number of neurons of a layer.

    Args:
        name: name of the layer.
        shape: shape of its neurons.

    Raises:
        UserError: there are more than `NEURONS_LIMIT`.
    """
    if math.prod(shape) > NEURONS_LIMIT:
        raise UserError(
            f"shape {shape} has {math.prod(shape)} values", where=name, cause=f"the limit is {NEURONS_LIMIT}"
        )


def check_weights(name: str, count: int) -> None:
    """Checks the number of weights of a rewritten layer.

    Args:
        name: name of the layer.
        count: number of weights.

    Raises:
        UserError: there are more than `WEIGHTS_LIMIT`.
    """
    if count > WEIGHTS_LIMIT:
        raise UserError(f"would become a layer of {count} weights", where=name, cause=f"the limit is {WEIGHTS_LIMIT}")


def _shape_behind(name: str, node: nir.NIRNode, shape: Shape) -> Shape:
    if isinstance(node, nir.Conv2d):
        return _conv_shape(name, node, shape)
    if isinstance(node, (nir.Linear, nir.Affine)):
        if np.ndim(node.weight) != 2 or shape != (node.weight.shape[1],):
            hint = "add a Flatten before it" if len(shape) == 3 else ""
            raise UserError(f"weight {np.shape(node.weight)} does not fit its input {shape}", where=name, hint=hint)
        return (int(node.weight.shape[0]),)
    if isinstance(node, POOLS):
        return _pool_shape(name, node, shape)
    if not isinstance(node, nir.Flatten):
        return shape
    start, end = whole(node.start_dim, name, "start_dim"), whole(node.end_dim, name, "end_dim")
    if len(shape) > 1 and (start != 0 or end % len(shape) != len(shape) - 1):
        raise UserError(
            f"Flatten merges axes {start} to {end} of {shape} only", where=name,
            cause="netx flattens all of them", hint="use start_dim 0 and end_dim -1 (NIR counts without the batch)",
        )  # fmt: skip
    return (math.prod(shape),)


def _conv_shape(name: str, node: nir.Conv2d, shape: Shape) -> Shape:
    given, groups = np.shape(node.weight), whole(node.groups, name, "groups")
    fits = len(given) == 4 and len(shape) == 3 and groups >= 1
    if not fits or given[1] * groups != shape[0] or given[0] % groups:
        raise UserError(f"weight {given} with groups={groups} does not fit its input {shape}", where=name)
    if min(given) < 1:
        raise UserError(f"weight {given} is empty", where=name)
    weight, stride, padding, dilation = conv_geometry(node, name)
    extent = conv_extent(shape[1:], weight.shape[2:], stride, padding, dilation)
    if min(extent) < 1:
        raise UserError(f"kernel {given[2:]} is larger than the padded input {shape[1:]}", where=name)
    return (int(given[0]), *extent)


def _pool_shape(name: str, node: nir.NIRNode, shape: Shape) -> Shape:
    if len(shape) != 3:
        raise UserError(f"a pool needs (C, H, W) input, got {shape}", where=name)
    kernel, stride, padding = (pair(getattr(node, key), name, key) for key in ("kernel_size", "stride", "padding"))
    if any(2 * p > k for k, p in zip(kernel, padding, strict=True)):
        raise UserError(f"padding {padding} exceeds half of kernel {kernel}", where=name,
                        cause="torch does not pool so",
                        hint="pad by half of the kernel at most")  # fmt: skip
    behind = (shape[0], *conv_extent(shape[1:], kernel, stride, padding, (1, 1)))
    if min(behind) < 1:
        raise UserError(f"pool {kernel} is larger than its input {shape}", where=name)
    return behind
