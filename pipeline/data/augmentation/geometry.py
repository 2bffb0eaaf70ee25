"""Frames moved in the plane, the same way for all time steps and channels of a sample; pixels that come in are 0."""

from __future__ import annotations

import torch
from torch import Tensor

from spikeport.pipeline.data.augmentation.byte_kernels import move


def shift(frames: Tensor, offsets: Tensor) -> Tensor:
    """Shifts sample b of `[T, B, C, H, W]` down by `offsets[b, 0]` and right by `offsets[b, 1]` pixels.

    Args:
        frames: `[T, B, C, H, W]`.
        offsets: integers `[B, 2]`, pixels.
    """
    height, width = frames.shape[3:]
    if frames.device.type == "cpu" and frames.dtype == torch.uint8:
        return _shift_bytes(frames, offsets)
    moved = frames.new_zeros(frames.shape)
    for sample, (down, right) in enumerate(offsets.tolist()):  # whole blocks: half the time of a gather
        (y_to, y_from), (x_to, x_from) = _overlap(height, down), _overlap(width, right)
        moved[:, sample, :, y_to, x_to] = frames[:, sample, :, y_from, x_from]
    return moved


def _shift_bytes(frames: Tensor, offsets: Tensor) -> Tensor:
    held = frames if frames.transpose(0, 1).is_contiguous() else frames.contiguous()
    moved = torch.empty(frames.shape, dtype=torch.uint8)
    flat = held.as_strided((held.numel(),), (1,)).numpy()
    (step_stride, sample_stride), (height, width) = held.stride()[:2], frames.shape[3:]
    move(flat, step_stride, sample_stride, height, width, offsets.numpy(), moved.flatten(3).numpy())
    return moved


def _overlap(size: int, offset: int) -> tuple[slice, slice]:
    """The slice of an axis that stays inside after a shift, and the slice it comes from."""
    offset = max(-size, min(size, offset))
    return slice(max(offset, 0), size + min(offset, 0)), slice(max(-offset, 0), size - max(offset, 0))


def flip(frames: Tensor, which: Tensor) -> Tensor:
    """Mirrors the samples of `[T, B, C, H, W]` with `which[b]` from left to right.

    Args:
        frames: `[T, B, C, H, W]`.
        which: bool `[B]`.
    """
    flipped = frames.clone(memory_format=torch.contiguous_format)
    for sample in which.nonzero().flatten().tolist():
        flipped[:, sample] = frames[:, sample].flip(3)
    return flipped


def affine(frames: Tensor, degrees: Tensor, scales: Tensor) -> Tensor:
    """Rotates each sample counter-clockwise and scales it, about the center.

    Each pixel takes the value of the nearest source pixel, so that 0 and 1 stay 0 and 1.

    Args:
        frames: `[T, B, C, H, W]`.
        degrees: angles `[B]`.
        scales: factors `[B]`.
    """
    steps, batch, channels, height, width = frames.shape
    angles = torch.deg2rad(degrees.double())[:, None, None]
    zoom = scales.double()[:, None, None]
    y = torch.arange(height, dtype=torch.float64)[None, :, None] - (height - 1) / 2
    x = torch.arange(width, dtype=torch.float64)[None, None, :] - (width - 1) / 2
    rows = _nearest((angles.cos() * y + angles.sin() * x) / zoom + (height - 1) / 2)
    columns = _nearest((angles.cos() * x - angles.sin() * y) / zoom + (width - 1) / 2)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    index = (rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)).to(frames.device)
    index = index.view(1, batch, 1, -1).expand(steps, -1, channels, -1)
    return frames.flatten(3).gather(3, index).view_as(frames) * inside.to(frames.device)[None, :, None]


def _nearest(places: Tensor) -> Tensor:
    """The nearest integer; halves are rounded down, with a margin above the rounding error."""
    return (places - 1e-6).round().to(torch.int64)
