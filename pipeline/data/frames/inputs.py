"""Frames in the memory layout of a student's first layer: float, channels last.

oneDNN's convolution of frames with two channels is ten times as fast in this layout.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from spikeport.pipeline.data.frames.input_kernels import interleave


def as_input(frames: Tensor) -> Tensor:
    """Frames with channels last in memory; bytes become float32.

    Args:
        frames: `[T, B, C, H, W]`, or `[T, B, N]` of a one-dimensional input.

    Returns:
        The same shape and values; `frames` itself if its layout is right.
    """
    if frames.ndim == 3:
        return (frames if frames.is_floating_point() else frames.float()).contiguous()
    if frames.is_floating_point() and _lies_so(frames):
        return frames
    steps, batch, channels, height, width = frames.shape
    dtype = frames.dtype if frames.is_floating_point() else torch.float32
    output = torch.empty((steps, batch, height, width, channels), dtype=dtype, device=frames.device)
    if frames.device.type == "cpu" and frames.dtype == torch.uint8:
        planes = frames.contiguous().view(steps * batch, channels, height * width)
        interleave(planes.numpy(), output.view(steps * batch, height * width * channels).numpy())
    else:
        for channel in range(channels):  # takes a third of the time of torch's own copy
            output[..., channel] = frames[:, :, channel]
    return output.permute(0, 1, 4, 2, 3)


def concat_batch(parts: Sequence[Tensor]) -> Tensor:
    """Concatenates `[T, B, C, H, W]` or `[T, B, N]` tensors along the batch axis, channels last in memory.

    Args:
        parts: tensors with equal axes except B.
    """
    if len(parts) == 1:
        return parts[0]
    if parts[0].ndim == 3:
        return torch.cat([as_input(part) for part in parts], dim=1)
    moved = [as_input(part).permute(0, 1, 3, 4, 2) for part in parts]
    return torch.cat(moved, dim=1).permute(0, 1, 4, 2, 3)


def _lies_so(frames: Tensor) -> bool:
    return frames.permute(0, 1, 3, 4, 2).is_contiguous()
