"""Weights of paths in another form: as a matrix, or as a kernel over channels that hold the phases of a grid.

A population of shape (C, H, W) may be carried in C f f' channels on a grid that is coarser by (f, f'): channel
(c, a, b) holds the neurons (c, a + f y, b + f' x). A convolution of stride S over the population is a convolution of
stride S / f over these channels, if f divides S: output o reads the position S o + t - P, which is phase
(t - P) mod f at the coarse position (S / f) o + floor((t - P) / f).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import nir
import numpy as np

from spikeport.export.graph.shapes import check_weights
from spikeport.export.lowering.folded_layer import FoldedLayer
from spikeport.values import Shape

Pair = tuple[int, int]


@dataclass(frozen=True)
class Kernel:
    """A convolution without groups and dilation whose padding may differ from axis to axis.

    Attributes:
        weight: float64 `(Cout, Cin, kH, kW)`.
        stride: (height, width).
        padding: zeros before the first row and column, (height, width); not negative.
        extent: rows and columns of the output.
    """

    weight: np.ndarray
    stride: Pair
    padding: Pair
    extent: Pair


def plain_kernel(layer: FoldedLayer) -> np.ndarray:
    """The kernel `(Cout, Cin, kH, kW)` of a convolution with its groups and its dilation written out as zeros.

    Args:
        layer: the convolution.

    Raises:
        UserError: the kernel would be too large.
    """
    rows, per_group, *taps = layer.weight.shape
    columns = per_group * layer.groups
    spread = [dilation * (tap - 1) + 1 for dilation, tap in zip(layer.dilation, taps, strict=True)]
    check_weights(layer.name, rows * columns * spread[0] * spread[1])
    weight = np.zeros((rows, columns, *spread))
    for group in range(layer.groups):
        out = slice(group * rows // layer.groups, (group + 1) * rows // layer.groups)
        into = slice(group * per_group, (group + 1) * per_group)
        weight[out, into, :: layer.dilation[0], :: layer.dilation[1]] = layer.weight[out]
    return weight


def on_phases(layer: FoldedLayer, factor: Pair) -> Kernel | None:
    """A convolution over the phases of its input; None where the factor does not divide the stride.

    Args:
        layer: the convolution over the population itself.
        factor: by how much the grid of the carrier is coarser, (height, width).
    """
    if layer.kind != "conv" or any(s % f for s, f in zip(layer.stride, factor, strict=True)):
        return None
    weight = plain_kernel(layer)
    rows, columns, *taps = weight.shape
    places = [
        [divmod(tap - padding, f) for tap in range(size)]
        for size, padding, f in zip(taps, layer.padding, factor, strict=True)
    ]
    lead = [max(0, -min(at for at, _ in axis)) for axis in places]
    size = [max(at for at, _ in axis) + before + 1 for axis, before in zip(places, lead, strict=True)]
    spread = np.zeros((rows, columns, *factor, *size))
    for y, (row, a) in enumerate(places[0]):
        for x, (column, b) in enumerate(places[1]):
            spread[:, :, a, b, row + lead[0], column + lead[1]] += weight[:, :, y, x]
    stride = layer.stride[0] // factor[0], layer.stride[1] // factor[1]
    extent = layer.output_shape[1], layer.output_shape[2]
    return Kernel(spread.reshape(rows, -1, *size), stride, (lead[0], lead[1]), extent)


def relay_kernel(channels: int, factor: Pair, stride: Pair, extent: Pair) -> Kernel:
    """The kernel that passes every phase of a carrier on to a grid that is coarser by `stride`.

    Args:
        channels: channels of the population.
        factor: factor of the carrier now; it becomes factor * stride.
        stride: stride of the layer.
        extent: rows and columns of the layer's output.
    """
    new = factor[0] * stride[0], factor[1] * stride[1]
    weight = np.zeros((channels, *new, channels, *factor, *stride))
    for channel in range(channels):
        for a, b in np.ndindex(*stride):
            for y, x in np.ndindex(*factor):
                weight[channel, a * factor[0] + y, b * factor[1] + x, channel, y, x, a, b] = 1.0
    rows, columns = channels * new[0] * new[1], channels * factor[0] * factor[1]
    return Kernel(weight.reshape(rows, columns, *stride), stride, (0, 0), extent)


def common_geometry(kernels: list[Kernel], size: Pair, limit: int) -> tuple[Pair, Pair] | None:
    """(padding, kernel size) in which all kernels can be written; None if there is none.

    All kernels must have one stride and one output. With padding P and size K the output has
    floor((H + 2 P - K) / S) + 1 rows, which must be the rows of the kernels' own output.

    Args:
        kernels: the kernels.
        size: rows and columns of the input.
        limit: largest padding and size.
    """
    if len({(kernel.stride, kernel.extent) for kernel in kernels}) != 1:
        return None
    found = []
    for axis in (0, 1):
        stride, out = kernels[0].stride[axis], kernels[0].extent[axis]
        for padding in range(max(kernel.padding[axis] for kernel in kernels), limit + 1):
            needed = max(padding - k.padding[axis] + k.weight.shape[2 + axis] for k in kernels)
            lowest, highest = size[axis] + 2 * padding - stride * out + 1, size[axis] + 2 * padding - stride * (out - 1)
            taps = max(needed, lowest)
            if taps <= min(highest, limit):
                found.append((padding, taps))
                break
        else:
            return None
    (top, height), (left, width) = found
    return (top, left), (height, width)


def placed(kernel: Kernel, padding: Pair, size: Pair) -> np.ndarray:
    """The kernel's weights in a larger window, zeros around.

    Args:
        kernel: the kernel.
        padding: padding of the window, (height, width), at least that of the kernel.
        size: rows and columns of the window.
    """
    weight = np.zeros((*kernel.weight.shape[:2], *size))
    top, left = padding[0] - kernel.padding[0], padding[1] - kernel.padding[1]
    weight[:, :, top : top + kernel.weight.shape[2], left : left + kernel.weight.shape[3]] = kernel.weight
    return weight


def as_dense(layer: FoldedLayer) -> FoldedLayer:
    """A layer as a matrix from the flat input to the flat output.

    Args:
        layer: the layer.

    Raises:
        UserError: the matrix would be too large.
    """
    if layer.kind == "dense":
        return layer
    (channels, height, width), (outputs, rows, columns) = layer.input_shape, layer.output_shape
    check_weights(layer.name, outputs * rows * columns * channels * height * width)
    kernel = plain_kernel(layer)
    matrix = np.zeros((outputs, rows, columns, channels, height, width))
    for y in range(rows):
        for x in range(columns):
            top, left = y * layer.stride[0] - layer.padding[0], x * layer.stride[1] - layer.padding[1]
            read = [
                (max(0, start), min(limit, start + taps))
                for start, limit, taps in zip((top, left), (height, width), kernel.shape[2:], strict=True)
            ]
            (y0, y1), (x0, x1) = read
            if y0 < y1 and x0 < x1:
                matrix[:, y, x, :, y0:y1, x0:x1] = kernel[:, :, y0 - top : y1 - top, x0 - left : x1 - left]
    bias, gain = dense_rows(layer)
    return replace(
        layer,
        kind="dense",
        bias=bias,
        gain=gain,
        weight=matrix.reshape(outputs * rows * columns, -1),
        stride=(1, 1),
        padding=(0, 0),
        dilation=(1, 1),
        groups=1,
    )


def dense_rows(layer: FoldedLayer) -> tuple[np.ndarray, float | np.ndarray]:
    """(bias, gain) of a layer as a matrix: one value for each flat output, or one gain for all.

    Args:
        layer: the layer.
    """
    if layer.kind == "dense":
        return layer.bias, layer.gain
    _, rows, columns = layer.output_shape
    bias = np.broadcast_to(layer.bias if layer.bias.ndim == 3 else layer.bias[:, None, None], layer.output_shape)
    gain = np.repeat(np.ravel(layer.gain), rows * columns) if np.ndim(layer.gain) else layer.gain
    return bias.ravel(), gain


def phase_places(shape: Shape, factor: Pair, first: int, grid: Pair) -> np.ndarray:
    """Where the neurons of a population lie in the flat output of the layer that carries it.

    Args:
        shape: `(C, H, W)` of the population.
        factor: factor of the carrier.
        first: its first channel.
        grid: rows and columns of the carrying layer.

    Returns:
        int64 of `shape`.
    """
    channel, row, column = np.indices(shape)
    inner = (channel * factor[0] + row % factor[0]) * factor[1] + column % factor[1]
    return ((first + inner) * grid[0] + row // factor[0]) * grid[1] + column // factor[1]


def flatten(shape: Shape) -> nir.Flatten:
    """A Flatten of all axes.

    Args:
        shape: shape of its input.
    """
    return nir.Flatten({"input": np.array(shape)}, start_dim=0, end_dim=-1)
