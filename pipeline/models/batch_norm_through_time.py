"""Batch norm with statistics and gains of its own in each time step."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class BatchNormThroughTime(nn.Module):
    """BNTT (Kim and Panda, Frontiers in Neuroscience 2021, arXiv 2010.01729): y_t = gain_t (x_t - mean_t) / std_t.

    A norm for each step, with a gain and without a shift, as published. A step with one value for each channel has no
    variance: in training it is normalized by the running statistics, which it leaves as they are.

    Args:
        channels: size of axis 1.
        steps: T.
        batch_norm: class of the norms, `nn.BatchNorm1d` or `nn.BatchNorm2d`.
    """

    def __init__(self, channels: int, steps: int, batch_norm: type[nn.BatchNorm1d] | type[nn.BatchNorm2d]) -> None:
        super().__init__()
        self.norms = nn.ModuleList(batch_norm(channels) for _ in range(steps))
        for norm in self.norms:
            norm.register_parameter("bias", None)

    @property
    def steps(self) -> int:
        """T."""
        return len(self.norms)

    def forward(self, x: Tensor) -> Tensor:
        """Normalizes values.

        Args:
            x: `[T * B, C, ...]`, all samples of a step in a row.
        """
        return torch.cat([_normalized(norm, step) for norm, step in zip(self.norms, x.chunk(self.steps), strict=True)])


def _normalized(norm: nn.Module, step: Tensor) -> Tensor:
    assert isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d))
    alone = "forward" not in vars(norm)  # else its statistics are those of all processes
    if norm.training and alone and step.numel() == norm.num_features:
        return functional.batch_norm(step, norm.running_mean, norm.running_var, norm.weight, eps=norm.eps)
    return norm(step)
