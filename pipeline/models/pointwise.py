"""A 1 x 1 convolution by steps: the shortcut of a residual block that halves its maps."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Pointwise(nn.Conv2d):
    """`nn.Conv2d(channels, wider, 1, stride=stride, bias=False)`: the same weights, state and result.

    Computed as a convolution without steps on every `stride`-th pixel, which is all that a 1 x 1 kernel reads. The
    backward pass of oneDNN's kernel with steps (torch 2.13) ends the process with SIGSEGV for maps whose channels come
    last and that have few channels. An exported graph keeps the one convolution, so that no baseline pays for the
    picking.
    """

    def __init__(self, channels: int, wider: int, stride: int) -> None:
        super().__init__(channels, wider, 1, stride=stride, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """`maps` `[B, C, H, W]`."""
        if torch.onnx.is_in_onnx_export():
            return super().forward(maps)
        rows, columns = self.stride
        return functional.conv2d(maps[:, :, ::rows, ::columns], self.weight)
