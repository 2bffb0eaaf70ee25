"""Static images turned, scaled, sheared and shifted a little."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from spikeport.pipeline.run.sections.networks import Affine


def random_affine(images: Tensor, recipe: Affine, generator: torch.Generator) -> Tensor:
    """`images` `[B, C, H, W]`, each `warped` by a draw of its own from `generator` (on the CPU)."""
    return apply_affine(images, recipe, draw_affine(len(images), generator))


def draw_affine(count: int, generator: torch.Generator) -> Tensor:
    """How far each of `count` images is warped, `[5, count]` in -1..1: turn, scale, shear, shift down and right, in
    shares of what a recipe allows."""
    return 2 * torch.rand(5, count, generator=generator) - 1


def apply_affine(images: Tensor, recipe: Affine, draws: Tensor) -> Tensor:
    """`images` `[B, C, H, W]`, each by an affine map of its own round its middle; what comes in is black.

    `draws`: as `draw_warp` gives them. With a recipe of zeros the images come back as they are.
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
