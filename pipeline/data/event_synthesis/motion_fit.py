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
ROUNDS = ((10, 11), (5, 5), (1, 2))  # a start gets a generation for so many of those asked for; starts that get them
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
        "lag_steps": Range(0, 3),
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
    lasting = ends.min() >= steps - 1
    common, reverse = _common_path(real["apart"].reshape(len(ends), steps, 3)[..., :2])
    axis, drift, narrow = _straight(common)
    seen = Motion(
        heading_rad=axis,
        drift=drift,
        reverse=reverse,
        spread_rad=0.3 if narrow else 2.0,
        offset_y=float(place[0]),
        offset_x=float(place[1]),
        least_steps=1.2 * steps if lasting else float(np.quantile(ends, 0.1)),
        most_steps=1.5 * steps if lasting else float(np.quantile(ends, 0.9)) + 0.5,
        bright=1,
        speed=side / 20,
        drift_spread=0.5,
        lag_steps=0.2,
    )
    first, *turns = _headings(common)
    turned = replace(
        seen, segments=3, heading_rad=first, turn_2_rad=turns[0], turn_3_rad=turns[1], ease=0.8, spread_rad=0.1,
        drift=0.0, drift_spread=0.1,
    )  # fmt: skip
    of_edges = [
        (replace(seen, tracked=1.0), ()),
        (replace(seen, tracked=0.0), ()),
        (replace(turned, tracked=1.0), OF_KIND["turns"]),
        (turned, OF_KIND["turns"]),
    ]
    dark = [(replace(one, bright=0, heading_rad=_wrapped(one.heading_rad + math.pi)), own) for one, own in of_edges]
    return [
        *of_edges,
        *dark,
        (replace(seen, speed=0.1, shake=side / 20), OF_KIND["shake"]),
        (replace(seen, rotation_rad=0.03, zoom_rate=0.02), OF_KIND["growth"]),
        (replace(seen, speed=0.1, flicker=0.2), OF_KIND["flicker"]),
    ]


def _common_path(apart: np.ndarray) -> tuple[np.ndarray, float]:
    """How ON events lie from OFF events in most recordings, step by step, and the share of those that have the reverse.

    Args:
        apart: `[N, T, 2]` pixels (y, x); NaN where a step has too few events.

    Returns:
        `[T, 2]`, which is along the motion of a bright object, and the share.
    """
    known = np.isfinite(apart)
    filled = np.where(known, apart, 0.0)
    pattern = np.linalg.svd(filled.reshape(len(apart), -1), full_matrices=False)[2][0]
    signs = np.where(filled.reshape(len(apart), -1) @ pattern < 0, -1.0, 1.0)
    if signs.sum() < 0:
        signs = -signs
    return (signs[:, None, None] * filled).sum(0) / np.maximum(known.sum(0), 1), float((signs < 0).mean())


def _straight(common: np.ndarray) -> tuple[float, float, bool]:
    """Of a straight path: its direction, the drift of its speed, and whether the directions of the steps are narrow."""
    values, ways = np.linalg.eigh(common.T @ common)
    along = common @ ways[:, 1]
    middle = (np.arange(len(common)) + 0.5) / len(common) * 2 - 1
    slope, mean = np.polyfit(middle, along, 1) if len(common) > 1 else (0.0, along[0])
    heading = math.atan2(ways[0, 1], ways[1, 1])
    if mean < 0:
        slope, mean, heading = -slope, -mean, heading + math.pi
    flips = np.flatnonzero(np.sign(along[1:]) * np.sign(along[:-1]) < 0)
    if len(flips) == 1:  # the distance of the events says little about the speed, and its sign all about the direction
        at = int(flips[0])
        turn = middle[at] + (middle[at + 1] - middle[at]) * along[at] / (along[at] - along[at + 1])
        slope, mean = (-1.0 / turn, 1.0) if abs(turn) > 1e-9 else (np.sign(slope), 0.0)
    drift = float(slope / max(mean, abs(slope) / 2.5, 1e-9))
    return _wrapped(heading), drift, bool(values[0] < values[1] / 3)


def _headings(common: np.ndarray) -> tuple[float, float, float]:
    """Of a path of three parts: the direction of the first, and by how much the second and the third are turned."""
    thirds = [part if len(part) else common for part in np.array_split(common, 3)]
    angles = [math.atan2(*part.mean(0)) for part in thirds]
    return angles[0], _wrapped(angles[1] - angles[0]), _wrapped(angles[2] - angles[1])


def _wrapped(angle: float) -> float:
    """The same angle between -pi and pi."""
    return math.remainder(angle, 2 * math.pi)


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
        searches = [_Search(start, own, self) for start, own in starts(self.real, self.steps, self.side)]
        rounds = [(-(-self.generations // part), count) for part, count in ROUNDS]
        total = sum(generations * count for generations, count in rounds)
        for generations, count in rounds:
            searches = sorted(searches, key=lambda search: search.best[0])[:count]
            for search in searches:
                search.go(generations, total)
        judged = [np.mean([self.cost(search.best[1], seed) for seed in range(1, 1 + JUDGED)]) for search in searches]
        return searches[int(np.argmin(judged))].best[1]

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
