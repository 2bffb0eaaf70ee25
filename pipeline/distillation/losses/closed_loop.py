"""Weights of steps that a controller sets by what is measured."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ClosedLoop(nn.Module):
    """Weights that rise while a measured similarity is below a set point, and fall to 0 while it is above.

    An integral controller for each step t, updated with every measurement c_t in training mode:

        s_t = smoothing s_t + (1 - smoothing) c_t,  s_t = target at the start
        a_t = min(max(a_t + gain (target - s_t), 0), maximum),  a_t = 0 at the start

    Its state is in buffers, so that a training that is resumed goes on as it was.

    Args:
        steps: T.
        target: set point of the similarity.
        gain: change of a weight for a deviation of 1, in one training step.
        smoothing: share of the past in the smoothed similarity, below 1.
        maximum: upper bound of a weight.

    Attributes:
        smoothed: s_t, float32 `[T]`.
        weights: a_t, float32 `[T]`.
    """

    smoothed: Tensor
    weights: Tensor

    def __init__(self, steps: int, *, target: float, gain: float, smoothing: float, maximum: float) -> None:
        super().__init__()
        self.target, self.gain, self.smoothing, self.maximum = target, gain, smoothing, maximum
        self.register_buffer("smoothed", torch.full((steps,), target))
        self.register_buffer("weights", torch.zeros(steps))

    @torch.no_grad()
    def forward(self, similarity: Tensor) -> Tensor:
        """Takes a measurement and returns the weights. Outside of training it only returns them.

        Processes that train together regulate by the mean of their measurements, so that all have the same weights.

        Args:
            similarity: c_t `[T]`. It gets no gradient.

        Returns:
            a_t `[T]`.
        """
        if self.training:
            measured = similarity.to(self.smoothed, copy=True)
            if torch.distributed.is_available() and torch.distributed.is_initialized():
                torch.distributed.all_reduce(measured)
                measured = measured / torch.distributed.get_world_size()
            self.smoothed = self.smoothing * self.smoothed + (1 - self.smoothing) * measured
            change = self.gain * (self.target - self.smoothed)
            self.weights = (self.weights + change).clamp(0.0, self.maximum)
        return self.weights
