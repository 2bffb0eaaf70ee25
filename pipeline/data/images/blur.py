"""Gaussian blur of images, each with a width of its own."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def blurred(values: Tensor, sigma: Tensor, reach: int) -> Tensor:
    """Blurs images.

    Args:
        values: `[B, H, W]`.
        sigma: `[B]`, standard deviation in pixels, at least 0.05.
        reach: pixels to either side that the kernel covers.

    Returns:
        `[B, H, W]`; outside the image there is zero.
    """
    batch = len(values)
    places = torch.arange(-reach, reach + 1, device=values.device)
    kernel = torch.exp(-0.5 * (places / sigma[:, None].clamp(min=0.05)) ** 2)
    kernel = kernel / kernel.sum(1, keepdim=True)
    once = functional.conv2d(values[None], kernel.view(batch, 1, 1, -1), padding=(0, reach), groups=batch)
    return functional.conv2d(once, kernel.view(batch, 1, -1, 1), padding=(reach, 0), groups=batch)[0]
