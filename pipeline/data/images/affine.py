"""Random affine transforms of static images."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from spikeport.pipeline.run.sections.networks import Affine


def random_affine(images: Tensor, recipe: Affine, generator: torch.Generator) -> Tensor:
    """Transforms each image by a map of its own.

    Args:
        images: `[B, C, H, W]`.
        recipe: the largest transform.
        generator: random generator on the CPU.
    """
    return apply_affine(images, recipe, draw_affine(len(images), generator))


def draw_affine(count: int, generator: torch.Generator) -> Tensor:
    """Draws transforms: rotation, scale, shear, shift down and shift right, as shares of the largest ones.

    Args:
        count: number of images.
        generator: random generator on the CPU.

    Returns:
        `[5, count]` in -1..1.
    """
    return 2 * torch.rand(5, count, generator=generator) - 1


def apply_affine(images: Tensor, recipe: Affine, draws: Tensor) -> Tensor:
    """Transforms images about their centers, bilinear; what comes in is black.

    Args:
        images: `[B, C, H, W]`.
        recipe: the largest transform; if all are 0, the images are returned as they are.
        draws: `[5, B]`, see `draw_affine`.
    """
    if not any(recipe.model_dump().values()):
        return images
    height, width = images.shape[2:]
    turn, grow, lean, down, right = draws.to(images)
    angle = turn * math.radians(recipe.degrees)
    scale = torch.exp(-grow * math.log1p(recipe.scale))
    sine, cosine = angle.sin() * scale, angle.cos() * scale
    lean = lean * recipe.shear
    # From a pixel of the result, in pixels from the middle (x, y), to where it comes from.
    matrix = torch.stack(
        [
            torch.stack([cosine, lean * cosine - sine, -right * recipe.translate], dim=1),
            torch.stack([sine, lean * sine + cosine, -down * recipe.translate], dim=1),
        ],
        dim=1,
    )
    y = torch.arange(height, device=images.device) - (height - 1) / 2
    x = torch.arange(width, device=images.device) - (width - 1) / 2
    places = torch.stack([x.expand(height, width), y[:, None].expand(height, width), torch.ones_like(x + y[:, None])])
    sources = torch.einsum("bij,jhw->bhwi", matrix, places.to(images))
    sources = sources / torch.tensor([(width - 1) / 2, (height - 1) / 2], device=images.device)
    return torch.nn.functional.grid_sample(images, sources, align_corners=True)
