"""Simulated event camera in front of static images, making N-MNIST's three saccades.

A pixel fires when its log intensity has moved by one threshold (the model of `event_synthesis.event_camera`). Frames of
a whole batch are computed on any device without storing events. No recording is used: unknown sensor properties are
drawn anew for every image within the ranges of `Scene`, so that a student cannot depend on them.

The path is N-MNIST's: in three saccades of 105 ms the image moves by (3.5, 7), (3.5, -7) and (-7, 0) pixels (x right, y
down; Orchard et al., Frontiers in Neuroscience 9:437, 2015, and the tools published with that set).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from spikeport.pipeline.data.images.blur import blurred
from spikeport.pipeline.data.images.resize import value_channel

MODEL = 1  # change it whenever other frames come of the same draws: views kept on disk are then drawn anew
SAMPLE_US = 7_500  # light is sampled this often, or more often if steps are not a multiple of it
PATH = ((0.0, 0.0), (7.0, 3.5), (0.0, 7.0), (0.0, 0.0))  # y, x in pixels where each saccade begins and ends
BLUR_REACH = 2  # pixels to either side

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Ranges from which the scene of each image is drawn, uniformly (`ink`, `edge_events` and `ratio` on a log scale).

    Images are dark ink on light paper: white parts of an image have the intensity `ink`, the paper has 1. The polarity
    of N-MNIST and the time for which the image rests (duration, delay, ease) were measured in three recordings. Nothing
    else was taken from recordings.
    """

    ink: Range = (0.05, 0.4)
    edge_events: Range = (3.0, 12.0)  # ON events that a full step from ink to paper sends
    ratio: Range = (0.7, 1.4)  # OFF threshold by ON threshold
    mismatch: Range = (0.0, 0.2)  # spread of a pixel's threshold, as a share of it
    noise_hz: Range = (0.0, 1.0)  # events of no cause for each pixel and second
    blur: Range = (0.4, 0.9)  # standard deviation in pixels
    lag_us: Range = (0.0, 10_000.0)  # time constant of a pixel's response
    saccade_us: Range = (103_000.0, 107_000.0)
    offset: Range = (-2.5, 2.5)  # pixels, where the path's middle lies
    reach: Range = (0.85, 1.15)  # of the path, as a share
    turn: Range = (-0.09, 0.09)  # of the path, rad
    ease: Range = (0.5, 1.0)  # 0: even speed; 1: a saccade starts and ends at rest
    delay_us: Range = (0.0, 5_000.0)  # from the start of the motion to the first frame


class Simulator:
    """A synthesizer without trained parameters: a simulated event camera.

    Args:
        steps: number of time steps.
        step_us: duration of a time step in microseconds.
        scene: ranges of the unknown properties.
    """

    def __init__(self, steps: int, step_us: int, scene: Scene | None = None) -> None:
        self.steps, self.step_us, self.scene = steps, step_us, scene or Scene()

    @property
    def identity(self) -> str:
        """What its frames depend on, besides images and generator."""
        return f"camera {MODEL}, {self.steps} steps of {self.step_us} us, {self.scene}"

    @torch.no_grad()
    def render(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Renders images as frames.

        Args:
            images: `[B, 3, H, W]` in 0..1.
            generator: random numbers, on the CPU.

        Returns:
            Frames `[T, B, 2, H, W]` of 0 and 1.
        """
        batch, _, height, width = images.shape
        device, scene = images.device, self.scene

        def draw(between: Range, *shape: int) -> Tensor:
            low, high = between
            return (low + (high - low) * torch.rand(batch, *shape, generator=generator)).to(device)

        def draw_log(between: Range, *shape: int) -> Tensor:
            return draw((math.log(between[0]), math.log(between[1])), *shape).exp()

        ink = draw_log(scene.ink, 1, 1)
        on = -ink.log() / draw_log(scene.edge_events, 1, 1)
        off = on * draw_log(scene.ratio, 1, 1)
        bumps = torch.randn(batch, 2, height, width, generator=generator).to(device)
        spread = (1 + draw(scene.mismatch, 1, 1, 1) * bumps).clamp(min=0.3)
        thresholds = torch.stack([off, on], dim=1) * spread
        shade = blurred(value_channel(images), draw(scene.blur), BLUR_REACH) * (1 - ink)
        path = _path(draw(scene.offset, 2), draw(scene.reach), draw(scene.turn))
        delay, ease, lasts = draw(scene.delay_us), draw(scene.ease), draw(scene.saccade_us)
        per_step = -(-self.step_us // SAMPLE_US)
        apart_us = self.step_us / per_step
        follow = 1 - torch.exp(-apart_us / draw(scene.lag_us, 1, 1).clamp(min=1.0))

        def samples() -> Iterator[Tensor]:
            filtered: Tensor | None = None
            for sample in range(self.steps * per_step + 1):
                log_intensity = torch.log1p(-_moved(shade, _where(path, (sample * apart_us + delay) / lasts, ease)))
                filtered = log_intensity if filtered is None else filtered + follow * (log_intensity - filtered)
                yield filtered

        frames = sense(samples(), thresholds, self.steps, per_step)
        chance = draw(scene.noise_hz, 1, 1, 1) * (self.step_us * 1e-6)
        noise = torch.rand(self.steps, batch, 2, height, width, generator=generator).to(device) < chance / 2
        return torch.maximum(frames, noise.to(frames))


def sense(samples: Iterator[Tensor], thresholds: Tensor, steps: int, per_step: int) -> Tensor:
    """Frames `[T, B, 2, H, W]`: 1 where a pixel sent at least one OFF (channel 0) or ON event (channel 1) in a time
    step.

    A pixel keeps the level at which it last fired; a change of n thresholds sends n events and moves the level by n.

    Args:
        samples: yields log intensity `[B, H, W]`, at the start and then `per_step` times a time step.
        thresholds: `[B, 2, H, W]`, for OFF and ON.
        steps: number of time steps.
        per_step: samples of a time step.
    """
    level = next(samples).clone()
    off, on = thresholds.unbind(1)
    frames = torch.zeros((steps, *thresholds.shape), device=thresholds.device)
    for sample, log_intensity in enumerate(samples):
        frame = frames[sample // per_step]
        moved = log_intensity - level
        up = (moved / on).clamp_(min=0).floor_()
        down = (moved / -off).clamp_(min=0).floor_()
        level += up * on - down * off
        frame[:, 0] += down
        frame[:, 1] += up
    return frames.clamp_(max=1)


def _path(offset: Tensor, reach: Tensor, turn: Tensor) -> Tensor:
    """Position of the image at the corners of each scene's path, `[B, 4, 2]` (y, x in pixels)."""
    corners = torch.tensor(PATH, device=offset.device)
    corners = corners - (corners.amax(0) + corners.amin(0)) / 2
    sine, cosine = turn.sin(), turn.cos()
    turned = torch.stack(
        [
            corners[None, :, 0] * cosine[:, None] + corners[None, :, 1] * sine[:, None],
            corners[None, :, 1] * cosine[:, None] - corners[None, :, 0] * sine[:, None],
        ],
        dim=2,
    )
    return turned * reach[:, None, None] + offset[:, None]


def _where(corners: Tensor, now: Tensor, ease: Tensor) -> Tensor:
    """Position of each image at time `now` `[B]` (in saccades), `[B, 2]`."""
    saccade = now.floor().clamp(0, len(PATH) - 2)
    done = (now - saccade).clamp(0, 1)
    done = done - ease * torch.sin(2 * torch.pi * done) / (2 * torch.pi)
    rows = torch.arange(len(corners), device=corners.device)
    begin, end = corners[rows, saccade.long()], corners[rows, saccade.long() + 1]
    return begin + (end - begin) * done[:, None]


def _moved(values: Tensor, by: Tensor) -> Tensor:
    """`values` `[B, H, W]` shifted down and right by `by` `[B, 2]` pixels, bilinear; what comes in is zero."""
    height, width = values.shape[1:]
    return _shifts(height, by[:, 0]) @ values @ _shifts(width, by[:, 1]).mT


def _shifts(size: int, by: Tensor) -> Tensor:
    """`[B, size, size]`: weight of each old position in a new one."""
    places = torch.arange(size, device=by.device)
    return (1 - (places[:, None] - places[None, :] - by[:, None, None]).abs()).clamp_(min=0)
