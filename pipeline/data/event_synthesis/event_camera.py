"""A simulated event camera: a pixel sends an event when its log intensity has moved by one threshold.

A pixel keeps the level at which it last fired. When log intensity has risen by `on` above that level, it sends an ON
event (p = 1) and the level rises by `on`; when it has fallen by `off`, it sends an OFF event (p = 0). A change of 3.5
thresholds is 3 events. Between two samples log intensity is linear, which gives the time of each event.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from spikeport.pipeline.data.events import EVENT_DTYPE


@dataclass(frozen=True, kw_only=True)
class EventCamera:
    """Properties of the sensor.

    Attributes:
        threshold: in natural log units.
        mismatch: standard deviation of the threshold over pixels, as a share of it.
        noise_hz: noise events for each pixel and second.
    """

    threshold: float
    mismatch: float
    noise_hz: float

    def watch(self, log_intensity: Iterable[np.ndarray], step_us: int, keys: tuple[str, ...]) -> list[np.ndarray]:
        """Events (EVENT_DTYPE, sorted by time) of each of B scenes.

        Args:
            log_intensity: yields float32 `[B, H, W]` every `step_us` microseconds, from 0 on.
            step_us: time between two samples in microseconds.
            keys: key of each scene, which alone seeds its pixels and noise.
        """
        frames = iter(log_intensity)
        first = next(frames)
        generators = [_generator(key) for key in keys]
        on, off = (np.stack([self._thresholds(g, first.shape[1:]) for g in generators]) for _ in range(2))
        columns, steps = crossings(first, frames, step_us, on, off)
        scene = columns[0]
        events = [_noise(g, self.noise_hz, steps * step_us, first.shape[1:]) for g in generators]
        order = np.argsort(scene, kind="stable")
        bounds = np.searchsorted(scene[order], np.arange(len(keys) + 1))
        y, x, t, p = (column[order] for column in columns[1:])
        for row in range(len(keys)):
            mine = slice(bounds[row], bounds[row + 1])
            signal = np.empty(bounds[row + 1] - bounds[row], EVENT_DTYPE)
            signal["y"], signal["x"], signal["t"], signal["p"] = y[mine], x[mine], t[mine], p[mine]
            both = np.concatenate([signal, events[row]])
            events[row] = both[np.argsort(both["t"], kind="stable")]
        return events

    def _thresholds(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        spread = 1 + self.mismatch * generator.standard_normal(shape)
        return (self.threshold * np.maximum(spread, 0.1)).astype(np.float32)


def crossings(
    first: np.ndarray, frames: Iterable[np.ndarray], step_us: int, on: np.ndarray, off: np.ndarray
) -> tuple[tuple[np.ndarray, ...], int]:
    """Events of noiseless pixels: columns (scene, y, x, t in microseconds, p), and the number of steps.

    Args:
        first: log intensity `[B, H, W]` at the start.
        frames: yields the following samples.
        step_us: time between two samples in microseconds.
        on: ON thresholds `[B, H, W]`.
        off: OFF thresholds `[B, H, W]`.

    Returns:
        The columns, sorted by step, not within one; and the number of steps.
    """
    last = first.reshape(-1)
    on, off = on.reshape(-1), off.reshape(-1)
    level = last.copy()
    flat_parts, time_parts, sign_parts = [], [], []
    step = 0
    for step, frame in enumerate(frames, 1):
        now = frame.reshape(-1)
        moved = now - level
        fired = np.flatnonzero((moved >= on) | (moved <= -off))
        up = moved[fired] > 0
        size = np.where(up, on[fired], -off[fired])
        number = np.floor(moved[fired] / size).astype(np.int64)
        # One row for each event: the k-th of its pixel in this step.
        pixel = np.repeat(np.arange(len(fired)), number)
        k = np.arange(len(pixel)) - np.repeat(np.cumsum(number) - number, number) + 1
        before = last[fired]
        share = (level[fired] - before)[pixel] + k * size[pixel]
        share /= (now[fired] - before)[pixel]
        flat_parts.append(fired[pixel])
        time_parts.append(((step - 1 + np.clip(share, 0, 1)) * step_us).astype(np.int64))
        sign_parts.append(up[pixel].astype(np.int8))
        level[fired] += number * size
        last = now
    scene, y, x = np.unravel_index(np.concatenate(flat_parts), first.shape)
    return (scene, y, x, np.concatenate(time_parts), np.concatenate(sign_parts)), step


def _noise(generator: np.random.Generator, rate_hz: float, duration_us: int, shape: tuple[int, ...]) -> np.ndarray:
    height, width = shape
    number = generator.poisson(rate_hz * height * width * duration_us * 1e-6)
    events = np.empty(number, EVENT_DTYPE)
    events["y"] = generator.integers(0, height, number)
    events["x"] = generator.integers(0, width, number)
    events["t"] = generator.integers(0, duration_us, number)
    events["p"] = generator.integers(0, 2, number)
    return events


def _generator(key: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(key.encode()).digest(), "little"))
