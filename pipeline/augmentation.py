"""What happens to the frames of a training batch: small shifts, and events that go missing."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.recipe import Augmentation


def augment(frames: Tensor, recipe: Augmentation, generator: torch.Generator) -> Tensor:
    """`frames` `[T, B, C, H, W]`, shifted and thinned as the recipe says; every draw comes from `generator`
    (on the CPU)."""
    batch = frames.shape[1]
    if recipe.shift:
        offsets = torch.randint(-recipe.shift, recipe.shift + 1, (batch, 2), generator=generator)
        frames = shift(frames, offsets.to(frames.device))
    if recipe.event_drop:
        shares = torch.rand(batch, generator=generator) * recipe.event_drop
        draws = torch.rand(frames.shape, generator=generator)
        frames = drop_events(frames, shares.to(frames.device), draws.to(frames.device))
    return frames


def shift(frames: Tensor, offsets: Tensor) -> Tensor:
    """Moves sample b of `[T, B, C, H, W]` down by `offsets[b, 0]` and right by `offsets[b, 1]` pixels; what
    comes in is zero. The same for all its steps and channels."""
    steps, batch, channels, height, width = frames.shape
    rows, inside_rows = _sources(height, offsets[:, 0])
    columns, inside_columns = _sources(width, offsets[:, 1])
    cells = rows[:, :, None] * width + columns[:, None, :]  # [B, H, W]
    index = cells.view(1, batch, 1, -1).expand(steps, -1, channels, -1)
    moved = frames.flatten(3).gather(3, index).view_as(frames)
    return moved * (inside_rows[:, :, None] & inside_columns[:, None, :])[None, :, None]


def _sources(size: int, offset: Tensor) -> tuple[Tensor, Tensor]:
    """For each sample, the index every target comes from, `[B, size]`, and whether it lies inside."""
    source = torch.arange(size, device=offset.device) - offset[:, None]
    return source.clamp(0, size - 1), (source >= 0) & (source < size)


def drop_events(frames: Tensor, shares: Tensor, draws: Tensor) -> Tensor:
    """Takes out entries of sample b whose uniform `draws` (shape of `frames`) are below `shares[b]`."""
    return frames * (draws >= shares[None, :, None, None, None])
