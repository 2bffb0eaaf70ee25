"""A small network that tells, for a static image, how likely each pixel sends an event in each time step.

Fitted on the training recordings and the images they were made from, and on nothing else; frames are then drawn from
its probabilities, so an image looks a little different each time. Three kernels of 5 see 6 pixels to either side: the
image moves by up to 3.5 while it is recorded, and what is not seen cannot be foretold.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn


class Translator(nn.Module):
    """Images `[B, 3, H, W]` in 0..1 to logits `[B, T, 2, H, W]` of an event (polarity 0, then 1) in each step."""

    def __init__(self, steps: int, width: int, kernel: int = 5) -> None:
        super().__init__()
        self.steps = steps
        half = kernel // 2
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, kernel, padding=half),
            nn.ReLU(),
            nn.Conv2d(width, width, kernel, padding=half),
            nn.ReLU(),
            nn.Conv2d(width, 2 * steps, kernel, padding=half),
        )

    def forward(self, images: Tensor) -> Tensor:
        flat = self.layers(images.mean(1, keepdim=True))  # an event camera sees no colors
        return flat.unflatten(1, (self.steps, 2))

    @property
    def identity(self) -> str:
        """What its frames depend on, besides images and generator: its weights."""
        digest = hashlib.sha256()
        for name, weights in self.state_dict().items():
            digest.update(f"{name} {tuple(weights.shape)}".encode())
            digest.update(weights.cpu().numpy().tobytes())
        return f"translator {digest.hexdigest()}, {self.steps} steps"

    @torch.no_grad()
    def render(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Frames `[T, B, 2, H, W]` of 0 and 1 drawn for the images, independently at each place, on their device."""
        chances = self.to(images.device)(images).sigmoid().transpose(0, 1)
        draws = torch.rand(chances.shape, generator=generator).to(chances.device)
        return (draws < chances).float()
