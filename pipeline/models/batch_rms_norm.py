"""A batch norm without shift, for neurons that own the bias."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

MOMENTUM, EPSILON = 0.1, 1e-5  # those of batch norm


class BatchRMSNorm(nn.Module):
    """y = weight x / sqrt(mean(x^2) + 1e-5) for each channel: batch norm without a shift.

    In training the mean is that of the batch, in eval mode the moving average of batches' means.

    Args:
        channels: size of axis 1.
    """

    mean_square: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.register_buffer("mean_square", torch.ones(channels))

    def gain(self, mean_square: Tensor) -> Tensor:
        """Factor y / x of each channel `[C]` for its mean square `[C]`.

        Args:
            mean_square: `[C]`.
        """
        return self.weight.to(mean_square.dtype) * torch.rsqrt(mean_square + EPSILON)

    def forward(self, x: Tensor, all_reduce: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Normalizes values, with statistics of the batch in training mode.

        Args:
            x: `[B, C, ...]`.
            all_reduce: sums a tensor over all processes; None: the statistics are of this process.
        """
        shape = (1, -1, *[1] * (x.ndim - 2))
        mean_square = self.mean_square
        if self.training:
            mean_square = x.float().square().mean([0, *range(2, x.ndim)])
            if all_reduce is not None:
                count = torch.full_like(mean_square[:1], x.numel() / x.shape[1])
                total = all_reduce(torch.cat([mean_square * count, count]))
                mean_square = total[:-1] / total[-1].detach()
            with torch.no_grad():
                self.mean_square.lerp_(mean_square, MOMENTUM)
        return (x * self.gain(mean_square).view(shape)).to(x.dtype)
