"""Dropped, added and delayed events. Frames are 0 and 1, `[T, B, C, H, W]` or `[T, B, N]`, or counts where a function
says so.
"""

from __future__ import annotations

import torch
from torch import Tensor

from spikeport.pipeline.data.augmentation.byte_kernels import thin
from spikeport.pipeline.data.augmentation.draws import below, levels, reaches


def drop_events(frames: Tensor, shares: Tensor, generator: torch.Generator) -> Tensor:
    """Drops each event of sample b with probability `shares[b]`, to 1/256 and exactly in the mean.

    Args:
        frames: `[T, B, C, H, W]` or `[T, B, N]`.
        shares: probabilities `[B]`.
        generator: random numbers, on the CPU.
    """
    limits, draws = below(shares, generator), levels(frames.shape, generator)
    if frames.device.type == "cpu" and frames.dtype == torch.uint8:
        left = torch.empty(frames.shape, dtype=torch.uint8)
        thin(frames.contiguous().flatten(2).numpy(), draws.flatten(2).numpy(), limits.numpy(), left.flatten(2).numpy())
        return left
    mask = reaches(draws, _by_sample(limits, frames)).to(frames.device)
    return frames.contiguous() * mask.to(frames.dtype)


def drop_counted(frames: Tensor, shares: Tensor, generator: torch.Generator) -> Tensor:
    """`drop_events` for frames of counts: each of the events of a pixel is dropped by itself.

    Args:
        frames: counts `[T, B, C, H, W]`.
        shares: probabilities `[B]`.
        generator: random numbers, on the CPU.
    """
    left = torch.zeros_like(frames, memory_format=torch.contiguous_format)
    for number in range(int(frames.max())):
        left += drop_events((frames > number).to(frames.dtype), shares, generator)
    return left


def add_noise(frames: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Adds events at uniform places: in the mean `share` of all pixels and time steps.

    Args:
        frames: `[T, B, C, H, W]` or `[T, B, N]`.
        share: probability of an event, 0 to 1.
        generator: random numbers, on the CPU.
    """
    number = int(torch.poisson(torch.tensor(share * frames.numel(), dtype=torch.float64), generator=generator))
    places = torch.randint(0, frames.numel(), (number,), generator=generator)
    noisy = frames.clone(memory_format=torch.contiguous_format)
    noisy.view(-1).index_fill_(0, places.to(frames.device), 1)
    return noisy


def shift_time(frames: Tensor, delays: Tensor) -> Tensor:
    """Delays sample b by `delays[b]` time steps (earlier if negative); steps that come in are empty.

    Args:
        frames: `[T, B, C, H, W]` or `[T, B, N]`.
        delays: integers `[B]`, time steps.
    """
    moved = frames.new_zeros(frames.shape)
    steps = len(frames)
    for sample, delay in enumerate(delays.tolist()):
        delay = max(-steps, min(steps, delay))
        moved[max(delay, 0) : steps + min(delay, 0), sample] = frames[max(-delay, 0) : steps - max(delay, 0), sample]
    return moved


def jitter_time(frames: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Moves each event by one time step, earlier or later, with probability `share`; events that meet become one.

    The share of a sample is exact to 1/128, and exact in the mean. An event of the first or last step can move in one
    direction only, and stays in half of these cases.

    Args:
        frames: `[T, B, C, H, W]` or `[T, B, N]`.
        share: probability, 0 to 1.
        generator: random numbers, on the CPU.
    """
    half = _by_sample(below(torch.full((frames.shape[1],), share / 2), generator), frames)
    draws = levels(frames.shape, generator)
    events = frames.contiguous().bool()
    earlier = events & ~reaches(draws, half).to(frames.device)
    later = events & ~reaches(~draws, half).to(frames.device)  # the other end of the levels, 255 down
    earlier[0] = False
    later[-1] = False
    moved = events & ~(earlier | later)
    moved[:-1] |= earlier[1:]
    moved[1:] |= later[:-1]
    return moved.to(frames.dtype)


def _by_sample(values: Tensor, frames: Tensor) -> Tensor:
    """Values `[B]` with the axes of `frames` behind them."""
    return values.view(-1, *[1] * (frames.ndim - 2))
