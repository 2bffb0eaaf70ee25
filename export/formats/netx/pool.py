"""SLAYER's pool block as a convolution of each channel, which netx runs. netx itself has no pool."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from spikeport.errors import UserError
from spikeport.export.formats.netx.fields import integers_at, pair_at
from spikeport.export.formats.netx.rules import GEOMETRY_LIMIT
from spikeport.export.formats.safe_hdf5 import Tree
from spikeport.values import Shape


class Synapse(TypedDict):
    """Fields of a convolution, see IntegerLayer."""

    weight: np.ndarray
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


def pool_synapse(group: Tree, where: str, shape: Shape | None) -> Synapse:
    """The pool of a file as a convolution with one kernel for every channel.

    SLAYER 0.6.0 first appends H mod k rows and W mod k columns of zeros, then slides one kernel over the rows of all
    channels in a row. So windows stay within their channel only where the rows are a multiple of the stride, the stride
    is the kernel's height, and nothing is padded above. With r appended zeros the convolution has r more zeros on both
    sides and r leading zeros in the kernel: output o reads the same inputs, and there are as many outputs.

    Args:
        group: the group of the layer.
        where: layer or file, for the error.
        shape: `(C, H, W)` of the input; None if the file does not state it.

    Raises:
        UserError: the pool is no convolution of each channel.
    """
    if shape is None or len(shape) != 3:
        raise UserError("is a pool of what is no (C, H, W) map", where=where, hint="give --input-shape C,H,W")
    weight = integers_at(group, "weight", where)
    sizes = weight.shape[2:4] if weight.ndim >= 4 else weight.shape
    if len(sizes) != 2 or weight.size != sizes[0] * sizes[1] or not weight.size:
        raise UserError(f"weight has shape {weight.shape}, not (1, 1, kH, kW)", where=where)
    height, width = int(sizes[0]), int(sizes[1])
    stride, padding, dilation = (pair_at(group, key, where) for key in ("stride", "padding", "dilation"))
    below, right = shape[1] % height, shape[2] % width
    mixed = padding[0] > 0 or stride[0] != height or dilation[0] * (height - 1) >= height
    if mixed or (shape[1] + below) % height:
        raise UserError(
            f"pools {shape[1]} rows by windows of {height}, stride {stride[0]}, dilation {dilation[0]}, "
            f"padding {padding[0]}",
            where=where, cause="SLAYER slides one kernel over the rows of all channels, so that windows mix channels",
            hint="train with a stride of the kernel's height that divides the rows, without padding, or with a "
            "convolution of that stride",
        )  # fmt: skip
    spread = np.zeros((dilation[0] * (height - 1) + 1 + below, dilation[1] * (width - 1) + 1 + right))
    spread[below :: dilation[0], right :: dilation[1]] = weight.reshape(height, width)
    channels = shape[0]
    depthwise = channels <= GEOMETRY_LIMIT
    weights = np.broadcast_to(spread, (channels, 1, *spread.shape)) if depthwise else (
        np.eye(channels)[:, :, None, None] * spread)  # fmt: skip
    return Synapse(
        weight=weights, stride=stride, padding=(below, padding[1] + right), dilation=(1, 1),
        groups=channels if depthwise else 1,
    )  # fmt: skip
