"""Tables of a convolution's geometry for the compiled loops: which outputs each site of the input reaches."""

from __future__ import annotations

import numpy as np

from spikeport.export.network.integer_network import IntegerLayer

RUN_LIMIT = 30  # outputs in one run: each has a bit in an int32


def padded_taps(layer: IntegerLayer, axis: int) -> int:
    """Number of taps of a convolution along an axis, padded so that every phase of the stride has equally many.

    Args:
        layer: a convolution.
        axis: 0 for the height, 1 for the width.
    """
    taps, stride = layer.weight.shape[2 + axis], layer.stride[axis]
    return -(-taps // stride) * stride if layer.dilation[axis] == 1 and taps > stride else taps


def tap_order(layer: IntegerLayer, axis: int) -> np.ndarray:
    """Order of the taps along an axis: by the phase of the stride in which they reach an output, then descending.

    Args:
        layer: a convolution.
        axis: 0 for the height, 1 for the width.

    Returns:
        Indices of the taps.
    """
    stride, dilation = layer.stride[axis], layer.dilation[axis]
    return np.array(sorted(range(padded_taps(layer, axis)), key=lambda tap: (tap * dilation % stride, -tap)))


def reached_outputs(layer: IntegerLayer, down: np.ndarray, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As `_reached_along` for both axes: for each site of the input, row by row, the outputs that it reaches.

    Args:
        layer: the convolution.
        down: `tap_order` along the first axis.
        along: `tap_order` along the second axis.

    Returns:
        Starts `[H * W + 1]`, and rows of first output, first slot, length and bits of the outputs that are real.
    """
    (row_starts, rows), (column_starts, columns) = (
        _reached_along(layer, 0, down, runs=False),
        _reached_along(layer, 1, along, runs=layer.groups == 1),
    )
    height, width = layer.input_shape[1:]
    y = np.repeat(np.arange(height), np.diff(row_starts))[:, None]
    x = np.repeat(np.arange(width), np.diff(column_starts))[None]
    place = (y * width + x).reshape(-1)
    reached = np.stack(
        [
            rows[:, None, 0] * layer.output_shape[2] + columns[None, :, 0],
            rows[:, None, 1] * len(along) + columns[None, :, 1],
            np.ones_like(y) * columns[None, :, 2],
            rows[:, None, 3] * columns[None, :, 3],
        ],
        axis=-1,
    ).reshape(-1, 4)
    starts = np.concatenate([[0], np.cumsum(np.bincount(place, minlength=height * width))])
    return starts, reached[np.argsort(place, kind="stable")]


def _reached_along(layer: IntegerLayer, axis: int, order: np.ndarray, *, runs: bool) -> tuple[np.ndarray, np.ndarray]:
    """For each input index along an axis, the outputs that it reaches.

    Returns starts `[L + 1]`, and rows of first output, first slot, length and, bit by bit, which outputs are real. A
    slot is a position in `order`.

    With `runs`, neighboring outputs with neighboring slots make one row.
    """
    taps, starts, reached = layer.weight.shape[2 + axis], [0], []
    for place in range(layer.input_shape[1 + axis]):
        last: list[int] | None = None
        for slot, tap in enumerate(order.tolist()):
            output, remainder = divmod(place + layer.padding[axis] - layer.dilation[axis] * tap, layer.stride[axis])
            if remainder or not 0 <= output < layer.output_shape[1 + axis]:
                continue
            if runs and last and last[2] < RUN_LIMIT and (output, slot) == (last[0] + last[2], last[1] + last[2]):
                last[3] |= (tap < taps) << last[2]
                last[2] += 1
            else:
                last = [output, slot, 1, int(tap < taps)]
                reached.append(last)
        starts.append(len(reached))
    return np.array(starts), np.array(reached, dtype=np.int64).reshape(-1, 4)
