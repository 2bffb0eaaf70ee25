"""Resizes static images to the networks' input."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def resize_to(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Static images as network input.

    An image that fits is padded with black, as N-MNIST shows 28-pixel digits on 34 pixels. Any other is resized:
    bilinear when enlarged, with a triangle filter over all pixels (antialiasing) when reduced.

    Args:
        images: uint8 `[M, C, h, w]`, C is 1 or 3.
        height: rows of the result.
        width: columns of the result.

    Returns:
        float32 `[M, 3, height, width]` in 0..1.
    """
    count, channels, h, w = images.shape
    if channels not in (1, 3):
        raise ValueError(f"images must have 1 or 3 channels, these have {channels}")
    if h <= height and w <= width:
        out = np.zeros((count, 3, height, width), np.float32)
        top, left = (height - h) // 2, (width - w) // 2
        np.multiply(images, np.float32(1 / 255), out=out[:, :, top : top + h, left : left + w])
        return out
    rows, columns = _weights(h, height), _weights(w, width)
    small = rows @ (images * np.float32(1 / 255)) @ columns.T
    return np.clip(np.broadcast_to(small, (count, 3, height, width)), 0, 1)


def value_channel(rgb: Tensor) -> Tensor:
    """The value channel of HSV: the largest of the three colors.

    Args:
        rgb: `[..., 3, H, W]`.

    Returns:
        `[..., H, W]`.
    """
    return rgb.amax(-3)


@lru_cache
def _weights(old: int, new: int) -> np.ndarray:
    """float32 `[new, old]`: weight of each old pixel in a new one; rows sum to 1, pixel centers are aligned."""
    scale = old / new
    reach = max(scale, 1.0)
    centers = (np.arange(new) + 0.5) * scale - 0.5
    weights = np.maximum(0, 1 - np.abs(np.arange(old) - centers[:, None]) / reach)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
