"""Fits a `Motion` to recordings, without labels: synthetic events of random images get the recordings' statistics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikeport.pipeline.data.event_synthesis.motion import Motion
from spikeport.pipeline.data.event_synthesis.motion_camera import MotionCamera
from spikeport.pipeline.data.event_synthesis.statistics import distances, statistics
from spikeport.progress import NamedProgress

# Parameters that only some kinds of motion have. The others are searched for every kind.
OF_KIND = {
    "turns": ("turn_2_rad", "turn_3_rad"),
    "shake": ("shake", "shake_cycles"),
    "growth": ("rotation_rad", "zoom_rate"),
    "flicker": ("flicker", "flicker_cycles"),
}
FIRST = 5  # a start gets a generation for so many of those that the best get
KEPT = 3  # starts that go on
POPULATION = 16  # motions of a generation
JUDGED = 4  # further draws of events by which the best of the kept is chosen


@dataclass(frozen=True)
class Range:
    """Bounds of one parameter.

    Attributes:
        low, high: the bounds.
        log: whether it is searched on a log scale.
    """

    low: float
    high: float
    log: bool = False

    def value(self, share: float) -> float:
        """The value at a share of the range, 0 to 1."""
        if self.log:
            return float(self.low * (self.high / self.low) ** share)
        return float(self.low + (self.high - self.low) * share)

    def share(self, value: float) -> float:
        """The share of the range at a value."""
        value = min(max(value, self.low), self.high)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def ranges(steps: int, side: int) -> dict[str, Range]:
    """Bounds of all parameters that are searched.

    Args:
        steps: number of time steps.
        side: the shorter side of the frames in pixels.
    """
    return {
        "heading_rad": Range(-math.pi, math.pi),
        "turn_2_rad": Range(-math.pi, math.pi),
        "turn_3_rad": Range(-math.pi, math.pi),
        "spread_rad": Range(0.02, 3.2, log=True),
        "reverse": Range(0, 1),
        "speed": Range(0.05, side / 6, log=True),
        "speed_spread": Range(0, 1),
        "ease": Range(0, 1),
        "drift": Range(-2.5, 2.5),
        "drift_spread": Range(0, 2),
        "tracked": Range(0, 1),
        "shake": Range(0, side / 10),
        "shake_cycles": Range(0.5, steps / 2 + 0.5),
        "rotation_rad": Range(0, 0.2),
        "zoom_rate": Range(0, 0.1),
        "offset_y": Range(-side / 3, side / 3),
        "offset_x": Range(-side / 3, side / 3),
        "offset_spread": Range(0, side / 6),
        "size": Range(0.4, 1.8, log=True),
        "size_spread": Range(0, 0.4),
        "least_steps": Range(1, 1.2 * steps),
        "most_steps": Range(1, 1.5 * steps),
        "bright": Range(0, 1),  # rounded
        "blur": Range(0.2, 2.0),
        "gain": Range(0.2, 30, log=True),
        "gain_spread": Range(0, 1),
        "on_share": Range(0.2, 0.8),
        "mismatch": Range(0, 1),
        "noise": Range(1e-5, 0.05, log=True),
        "flicker": Range(0, 0.5),
        "flicker_cycles": Range(0.5, steps / 2 + 0.5),
    }


def starts(real: Mapping[str, np.ndarray], steps: int, side: int) -> list[tuple[Motion, tuple[str, ...]]]:
    """Where the search begins: kinds of motion, with what the recordings show at once.

    Args:
        real: statistics of the recordings.
        steps: number of time steps.
        side: the shorter side of the frames in pixels.

    Returns:
        Motions, each with the parameters of its kind alone that are searched too.
    """
    counts = np.expm1(real["counts"]).reshape(len(real["counts"]), steps, 2).sum(2)
    ends = steps - np.argmax(counts[:, ::-1] > 0.05 * counts.max(1, keepdims=True), axis=1)
    place = np.nanmean(real["place"].reshape(-1, 2), axis=0)
    apart = real["apart"].reshape(-1, 3)[:, :2]
    apart = apart[np.isfinite(apart).all(1)]
    values, ways = np.linalg.eigh(apart.T @ apart / max(1, len(apart)))
    axis = math.atan2(ways[0, 1], ways[1, 1])
    lasting = ends.min() >= steps - 1
    seen = Motion(
        heading_rad=axis,
        spread_rad=0.3 if values[0] < values[1] / 3 else 2.0,
        offset_y=float(place[0]),
        offset_x=float(place[1]),
        least_steps=1.2 * steps if lasting else float(np.quantile(ends, 0.1)),
        most_steps=1.5 * steps if lasting else float(np.quantile(ends, 0.9)) + 0.5,
        bright=1,
        speed=side / 20,
        drift_spread=0.5,
    )
    turned = replace(seen, segments=3, turn_2_rad=2.0, turn_3_rad=2.0, ease=0.8, spread_rad=0.1, reverse=0.1)
    return [
        (replace(seen, tracked=1.0), ()),
        (replace(seen, tracked=0.0), ()),
        (turned, OF_KIND["turns"]),
        (replace(seen, speed=0.1, shake=side / 20), OF_KIND["shake"]),
        (replace(seen, rotation_rad=0.03, zoom_rate=0.02), OF_KIND["growth"]),
        (replace(seen, speed=0.1, flicker=0.2), OF_KIND["flicker"]),
    ]


class MotionFit:
    """The search for the motion whose synthetic events are nearest to recordings.

    Args:
        images: float32 `[M, 3, H, W]` in 0..1, some static images.
        frames: `[N, T, 2, H, W]`, the recordings.
        generations: of the search from each of the best starts.
        seed: of all random numbers.
        progress: called with (generations done, generations in all, what is done).
    """

    def __init__(
        self,
        images: Tensor,
        frames: np.ndarray,
        generations: int = 40,
        seed: int = 0,
        progress: NamedProgress | None = None,
    ) -> None:
        self.generations = generations
        self.images, self.seed, self.progress = images, seed, progress
        self.steps, self.side = frames.shape[1], min(frames.shape[3:])
        self.real = statistics(frames)
        self.ranges = ranges(self.steps, self.side)
        self.done = 0

    def distances(self, motion: Motion, seed: int = 0) -> dict[str, float]:
        """Distance of a motion's events from the recordings, for each group of statistics.

        Args:
            motion: the motion.
            seed: of the events.
        """
        generator = torch.Generator().manual_seed(self.seed + seed)
        found = MotionCamera(self.steps, motion).render(self.images, generator)
        return distances(self.real, statistics(found.transpose(0, 1).cpu().numpy()))

    def cost(self, motion: Motion, seed: int = 0) -> float:
        """Mean distance over the groups of statistics.

        Args:
            motion: the motion.
            seed: of the events.
        """
        return float(np.mean(list(self.distances(motion, seed).values())))

    def motion(self) -> Motion:
        """The best motion found."""
        tried = [_Search(start, own, self) for start, own in starts(self.real, self.steps, self.side)]
        first = -(-self.generations // FIRST)
        total = len(tried) * first + KEPT * self.generations
        for search in tried:
            search.go(first, total)
        finalists = sorted(tried, key=lambda search: search.best[0])[:KEPT]
        for search in finalists:
            search.go(self.generations, total)
        judged = [np.mean([self.cost(search.best[1], seed) for seed in range(1, 1 + JUDGED)]) for search in finalists]
        return finalists[int(np.argmin(judged))].best[1]

    def report(self, total: int) -> None:
        """Tells the progress that a generation is done."""
        self.done += 1
        if self.progress:
            self.progress(self.done, total, "fitting the motion")


class _Search:
    """CMA-ES from one start."""

    def __init__(self, start: Motion, own: tuple[str, ...], fit: MotionFit) -> None:
        from cmaes import CMA

        self.start, self.fit = start, fit
        others = {name for names in OF_KIND.values() for name in names} - set(own)
        self.ranges = {name: bounds for name, bounds in fit.ranges.items() if name not in others}
        mean = np.array([bounds.share(getattr(start, name)) for name, bounds in self.ranges.items()])
        self.cma = CMA(
            mean=mean.clip(0.02, 0.98), sigma=0.15, bounds=np.tile([0.0, 1.0], (len(mean), 1)), seed=fit.seed % 2**32,
            population_size=POPULATION,
        )  # fmt: skip
        self.best = (fit.cost(start), start)

    def go(self, generations: int, total: int) -> None:
        for _ in range(generations):
            answers = []
            for _ in range(self.cma.population_size):
                shares = self.cma.ask()
                motion = self._at(shares)
                cost = self.fit.cost(motion)
                answers.append((shares, cost))
                self.best = min(self.best, (cost, motion), key=lambda each: each[0])
            self.cma.tell(answers)
            self.fit.report(total)

    def _at(self, shares: np.ndarray) -> Motion:
        found: dict[str, Any] = {
            name: bounds.value(share) for (name, bounds), share in zip(self.ranges.items(), shares, strict=True)
        }
        found["most_steps"] = max(found["least_steps"], found["most_steps"])
        return replace(self.start, **{**found, "bright": round(found["bright"])})
