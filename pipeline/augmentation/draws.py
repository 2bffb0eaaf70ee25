"""Draws from a generator on the CPU."""

from __future__ import annotations

import torch
from torch import Tensor

LEVELS = 1 << 16


def uniform(count: int, generator: torch.Generator) -> Tensor:
    """`[count]` float32 in [0, 1)."""
    return torch.rand(count, generator=generator)


def either_way(reach: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """int64 of `shape`, uniform in -reach..reach."""
    return torch.randint(-reach, reach + 1, shape, generator=generator)


def levels(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """int16 of `shape`, uniform over all its 65,536 values: four from one draw, since draws are what costs."""
    count = shape.numel()
    words = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None, generator=generator)
    return words.view(torch.int16)[:count].view(shape)


def below(share: Tensor) -> Tensor:
    """int32 level of each of `[n]` shares: a draw of `levels` is below it with that probability, to 1 in 65,536.

    Compare with tensors of it, not with its numbers: torch would make 32,768, of a share of 1, an int16.
    """
    return (share * LEVELS).round().to(torch.int32) - LEVELS // 2
