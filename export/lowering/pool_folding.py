"""Merges pools with the adjacent weights into one kernel, exactly.

Along one axis, the inner operation's window at position m starts at input m s - p. The outer operation reads the inner
positions m = o S - P + D t. The merged operation has stride s S and padding p + P s, and reads the inputs
o s S - (p + P s) + (D t s + j). Both agree if m is a position of the inner output. If m is in the outer padding, the
outer operation reads zero, so the merged operation must read zeros too. This is checked for every o and t; the merge
is refused otherwise. The number of outputs always agrees: floor((floor(x / s) + n) / S) = floor((x + n s) / (s S)) for
integers n.
"""

from __future__ import annotations

import numpy as np

from spikeport.errors import UserError
from spikeport.export.formats.netx.rules import GEOMETRY_LIMIT
from spikeport.export.graph.chain import ChainNode
from spikeport.export.graph.shapes import check_weights
from spikeport.export.lowering.folded_layer import FoldedLayer
from spikeport.values import Shape

Pair = tuple[int, int]


class NotOneConvolutionError(UserError):
    """A node and the convolution beside it are no convolution together; with a matrix they are one matrix."""


def pool_before_conv(layer: FoldedLayer, step: ChainNode, kernel: Pair, stride: Pair, padding: Pair) -> np.ndarray:
    """Merges a pool into the convolution after it: each tap of the kernel becomes a block of the pool's size.

    Args:
        layer: the convolution.
        step: the pool before it.
        kernel: window of the pool, (height, width).
        stride: stride of the pool, (height, width).
        padding: zeros on each side of the pool's input, (height, width).

    Returns:
        The merged kernel, float64 `(Cout, Cin / groups, kH, kW)`.

    Raises:
        UserError: the merged operation would not be exact, or its kernel would be too large for netx.
    """
    taps = layer.weight.shape[2:]
    for axis in (0, 1):
        size, pooled = step.input_shape[1 + axis], step.output_shape[1 + axis]
        first = np.arange(kernel[axis])
        places = _outer_places(pooled, taps[axis], layer.stride[axis], layer.padding[axis], layer.dilation[axis])
        reads = np.unique(places[:, _used_taps(layer.weight, axis)])
        _check(reads, pooled, size, stride[axis], padding[axis], first, axis, step, layer.name, kernel)
    extent = _extent([layer.dilation[a] * (taps[a] - 1) * stride[a] + kernel[a] for a in (0, 1)], layer)
    weight = np.zeros((*layer.weight.shape[:2], *extent), dtype=layer.weight.dtype)
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            rows = _every(row, layer.dilation[0] * stride[0], taps[0])
            weight[:, :, rows, _every(column, layer.dilation[1] * stride[1], taps[1])] += layer.weight
    return weight


def pool_after_conv(
    layer: FoldedLayer, step: ChainNode, kernel: Pair, stride: Pair, padding: Pair
) -> tuple[np.ndarray, np.ndarray]:
    """Merges a pool into the convolution before it.

    Args:
        layer: the convolution.
        step: the pool after it.
        kernel: window of the pool, (height, width).
        stride: stride of the pool, (height, width).
        padding: zeros on each side of the pool's input, (height, width).

    Returns:
        (kernel, bias): float64 `(Cout, Cin / groups, kH, kW)`, and `(Cout,)` or, if it differs within a channel,
        the output shape.

    Raises:
        UserError: the merged operation would not be exact, or its kernel would be too large for netx.
    """
    taps = layer.weight.shape[2:]
    for axis in (0, 1):
        size, inner = layer.input_shape[1 + axis], layer.output_shape[1 + axis]
        first = layer.dilation[axis] * _used_taps(layer.weight, axis)
        reads = np.unique(_outer_places(inner, kernel[axis], stride[axis], padding[axis], 1))
        _check(reads, inner, size, layer.stride[axis], layer.padding[axis], first, axis, step, layer.name, kernel)
    extent = _extent([(kernel[a] - 1) * layer.stride[a] + layer.dilation[a] * (taps[a] - 1) + 1 for a in (0, 1)], layer)
    weight = np.zeros((*layer.weight.shape[:2], *extent), dtype=layer.weight.dtype)
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            rows = _every(row * layer.stride[0], layer.dilation[0], taps[0])
            weight[:, :, rows, _every(column * layer.stride[1], layer.dilation[1], taps[1])] += layer.weight
    bias = layer.bias if layer.bias.ndim == 3 else layer.bias[:, None, None] + np.zeros(layer.output_shape)
    pooled = sum_pool(bias, kernel, stride, padding)
    return weight, pooled[:, 0, 0] if np.all(pooled == pooled[:, :1, :1]) else pooled


def pool_before_dense(
    layer: FoldedLayer, step: ChainNode, kernel: Pair, stride: Pair, padding: Pair
) -> tuple[np.ndarray, np.ndarray | None]:
    """Merges a pool into the dense layer after it. This is exact for every window, since windows are expanded.

    Args:
        layer: the dense layer.
        step: the pool before it.
        kernel: window of the pool, (height, width).
        stride: stride of the pool, (height, width).
        padding: zeros on each side of the pool's input, (height, width).

    Returns:
        (weight, delay): float64 `(out, in)`, and int64 broadcastable to `(out, in)` or None.

    Raises:
        UserError: the weight would be too large, or windows overlap and their delays differ.
    """
    pooled = layer.weight.reshape(-1, *step.output_shape)
    check_weights(layer.name, len(pooled) * int(np.prod(_padded(step.input_shape, padding))))
    weight = np.zeros((len(pooled), *_padded(step.input_shape, padding)), dtype=pooled.dtype)
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            places = _every(row, stride[0], pooled.shape[2]), _every(column, stride[1], pooled.shape[3])
            weight[:, :, places[0], places[1]] += pooled
    return _cut(weight, step.input_shape, padding).reshape(len(pooled), -1), _spread_delay(
        layer, step, kernel, stride, padding
    )


def pool_after_dense(
    layer: FoldedLayer, step: ChainNode, kernel: Pair, stride: Pair, padding: Pair
) -> tuple[np.ndarray, np.ndarray]:
    """Merges a pool into the dense layer before it: rows are added over windows, with their gain.

    Args:
        layer: the dense layer, whose rows are `(C, H, W)`.
        step: the pool after it.
        kernel: window of the pool, (height, width).
        stride: stride of the pool, (height, width).
        padding: zeros on each side of the pool's input, (height, width).

    Returns:
        (weight, bias): float64 `(out, in)` and `(out,)`.
    """
    columns = layer.weight.shape[1]
    rows = np.reshape(layer.gain, (-1, 1)) * np.hstack([layer.weight, layer.bias.reshape(-1, 1)])
    maps = np.moveaxis(rows.reshape(*step.input_shape, columns + 1), -1, 1)
    pooled = sum_pool(maps.reshape(-1, *step.input_shape[1:]), kernel, stride, padding)
    merged = np.moveaxis(pooled.reshape(step.input_shape[0], columns + 1, *pooled.shape[1:]), 1, -1)
    merged = merged.reshape(-1, columns + 1)
    return np.ascontiguousarray(merged[:, :-1]), merged[:, -1].copy()


def sum_pool(maps: np.ndarray, kernel: Pair, stride: Pair, padding: Pair) -> np.ndarray:
    """Sums over windows, with zero padding.

    Args:
        maps: `(C, H, W)`.
        kernel: window, (height, width).
        stride: (height, width).
        padding: zeros on each side, (height, width).

    Returns:
        `(C, H', W')`.
    """
    padded = np.zeros(_padded(maps.shape, padding), dtype=maps.dtype)
    padded[:, padding[0] : padding[0] + maps.shape[1], padding[1] : padding[1] + maps.shape[2]] = maps
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(1, 2))
    return windows[:, :: stride[0], :: stride[1]].sum(axis=(3, 4))


def _spread_delay(layer: FoldedLayer, step: ChainNode, kernel: Pair, stride: Pair, padding: Pair) -> np.ndarray | None:
    """Converts delays of pooled inputs to delays of the pool's inputs, which must be unique."""
    if layer.delay is None or layer.delay.shape[1] == 1:
        return layer.delay
    pooled = layer.delay.reshape(len(layer.delay), *step.output_shape)
    spread = np.full((len(pooled), *_padded(step.input_shape, padding)), -1, dtype=np.int64)
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            places = _every(row, stride[0], pooled.shape[2]), _every(column, stride[1], pooled.shape[3])
            there = spread[:, :, places[0], places[1]]
            if np.any((there >= 0) & (there != pooled)):
                raise UserError(
                    f"its windows overlap, and the inputs of {layer.name} are delayed unequally", where=step.name,
                    cause="an input would need several delays", hint="use one delay, or a pool with stride = kernel",
                )  # fmt: skip
            spread[:, :, places[0], places[1]] = pooled
    return np.maximum(_cut(spread, step.input_shape, padding), 0).reshape(len(pooled), -1)


def _outer_places(inner: int, taps: int, stride: int, padding: int, dilation: int) -> np.ndarray:
    """Positions of the inner output that the outer operation reads, also outside 0..inner-1: `(outputs, taps)`."""
    outputs = (inner + 2 * padding - dilation * (taps - 1) - 1) // stride + 1
    return np.arange(outputs)[:, None] * stride - padding + dilation * np.arange(taps)


def _used_taps(weight: np.ndarray, axis: int) -> np.ndarray:
    """Indices of the kernel's rows (axis 0) or columns (axis 1) with a nonzero weight.

    Padding "same" and expanded dilation add rows and columns of zeros to a kernel, which need no check.
    """
    return np.flatnonzero(np.any(weight != 0, axis=(0, 1, 3 - axis)))


def _check(
    reads: np.ndarray, inner: int, size: int, stride: int, padding: int, first: np.ndarray, axis: int, step: ChainNode,
    layer: str, kernel: Pair,
) -> None:  # fmt: skip
    """Raises UserError if the merged operation would read input in place of the outer padding.

    `first`: positions of an inner window, relative to its start.
    """
    outside = reads[(reads < 0) | (reads >= inner)]
    touched = outside[:, None] * stride - padding + first
    if not np.any((touched >= 0) & (touched < size)):
        return
    line = ("rows", "columns")[axis]
    raise NotOneConvolutionError(
        f"pool {kernel} and {layer} cannot become one convolution: the zeros around the inner one's {inner} {line} "
        f"would read the input's {line} {int(touched[(touched >= 0) & (touched < size)].max())} of {size}",
        where=step.name, cause="netx has no pool, so it must fold exactly",
        hint="make the size a multiple of the pool's stride, use stride = kernel, or padding 0 in the second of them",
    )  # fmt: skip


def _extent(extent: list[int], layer: FoldedLayer) -> list[int]:
    """Size of the merged kernel. Raises UserError, before the kernel is allocated, if netx cannot store it."""
    if max(extent) > GEOMETRY_LIMIT:
        raise NotOneConvolutionError(
            f"its kernel would become {extent[0]} x {extent[1]} with the pools beside it", where=layer.name,
            cause=f"netx keeps kernel sizes in 8 bits, {GEOMETRY_LIMIT} at most", hint="use smaller pools",
        )  # fmt: skip
    return extent


def _every(start: int, step: int, count: int) -> slice:
    return slice(start, start + step * (count - 1) + 1, step)


def _padded(shape: Shape, padding: Pair) -> tuple[int, int, int]:
    return shape[0], shape[1] + 2 * padding[0], shape[2] + 2 * padding[1]


def _cut(padded: np.ndarray, shape: Shape, padding: Pair) -> np.ndarray:
    return padded[:, :, padding[0] : padding[0] + shape[1], padding[1] : padding[1] + shape[2]]
