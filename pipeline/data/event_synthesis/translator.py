"""A small network that predicts, from a static image, the probability of an event at each pixel and time step.

It is trained on the training recordings and their images; frames are drawn from its probabilities. Three kernels of 5
cover 6 pixels on each side; the image moves by up to 3.5 pixels while it is recorded. Where the images of recordings
are not known one by one, it sees random numbers beside the image, so that renderings can differ in their motion.
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
        noise: random numbers of a rendering, each a constant input channel.
    """

    def __init__(self, steps: int, width: int, kernel: int = 5, noise: int = 0) -> None:
        super().__init__()
        self.steps, self.noise = steps, noise
        half = kernel // 2
        self.layers = nn.Sequential(
            nn.Conv2d(1 + noise, width, kernel, padding=half),
            nn.ReLU(),
            nn.Conv2d(width, width, kernel, padding=half),
            nn.ReLU(),
            nn.Conv2d(width, 2 * steps, kernel, padding=half),
        )

    def forward(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        seen = images.mean(1, keepdim=True)  # an event camera sees no colors
        if noise is not None:
            seen = torch.cat([seen, noise[:, :, None, None].expand(-1, -1, *seen.shape[2:])], dim=1)
        return self.layers(seen).unflatten(1, (self.steps, 2))

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
            generator: random numbers, on the CPU.

        Returns:
            Frames `[T, B, 2, H, W]` of 0 and 1, on the device of the images.
        """
        return self.to(images.device).sample(images, generator)

    def sample(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Draws the frames of `render`; gradients reach the weights as if the probabilities were returned.

        Args:
            images: `[B, 3, H, W]` in 0..1, on the device of the weights.
            generator: random numbers, on the CPU.

        Returns:
            Frames `[T, B, 2, H, W]` of 0 and 1.
        """
        noise = torch.randn(len(images), self.noise, generator=generator).to(images.device) if self.noise else None
        chances = self(images, noise).sigmoid().transpose(0, 1)
        draws = torch.rand(chances.shape, generator=generator).to(chances.device)
        return (draws < chances).float() + (chances - chances.detach())
