"""Pools and weights multiplied into one kernel, and the proof, case by case, that no zero of padding is mistaken.

Along one axis a window at place m of the inner operation starts at input m s - p. The outer one reads inner places
m = o S - P + D t; merged, one operation with stride s S and padding p + P s reads o s S - (p + P s) + (D t s + j).
Both agree wherever m is a place of the inner output. Where m lies in the outer padding the outer operation reads zero,
so the merged one must read zeros as well: that is checked for every o and t, and refused otherwise. The number of
outputs agrees always: floor((floor(x / s) + n) / S) = floor((x + n s) / (s S)) for whole n.
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


def pool_before_conv(layer: FoldedLayer, step: ChainNode, kernel: Pair, stride: Pair, padding: Pair) -> np.ndarray:
    """The kernel of `layer` read through the pool `step`: each tap becomes a block of the pool's size."""
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
    """(kernel, bias) of `layer` summed over the windows of the pool `step`; a bias map where these differ."""
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
    """(weight, delay) of a dense layer read through the pool `step`; each window is written out, so any will do."""
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


def sum_pool(maps: np.ndarray, kernel: Pair, stride: Pair, padding: Pair) -> np.ndarray:
    """Sums of `maps` `(C, H, W)` over windows, zeros around them."""
    wide = np.zeros(_padded(maps.shape, padding), dtype=maps.dtype)
    wide[:, padding[0] : padding[0] + maps.shape[1], padding[1] : padding[1] + maps.shape[2]] = maps
    windows = np.lib.stride_tricks.sliding_window_view(wide, kernel, axis=(1, 2))
    return windows[:, :: stride[0], :: stride[1]].sum(axis=(3, 4))


def _spread_delay(layer: FoldedLayer, step: ChainNode, kernel: Pair, stride: Pair, padding: Pair) -> np.ndarray | None:
    """Delays of pooled inputs as delays of the inputs under them, which must then be one for each."""
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
    """Places of the inner output, also outside 0..inner-1, that the outer operation reads: `(outputs, taps)`."""
    outputs = (inner + 2 * padding - dilation * (taps - 1) - 1) // stride + 1
    return np.arange(outputs)[:, None] * stride - padding + dilation * np.arange(taps)


def _used_taps(weight: np.ndarray, axis: int) -> np.ndarray:
    """Indices of the kernel's rows (axis 0) or columns (axis 1) that hold a weight other than 0.

    Rows of zeros read nothing: padding "same" and written-out dilation put them into a kernel.
    """
    return np.flatnonzero(np.any(weight != 0, axis=(0, 1, 3 - axis)))


def _check(
    reads: np.ndarray, inner: int, size: int, stride: int, padding: int, first: np.ndarray, axis: int, step: ChainNode,
    layer: str, kernel: Pair,
) -> None:  # fmt: skip
    """Refuses where outer padding would, merged, read input; `first`: an inner window's places from its start."""
    outside = reads[(reads < 0) | (reads >= inner)]
    touched = outside[:, None] * stride - padding + first
    if not np.any((touched >= 0) & (touched < size)):
        return
    line = ("rows", "columns")[axis]
    raise UserError(
        f"pool {kernel} and {layer} cannot become one convolution: the zeros around the inner one's {inner} {line} "
        f"would read the input's {line} {int(touched[(touched >= 0) & (touched < size)].max())} of {size}",
        where=step.name, cause="netx has no pool, so it must fold exactly",
        hint="make the size a multiple of the pool's stride, use stride = kernel, or padding 0 in the second of them",
    )  # fmt: skip


def _extent(extent: list[int], layer: FoldedLayer) -> list[int]:
    """The merged kernel's size, refused here where IntegerLayer would refuse it, before it is made."""
    if max(extent) > GEOMETRY_LIMIT:
        raise UserError(
            f"its kernel would become {extent[0]} x {extent[1]} with the pools beside it", where=layer.name,
            cause=f"netx keeps kernel sizes in 8 bits, {GEOMETRY_LIMIT} at most", hint="use smaller pools",
        )  # fmt: skip
    return extent


def _every(start: int, step: int, count: int) -> slice:
    return slice(start, start + step * (count - 1) + 1, step)


def _padded(shape: Shape, padding: Pair) -> tuple[int, int, int]:
    return shape[0], shape[1] + 2 * padding[0], shape[2] + 2 * padding[1]


def _cut(wide: np.ndarray, shape: Shape, padding: Pair) -> np.ndarray:
    return wide[:, :, padding[0] : padding[0] + shape[1], padding[1] : padding[1] + shape[2]]
