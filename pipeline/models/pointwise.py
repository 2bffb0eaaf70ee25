"""A 1 x 1 convolution with stride, for the shortcut of a residual block that halves its maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from spikeport.values import Shape

if TYPE_CHECKING:
    import nir


class Pointwise(nn.Conv2d):
    """`nn.Conv2d(channels, wider, 1, stride=stride, bias=False)` with the same weights, state and result.

    Computed as a convolution without stride on every `stride`-th pixel. The backward pass of oneDNN's kernel with
    stride (torch 2.13) ends the process with SIGSEGV for maps with channels last and few channels. An exported graph
    keeps the one convolution, so that a baseline does not pay for the selection.

    Args:
        channels: of the input.
        wider: channels of the output.
        stride: in both axes.
    """

    def __init__(self, channels: int, wider: int, stride: int) -> None:
        super().__init__(channels, wider, 1, stride=stride, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps `[B, C, H, W]` to `[B, wider, ceil(H / stride), ceil(W / stride)]`.

        Args:
            maps: feature maps.
        """
        if torch.onnx.is_in_onnx_export():
            return super().forward(maps)
        rows, columns = self.stride
        return functional.conv2d(maps[:, :, ::rows, ::columns], self.weight)

    def to_nir(self, name: str, shape: Shape, dt_s: float) -> nir.Conv2d:
        """The convolution as a NIR node.

        Args:
            name: name of the module.
            shape: `(C, H, W)` of its input.
            dt_s: not used.
        """
        import nir

        return nir.Conv2d(
            input_shape=(shape[1], shape[2]),
            weight=self.weight.detach().cpu().numpy().copy(),
            stride=(self.stride[0], self.stride[1]),
            padding=(0, 0),
            dilation=(1, 1),
            groups=1,
            bias=np.zeros(self.out_channels),
        )
