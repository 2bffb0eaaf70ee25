"""A small network that predicts, from a static image, the probability of an event at each pixel and time step.

It is trained on the training recordings and their images; frames are drawn from its probabilities. Three kernels of 5
cover 6 pixels on each side; the image moves by up to 3.5 pixels while it is recorded.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn


class Translator(nn.Module):
    """Images `[B, 3, H, W]` in 0..1 to logits `[B, T, 2, H, W]` of an event in each time step (polarity 0, then 1).

    Args:
        steps: number of time steps.
        width: channels of the hidden layers.
        kernel: side of the kernels.
    """

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
        """Draws frames from the probabilities of `forward`, independently at each place.

        Args:
            images: `[B, 3, H, W]` in 0..1.
            generator: random numbers.

        Returns:
            Frames `[T, B, 2, H, W]` of 0 and 1, on the device of the images.
        """
        chances = self.to(images.device)(images).sigmoid().transpose(0, 1)
        draws = torch.rand(chances.shape, generator=generator).to(chances.device)
        return (draws < chances).float()
