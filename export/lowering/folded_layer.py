"""The weight layer that results from folding, with real numbers instead of netx's integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from spikeport.export.network.geometry import conv_extent
from spikeport.values import Shape


@dataclass(frozen=True, kw_only=True)
class FoldedLayer:
    """A weight layer. Its neurons receive `(gain * (weight x + bias) + weight_rec s + bias_rec) / divisor`.

    Here x is the input and s are the layer's own spikes of the previous step.

    Attributes:
        name: the weight node's name.
        kind: "dense" or "conv".
        weight: float64 `(out, in)` or `(Cout, Cin/groups, kH, kW)`.
        bias: one value per output row (channel), or an array of `output_shape`.
        input_shape: `(C, H, W)` or `(N,)`.
        stride: stride of a convolution, (height, width).
        padding: zeros on each side, (height, width).
        dilation: dilation of a convolution, (height, width).
        groups: number of groups of channels.
        divisor: product of the window sizes of the average pools that were folded.
        gain: one number, or one per output row.
        weight_rec: recurrent weights `(out, out)`, or None.
        bias_rec: bias of the recurrent connection `(out,)`, or None.
        delay: delay of x in time steps, int64 broadcastable to `(out, in)`, or None.
        folded: names of the nodes that were folded into this layer.
    """

    name: str
    kind: Literal["dense", "conv"]
    weight: np.ndarray
    bias: np.ndarray
    input_shape: Shape
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    divisor: int = 1
    gain: float | np.ndarray = 1.0
    weight_rec: np.ndarray | None = None
    bias_rec: np.ndarray | None = None
    delay: np.ndarray | None = None
    folded: tuple[str, ...] = ()

    @property
    def output_shape(self) -> Shape:
        """`(Cout, H, W)` or `(out,)`."""
        if self.kind == "dense":
            return (self.weight.shape[0],)
        extent = conv_extent(
            self.input_shape[1:], self.weight.shape[2:], self.stride, self.padding, self.dilation
        )  # fmt: skip
        return (self.weight.shape[0], *extent)
