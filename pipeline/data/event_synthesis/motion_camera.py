"""A camera in front of which images move as a `Motion` says; frames of a batch at once, on any device."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from spikeport.pipeline.data.event_synthesis.motion import Motion
from spikeport.pipeline.data.images.blur import blurred
from spikeport.pipeline.data.images.resize import value_channel

MODEL = 2  # change it whenever other frames come of the same draws
BLUR_REACH = 3  # pixels to either side
PARTS = 2  # parts of a time step between which the image moves
MEMORY = 2.0  # time steps after which the velocity of a random walk is mostly another


class MotionCamera:
    """A synthesizer: images that move, seen by pixels that fire at changes of light.

    In a part of a time step, the light of a pixel changes by the difference of the image at the two ends of its motion.
    A pixel whose light changes by n thresholds from an unknown level fires with the probability min(1, n).

    Args:
        steps: number of time steps.
        motion: distributions of motion and sensor.
    """

    def __init__(self, steps: int, motion: Motion) -> None:
        self.steps, self.motion = steps, motion

    @property
    def identity(self) -> str:
        """What its frames depend on, besides images and generator."""
        return f"motion camera {MODEL}, {self.steps} steps, {self.motion}"

    @torch.no_grad()
    def render(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Renders images as frames.

        Args:
            images: `[B, 3, H, W]` in 0..1.
            generator: random numbers, on the CPU.

        Returns:
            Frames `[T, B, 2, H, W]` of 0 and 1, on the images' device.
        """
        m, (batch, _, height, width), device = self.motion, images.shape, images.device

        def normal(*shape: int) -> Tensor:
            return torch.randn(batch, *shape, generator=generator).to(device)

        def uniform(*shape: int) -> Tensor:
            return torch.rand(batch, *shape, generator=generator).to(device)

        edges = torch.linspace(0, 1, self.steps * PARTS + 1, device=device)
        lasts = m.least_steps + (m.most_steps - m.least_steps) * uniform()
        path = self._path(edges, normal(3), uniform(3), normal(2) if m.shake_spread > 0 else None)
        if m.wander > 0:
            path = path + m.wander * _walk(normal(self.steps * PARTS, 2))
        seen_path = (1 - m.tracked) * (path - path.mean(1, keepdim=True))
        place = torch.tensor([m.offset_y, m.offset_x], device=device) + m.offset_spread * normal(2)
        middle = (seen_path[:, 1:] + seen_path[:, :-1]) / 2 + place[:, None]
        half = (path[:, 1:] - path[:, :-1]) / 2
        count = torch.linspace(-0.5, 0.5, len(edges), device=device) * self.steps
        angle = m.rotation_rad * normal()[:, None] * count
        size = m.size * torch.exp(m.size_spread * normal()[:, None] + m.zoom_rate * normal()[:, None] * count)
        light = blurred(value_channel(images), m.blur * torch.exp(0.3 * normal()), BLUR_REACH)
        before = _warped(light, middle - half, angle[:, :-1], size[:, :-1])
        after = _warped(light, middle + half, angle[:, 1:], size[:, 1:])
        flicker = m.flicker * torch.sin(2 * math.pi * (m.flicker_cycles * edges + uniform()[:, None]))
        change = after * (1 + flicker[:, 1:, None, None]) - before * (1 + flicker[:, :-1, None, None])
        if m.lag_steps > 0:
            change = _lagging(change, m.tracked * (path[:, 2:] - path[:, :-2]) / 2, m.lag_steps * PARTS)
        change = (change if m.bright else -change) * (m.gain * torch.exp(m.gain_spread * normal()))[:, None, None, None]
        share = torch.tensor([1 - m.on_share, m.on_share], device=device) * 2
        sensitivity = share[:, None, None] * torch.exp(m.mismatch * normal(2, height, width))
        driven = torch.stack([-change, change], dim=2) * sensitivity[:, None]  # [B, T * PARTS, 2, H, W]
        silent = (1 - driven.clamp_(0, 1)).unflatten(1, (self.steps, PARTS)).prod(2)
        alive = torch.arange(self.steps, device=device) < lasts[:, None]
        chance = 1 - torch.where(alive[:, :, None, None, None], silent, 1.0) * (1 - m.noise)
        draws = torch.rand(batch, self.steps, 2, height, width, generator=generator).to(device)
        return (draws < chance).float().transpose(0, 1)

    def _path(self, edges: Tensor, normal: Tensor, uniform: Tensor, shaken: Tensor | None) -> Tensor:
        """Position (y, x) of the object in pixels at the edges of the parts, `[B, T * PARTS + 1, 2]`, but for the walk.

        `shaken` `[B, 2]`: normal draws of amplitude and cycles of the shake."""
        m = self.motion
        segment = (edges * m.segments).floor().clamp(max=m.segments - 1)
        inside = edges * m.segments - segment
        inside = inside - m.ease * torch.sin(2 * math.pi * inside) / (2 * math.pi)
        turns = torch.tensor([0.0, m.turn_2_rad, m.turn_3_rad], device=edges.device).cumsum(0)[: m.segments]
        way = torch.zeros(2, len(edges), device=edges.device)
        for number in range(m.segments):
            done = (inside + segment - number).clamp(0, 1)
            angle = m.heading_rad + turns[number]
            way += torch.stack([done * torch.sin(angle), done * torch.cos(angle)])
        turned = m.spread_rad * normal[:, 0]
        back = torch.where(uniform[:, 0] < m.reverse, -1.0, 1.0)
        speed = m.speed * torch.exp(m.speed_spread * normal[:, 1]) * self.steps / m.segments * back
        sine, cosine = torch.sin(turned)[:, None], torch.cos(turned)[:, None]
        path = torch.stack([way[0] * cosine + way[1] * sine, way[1] * cosine - way[0] * sine], dim=2)
        # A change of speed: the same path, run through at times that are bent.
        bent = (m.drift + m.drift_spread * normal[:, 2])[:, None]
        steps = path[:, 1:] - path[:, :-1]
        factor = 1 + bent * (2 * ((edges[1:] + edges[:-1]) / 2) - 1)
        path = torch.cat([path[:, :1] * 0, (steps * factor[..., None]).cumsum(1)], dim=1) * speed[:, None, None]
        phase = torch.stack([uniform[:, 1], uniform[:, 2]], dim=1)[:, None]
        one = torch.ones(1, 2, device=edges.device)
        far, often = (one if shaken is None else torch.exp(m.shake_spread * shaken))[:, None, :, None].unbind(2)
        return path + m.shake * far * torch.sin(2 * math.pi * (m.shake_cycles * often * edges[None, :, None] + phase))


def _walk(pushes: Tensor) -> Tensor:
    """Positions of random walks with velocities of standard deviation 1 pixel a time step that are kept for MEMORY.

    Args:
        pushes: `[B, N, 2]` normal draws, one for each part of a time step.

    Returns:
        `[B, N + 1, 2]` pixels from the first place.
    """
    count, lasting = pushes.shape[1], math.exp(-1 / (PARTS * MEMORY))
    parts = torch.arange(count, device=pushes.device)
    memory = torch.tril(lasting ** (parts[:, None] - parts).clamp(min=0).float())
    memory[:, 1:] *= math.sqrt(1 - lasting**2)  # the first velocity is drawn as all others are distributed
    velocity = memory @ pushes
    return functional.pad(velocity.cumsum(1) / PARTS, (0, 0, 1, 0))


def _lagging(change: Tensor, window: Tensor, lag: float) -> Tensor:
    """Changes of light after the pixels' low-pass filter of first order.

    Args:
        change: `[B, N, H, W]` by part of a time step.
        window: `[B, N - 1, 2]` pixels down and right, by which the window of the camera moves from part to part.
        lag: time constant in parts, above 0.
    """
    (batch, count), lasting = change.shape[:2], math.exp(-1 / lag)
    still, same = window.new_zeros(batch, 1), window.new_ones(batch, 1)
    held, found = change[:, 0], [change[:, 0]]
    for number in range(1, count):
        held = _warped(held, -window[:, number - 1 : number], still, same)[:, 0] * lasting + change[:, number]
        found.append(held)
    return torch.stack(found, 1) * (1 - lasting)


def _warped(light: Tensor, by: Tensor, angle: Tensor, size: Tensor) -> Tensor:
    """`light` `[B, H, W]` moved, turned and scaled about its middle, `[B, N, H, W]`; what comes in is zero.

    Args:
        light: the images.
        by: `[B, N, 2]`, pixels down and right.
        angle: `[B, N]` rad.
        size: `[B, N]`.
    """
    (batch, height, width), count = light.shape, by.shape[1]
    sine, cosine = (of(angle)[..., None, None] / size[..., None, None] for of in (torch.sin, torch.cos))
    half = [(side - 1) / 2 for side in (height, width)]
    down = (torch.arange(height, device=light.device) - half[0] - by[..., :1])[..., :, None]  # [B, N, H, 1]
    right = (torch.arange(width, device=light.device) - half[1] - by[..., 1:])[..., None, :]  # [B, N, 1, W]
    across, along = (cosine * right + sine * down) / half[1], (cosine * down - sine * right) / half[0]
    grid = torch.view_as_real(torch.complex(across, along))  # pairs, as `stack` makes them in 8 times the time
    # One grid as tall as all of an image's: each image is read once for all its places.
    grid = grid.view(batch, count * height, width, 2)
    return functional.grid_sample(light[:, None], grid, align_corners=True).view(batch, count, height, width)
