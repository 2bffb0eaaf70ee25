"""Random numbers from a generator on the CPU."""

from __future__ import annotations

import torch
from torch import Tensor

LEVELS = 1 << 8


def uniform(count: int, generator: torch.Generator) -> Tensor:
    """float32 `[count]`, uniform in [0, 1).

    Args:
        count: number of values.
        generator: random numbers, on the CPU.
    """
    return torch.rand(count, generator=generator)


def symmetric_integers(reach: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """int64 of `shape`, uniform in -reach..reach.

    Args:
        reach: largest absolute value.
        shape: shape of the result.
        generator: random numbers, on the CPU.
    """
    return torch.randint(-reach, reach + 1, shape, generator=generator)


def levels(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """uint8 of `shape`, uniform in 0..255; eight values from one 64-bit random number, for speed.

    Args:
        shape: shape of the result.
        generator: random numbers, on the CPU.
    """
    count = shape.numel()
    words = torch.empty(-(-count // 8), dtype=torch.int64).random_(-(2**63), None, generator=generator)
    return words.view(torch.uint8)[:count].view(shape)


def below(shares: Tensor, generator: torch.Generator) -> Tensor:
    """For each probability the level 0..256 that values of `levels` are below with this probability.

    A probability between two levels gets one of the two at random, so that it is exact in the mean.

    Args:
        shares: probabilities `[n]`.
        generator: random numbers, on the CPU.
    """
    found = (shares * LEVELS + uniform(len(shares), generator)).floor().clamp(0, LEVELS)
    return found.to(torch.uint8 if (found < LEVELS).all() else torch.int16)


def reaches(draws: Tensor, limits: Tensor) -> Tensor:
    """draws >= limits, in an eighth of the time of torch's comparison with a broadcast column.

    Args:
        draws: uint8 `[T, B, ...]` of `levels`.
        limits: a level for each sample.

    Returns:
        bool of the shape of `draws`.
    """
    return torch.maximum(draws, limits) == draws
