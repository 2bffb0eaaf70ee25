"""Fits a `Motion` to recordings, without labels: synthetic events of random images get the recordings' statistics."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikeport.files import write_json
from spikeport.pipeline.data.event_synthesis.motion import Motion
from spikeport.pipeline.data.event_synthesis.motion_camera import MODEL, MotionCamera
from spikeport.pipeline.data.event_synthesis.motion_starts import OF_KIND, Start, ranges, starts
from spikeport.pipeline.data.event_synthesis.statistics import distances, statistics
from spikeport.progress import NamedProgress

# A search gets a generation for so many of those asked for; searches that get them, the best before (None: all). Where
# there are enough of them, the best search of each kind of motion is one.
ROUNDS = ((10, None), (5, 5), (2, 3), (1, 1))
SCREENED = 24  # random values of what no statistic shows at once, of which a search takes the best
AT_RANDOM = ("speed", "speed_spread", "drift_spread", "size", "blur", "lag_steps", "gain", "gain_spread")
POPULATION = 16  # motions of a generation
JUDGED = 4  # draws of events by which searches are compared


class MotionFit:
    """The search for the motion whose synthetic events are nearest to recordings.

    Args:
        images: float32 `[M, 3, H, W]` in 0..1, some static images.
        frames: `[N, T, 2, H, W]`, the recordings.
        generations: of the search from each of the best starts.
        seed: of all random numbers.
        progress: called with (generations done, generations in all, what is done).
        checkpoint: JSON file of all costs so far, written after each generation; None: none. The same search on
            the same data reads it and takes the same course, which these costs decide, without rendering events again.
    """

    def __init__(
        self,
        images: Tensor,
        frames: np.ndarray,
        generations: int = 40,
        seed: int = 0,
        progress: NamedProgress | None = None,
        checkpoint: Path | None = None,
    ) -> None:
        self.generations = generations
        self.images, self.seed, self.progress = images, seed, progress
        self.steps, self.side = frames.shape[1], min(frames.shape[3:])
        self.real = statistics(frames)
        self.ranges = ranges(self.steps, self.side)
        self.done = 0
        self.checkpoint = checkpoint
        # Costs that another search asked for would lead this one astray.
        search = (ROUNDS, SCREENED, AT_RANDOM, POPULATION, JUDGED, MODEL, starts(self.real, self.steps, self.side))
        asked = repr((frames.shape, generations, seed, search, self.ranges))
        data = (images.numpy().tobytes(), frames.tobytes(), asked.encode())
        self.digest = hashlib.sha256(b"".join(data)).hexdigest()
        self.costs = self._known_costs()  # in the order in which the search asks for them
        self.asked = 0

    def _known_costs(self) -> list[float]:
        if self.checkpoint is None or not self.checkpoint.is_file():
            return []
        try:
            known = json.loads(self.checkpoint.read_text(encoding="utf-8"))
            return [float(cost) for cost in known["costs"]] if known["digest"] == self.digest else []
        except (ValueError, KeyError, TypeError):  # damaged: the search begins again
            return []

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

    def next_cost(self, motion: Motion, seed: int = 0) -> float:
        """The cost that the search asks for next: from the checkpoint, or measured.

        Args:
            motion: the motion.
            seed: of the events.
        """
        if self.asked == len(self.costs):
            self.costs.append(self.cost(motion, seed))
        self.asked += 1
        return self.costs[self.asked - 1]

    def next_mean_cost(self, count: int, motion: Motion) -> float:
        """Mean of the costs of a motion over the first seeds, each as `next_cost`.

        Args:
            count: number of seeds.
            motion: the motion.
        """
        return float(np.mean([self.next_cost(motion, seed) for seed in range(count)]))

    def motion(self) -> Motion:
        """The best motion found."""
        self.asked = 0
        searches = [_Search(start, self) for start in starts(self.real, self.steps, self.side)]
        rounds = [(-(-self.generations // part), count or len(searches)) for part, count in ROUNDS]
        total = sum(generations * count for generations, count in rounds)
        for generations, count in rounds:
            searches = _best(searches, count)
            for search in searches:
                search.go(generations, total)
        return min(searches, key=lambda search: search.cost).motion

    def report(self, total: int) -> None:
        """Tells the progress that a generation is done, and writes the checkpoint if the generation was measured."""
        self.done += 1
        if self.checkpoint is not None and self.asked == len(self.costs):
            write_json(self.checkpoint, {"digest": self.digest, "costs": self.costs})
        if self.progress:
            self.progress(self.done, total, "fitting the motion")


def _best(searches: list[_Search], count: int) -> list[_Search]:
    """The best searches; with room for all kinds of motion, the best of each kind first."""
    ordered = sorted(searches, key=lambda search: search.cost)
    leaders = {search.kind: search for search in reversed(ordered)}
    if len(leaders) <= count:
        ordered.sort(key=lambda search: search is not leaders[search.kind])
    return ordered[:count]


class _Search:
    """CMA-ES from one start. Every generation sees other events, so that none of them is fitted by chance."""

    def __init__(self, start: Start, fit: MotionFit) -> None:
        from cmaes import CMA

        self.fit, self.kind = fit, start.own
        others = {name for names in OF_KIND.values() for name in names} - set(start.own)
        known = {name: bounds for name, bounds in fit.ranges.items() if name not in others} | dict(start.near)
        self.ranges = {name: bounds for name, bounds in known.items() if bounds.high > bounds.low}
        self.start = self._screened(start.motion)
        mean = np.array([bounds.share(getattr(self.start, name)) for name, bounds in self.ranges.items()])
        self.cma = CMA(
            mean=mean.clip(0.02, 0.98), sigma=0.15, bounds=np.tile([0.0, 1.0], (len(mean), 1)), seed=fit.seed % 2**32,
            population_size=POPULATION,
        )  # fmt: skip
        self.cost = fit.next_mean_cost(JUDGED, self.motion)

    def _screened(self, start: Motion) -> Motion:
        """The best of some motions that differ from the start in what it only guesses."""
        rng = np.random.default_rng(self.fit.seed)
        drawn: list[dict[str, Any]] = [
            {name: self.ranges[name].value(share) for name, share in zip(AT_RANDOM, shares, strict=True)}
            for shares in rng.random((SCREENED, len(AT_RANDOM)))
        ]
        return min([start, *(replace(start, **values) for values in drawn)], key=self.fit.next_cost)

    @property
    def motion(self) -> Motion:
        """The middle of the motions that are tried."""
        return self._at(self.cma.mean)

    def go(self, generations: int, total: int) -> None:
        for _ in range(generations):
            seed = JUDGED + self.cma.generation
            asked = [self.cma.ask() for _ in range(self.cma.population_size)]
            self.cma.tell([(shares, self.fit.next_cost(self._at(shares), seed)) for shares in asked])
            self.fit.report(total)
        self.cost = self.fit.next_mean_cost(JUDGED, self.motion)

    def _at(self, shares: np.ndarray) -> Motion:
        found: dict[str, Any] = {
            name: bounds.value(share) for (name, bounds), share in zip(self.ranges.items(), shares, strict=True)
        }
        found["most_steps"] = max(found["least_steps"], found["most_steps"])
        found["bright"] = round(found.get("bright", self.start.bright))
        return replace(self.start, **found)
