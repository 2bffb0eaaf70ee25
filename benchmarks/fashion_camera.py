"""An event camera held in a hand before pictures, as the recordings of benchmarks/fashion.py.

It shares no code and no model with the simulators of Spikeport (`Simulator`, `MotionCamera`): pixels sense the
logarithm of light behind a low-pass filter that is slower in the dark, compare it with a level of their own that leaks,
are blind for a while after an event, and have fixed thresholds of one sensor, unequal for ON and OFF. Events have times
between the rendered pictures. The motion is a circle, a random walk, a turning and a zooming that wander.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

SUB = 6  # rendered pictures in a time step


@dataclass(frozen=True, kw_only=True)
class Sensor:
    """Pixels of one sensor; times are in time steps.

    Attributes:
        on, off: mean thresholds in units of the logarithm of light.
        mismatch: standard deviation of the logarithm of a pixel's thresholds.
        response: time constant of the low-pass filter in full light; it is inverse to the light.
        blind: time after an event in which a pixel has no other.
        leak: ON events in a time step without any change of light.
        shot: events without a cause in a time step in the dark, of each polarity; a quarter of it in full light.
        number: the sensor, whose thresholds are drawn by it.
    """

    on: float = 0.28
    off: float = 0.36
    mismatch: float = 0.1
    response: float = 0.12
    blind: float = 0.08
    leak: float = 0.004
    shot: float = 0.003
    number: int = 0

    def thresholds(self, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Thresholds of all pixels for ON and OFF, float32 `[H, W]` each."""
        drawn = np.random.default_rng([self.number, 1]).normal(0, self.mismatch, (2, height, width))
        return (self.on * np.exp(drawn[0])).astype(np.float32), (self.off * np.exp(drawn[1])).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Hand:
    """How a hand moves the camera; lengths are in pixels, times in time steps, angles in rad.

    Attributes:
        radius: least and largest radius of the circle.
        period: least and largest time of a turn on it, in either direction.
        walk: standard deviation of the walk's velocity, which is kept for about `memory`.
        turning: the same of the angle.
        zooming: the same of the logarithm of the size.
        memory: time after which a velocity is mostly forgotten.
        place: standard deviation of the mean place.
        tilt: standard deviation of the mean angle.
        size: mean size of the picture, 1 is its own.
        size_spread: standard deviation of the logarithm of the mean size.
        floor: least and largest light of black, where white is 1 more.
    """

    radius: tuple[float, float] = (0.8, 2.2)
    period: tuple[float, float] = (4.0, 12.0)
    walk: float = 0.4
    turning: float = 0.02
    zooming: float = 0.012
    memory: float = 2.0
    place: float = 0.8
    tilt: float = 0.08
    size: float = 0.88
    size_spread: float = 0.06
    floor: tuple[float, float] = (0.08, 0.2)


def recordings(
    images: np.ndarray,
    numbers: np.ndarray,
    *,
    seed: int,
    side: tuple[int, int] = (28, 28),
    steps: int = 10,
    sensor: Sensor | None = None,
    hand: Hand | None = None,
) -> np.ndarray:
    """Frames of recordings, each of which depends on its image, its number and the seed alone.

    Args:
        images: uint8 `[N, h, w]`.
        numbers: number of each recording `[N]`.
        seed: of motion and noise.
        side: height and width of the sensor.
        steps: time steps.
        sensor: the pixels; None: the defaults.
        hand: the motion; None: the defaults.

    Returns:
        uint8 `[N, T, 2, H, W]` of 0 and 1; channel 0 is OFF.
    """
    sensor, hand = sensor or Sensor(), hand or Hand()
    draws = [np.random.default_rng([seed, int(number)]) for number in numbers]
    paths = [path_of(rng, steps, hand) for rng in draws]
    floors = np.array([rng.uniform(*hand.floor) for rng in draws], np.float32)
    seen = warped(images.astype(np.float32) / 255, np.stack(paths), side)
    light = seen + floors[:, None, None, None]
    on, off = sensor.thresholds(*side)
    first = np.stack([rng.uniform(-1, 1, side) for rng in draws]).astype(np.float32)
    levels = sensed(light, sensor)
    start = levels[:, 0] + np.where(first > 0, first * off, first * on)
    counts = fired(levels, start, on, off, steps=steps, blind=sensor.blind, leak=sensor.leak)
    dark = 1 - 0.75 * np.clip(seen[:, 1:].reshape(len(images), steps, SUB, *side).mean(2), 0, 1)
    noise = np.stack([rng.random((steps, 2, *side), np.float32) for rng in draws])
    return ((counts > 0) | (noise < sensor.shot * dark[:, :, None])).astype(np.uint8)


def path_of(rng: np.random.Generator, steps: int, hand: Hand) -> np.ndarray:
    """Place (down, right), angle and logarithm of the size of the picture at all rendered times, `[T * SUB + 1, 4]`."""
    count = steps * SUB
    time = np.arange(count + 1) / SUB
    radius, period = rng.uniform(*hand.radius), rng.uniform(*hand.period) * rng.choice([-1, 1])
    phase = 2 * np.pi * (rng.uniform() + time / period)
    lasting = np.exp(-1 / (SUB * hand.memory))
    scale = np.array([hand.walk, hand.walk, hand.turning, hand.zooming])
    velocity, pushes = rng.normal(0, scale), rng.normal(0, scale, (count, 4)) * np.sqrt(1 - lasting**2)
    path = np.zeros((count + 1, 4))
    for at in range(count):
        path[at + 1] = path[at] + velocity / SUB
        velocity = lasting * velocity + pushes[at]
    path -= path.mean(0)
    path[:, 0] += radius * np.sin(phase)
    path[:, 1] += radius * np.cos(phase)
    middle = rng.normal([0, 0, 0, np.log(hand.size)], [hand.place, hand.place, hand.tilt, hand.size_spread])
    return (path + middle).astype(np.float32)


def warped(images: np.ndarray, paths: np.ndarray, side: tuple[int, int]) -> np.ndarray:
    """Pictures along a path on a black ground, bilinear.

    Args:
        images: float32 `[N, h, w]`.
        paths: `[N, K, 4]`, see `path_of`.
        side: height and width of what is seen.

    Returns:
        float32 `[N, K, H, W]`.
    """
    (number, height, width), count = images.shape, paths.shape[1]
    y, x = np.meshgrid(*[np.arange(size, dtype=np.float32) - (size - 1) / 2 for size in side], indexing="ij")
    down, right, angle, size = (part[..., None, None] for part in np.moveaxis(paths.astype(np.float32), -1, 0))
    cosine, sine = np.cos(angle) / np.exp(size), np.sin(angle) / np.exp(size)
    row, column = y - down, x - right
    grid = np.empty((number, count, *side, 2), np.float32)  # (x, y), -1 and 1 are the outer pixels' middles
    grid[..., 0] = (cosine * column + sine * row) * (2 / max(1, width - 1))
    grid[..., 1] = (cosine * row - sine * column) * (2 / max(1, height - 1))
    flat = torch.from_numpy(grid).view(number, count * side[0], side[1], 2)
    found = functional.grid_sample(torch.from_numpy(images)[:, None], flat, align_corners=True)
    return found.view(number, count, *side).numpy()


def sensed(light: np.ndarray, sensor: Sensor) -> np.ndarray:
    """The logarithm of light behind the low-pass filter, which is at rest at first; `[N, K, H, W]` each."""
    target = np.log(light)
    share = 1 - np.exp(-np.minimum(light, 1) / (SUB * sensor.response))
    levels = np.empty_like(target)
    levels[:, 0] = target[:, 0]
    for at in range(1, light.shape[1]):
        levels[:, at] = levels[:, at - 1] + share[:, at] * (target[:, at] - levels[:, at - 1])
    return levels


def fired(
    levels: np.ndarray,
    start: np.ndarray,
    on: np.ndarray,
    off: np.ndarray,
    *,
    steps: int,
    blind: float = 0.0,
    leak: float = 0.0,
) -> np.ndarray:
    """Events of pixels whose level runs straight from one rendered time to the next.

    A pixel fires when its level is a threshold above (ON) or below (OFF) the level that it remembers. It remembers the
    level at the end of the time in which it is blind, and what it remembers falls by the leak.

    Args:
        levels: `[N, K + 1, H, W]`, K a multiple of `steps`.
        start: what the pixels remember at first `[N, H, W]`.
        on, off: thresholds `[H, W]`.
        steps: time steps.
        blind: time steps after an event in which a pixel has no other.
        leak: thresholds of ON by which what is remembered falls in a time step.

    Returns:
        int64 `[N, T, 2, H, W]`, numbers of events; channel 0 is OFF.
    """
    count = levels.shape[1] - 1
    sub = count // steps
    found = np.zeros((len(levels), steps, 2, *levels.shape[2:]), np.int64)
    remembered, wakes = start.astype(np.float32), np.full(start.shape, -1, np.float32)
    asleep = np.zeros(start.shape, bool)
    for at in range(count):
        before, slope = levels[:, at], levels[:, at + 1] - levels[:, at]
        remembered = remembered - leak / sub * on
        while True:
            waking = asleep & (wakes < at + 1)
            remembered = np.where(waking, before + slope * (wakes - at), remembered)
            asleep &= ~waking
            above = levels[:, at + 1] - remembered
            up, down = ~asleep & (above >= on), ~asleep & (above <= -off)
            fires = up | down
            if not fires.any():
                break
            found[:, at // sub, 1] += up
            found[:, at // sub, 0] += down
            way = remembered + np.where(up, on, -off) - before
            share = np.clip(np.divide(way, slope, out=np.zeros_like(way), where=fires & (slope != 0)), 0, 1)
            wakes = np.where(fires, at + share + blind * sub, wakes)
            asleep |= fires
    return found
