"""How far two samples of frames are apart: the energy distance between responses of random filters, with gradient."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SCALES = (1, 2, 4)  # sides of the squares of pixels that a filter sees as one
FILTERS, SIDE, LENGTH = 8, 5, 3  # filters of a scale, their side in such squares and their length in time steps
STRIDE = 3  # squares between the places of a filter


def energy_distance(first: Tensor, second: Tensor) -> Tensor:
    """The energy distance of two samples, and the mean distance between their members.

    2 E|X - Y| - E|X - X'| - E|Y - Y'| with unbiased means over pairs (Szekely and Rizzo, Journal of Statistical
    Planning and Inference 143:1249, 2013): its expectation is 0 for samples of one distribution, and above for others.
    The last means are 0 for a sample of one member, which leaves the gradient of the other sample as it is.

    Args:
        first: `[N, G, F]`: N members, of which each has G vectors.
        second: `[M, G, F]`, float32 or float64 on the same device.

    Returns:
        `[2]`: the energy distance and E|X - Y|, both as means over the G vectors.
    """
    one, two = first.transpose(0, 1), second.transpose(0, 1)
    between = _distances(one, two).mean()
    within = sum(_distances(each, each).sum((1, 2)).mean() / _pairs(each.shape[1]) for each in (one, two))
    return torch.stack([2 * between - within, between])


def random_filters(generator: torch.Generator) -> Tensor:
    """Filters of norm 1 for `filter_responses`.

    Args:
        generator: random numbers, on the CPU.

    Returns:
        `[len(SCALES), FILTERS, 2, LENGTH, SIDE, SIDE]`.
    """
    drawn = torch.randn(len(SCALES), FILTERS, 2, LENGTH, SIDE, SIDE, generator=generator)
    return drawn / drawn.flatten(2).norm(dim=2)[:, :, None, None, None, None]


def filter_responses(frames: Tensor, filters: Tensor) -> tuple[Tensor, ...]:
    """Responses of filters to frames, at the places where they are compared.

    Args:
        frames: `[T, B, 2, H, W]`.
        filters: of `random_filters`, on the same device.

    Returns:
        For each of `SCALES` `[B, places, FILTERS]`; a place is a time step and a square.
    """
    around, found = (LENGTH // 2, SIDE // 2, SIDE // 2), []
    for scale, own in zip(SCALES, filters, strict=True):
        # The sum over a square divided by its side has the noise of a pixel.
        seen = functional.avg_pool2d(frames.flatten(0, 1), scale, ceil_mode=True).unflatten(0, frames.shape[:2]) * scale
        responses = functional.conv3d(seen.permute(1, 2, 0, 3, 4), own, padding=around, stride=(1, STRIDE, STRIDE))
        found.append(responses.flatten(2).transpose(1, 2))
    return tuple(found)


def _distances(first: Tensor, second: Tensor) -> Tensor:
    return torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")  # by differences: exact near 0


def _pairs(count: int) -> int:
    return max(1, count * (count - 1))
