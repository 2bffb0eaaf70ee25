"""Where the search for a motion begins: bounds of its parameters, and what recordings show at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from spikeport.pipeline.data.event_synthesis.motion import Motion

# Parameters that only some kinds of motion have. The others are searched for every kind.
OF_KIND = {
    "turns": ("turn_2_rad", "turn_3_rad"),
    "shake": ("shake", "shake_cycles", "shake_spread", "wander"),
    "growth": ("rotation_rad", "zoom_rate"),
    "flicker": ("flicker", "flicker_cycles"),
}
NARROW = 4.0  # a direction has so many times the square of its normal, where recordings share it


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
        return (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5


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
        "shake_spread": Range(0, 1),
        "wander": Range(0, side / 20),
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


@dataclass(frozen=True)
class Start:
    """Where a search begins.

    Attributes:
        motion: the first motion.
        own: parameters of its kind alone that are searched too.
        near: narrower bounds of what the recordings show at once.
    """

    motion: Motion
    own: tuple[str, ...] = ()
    near: Mapping[str, Range] = field(default_factory=dict)


def starts(real: Mapping[str, np.ndarray], steps: int, side: int) -> list[Start]:
    """Where the search begins: kinds of motion, with what the recordings show at once.

    Args:
        real: statistics of the recordings.
        steps: number of time steps.
        side: the shorter side of the frames in pixels.
    """
    counts = np.expm1(real["counts"]).reshape(len(real["counts"]), steps, 2).sum(2)
    ends = steps - np.argmax(counts[:, ::-1] > 0.05 * counts.max(1, keepdims=True), axis=1)
    place = np.nanmean(real["place"].reshape(-1, 2), axis=0)
    lasting = ends.min() >= steps - 1
    apart = real["apart"].reshape(len(ends), steps, 3)[..., :2]
    common, reverse = _common_path(apart)
    axis, drift = _straight(common)
    narrow = _of_one_direction(apart)
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
    edges = [replace(seen, tracked=1.0), seen, replace(turned, tracked=1.0), turned]
    edges += [replace(one, bright=0, heading_rad=_wrapped(one.heading_rad + math.pi)) for one in edges]
    turning = all(_of_one_direction(part) for part in np.array_split(apart, 3, axis=1) if part.shape[1])
    kinds: list[tuple[Motion, tuple[str, ...]]]
    kinds = [(one, OF_KIND["turns"] if one.segments > 1 else ()) for one in edges]
    if not (narrow or turning):  # what shakes, turns about itself or flickers has no direction in common
        hand = replace(seen, speed=0.1, shake=side / 20, shake_spread=0.3, wander=side / 100)
        kinds += [
            (hand, OF_KIND["shake"]),
            (replace(seen, rotation_rad=0.03, zoom_rate=0.02), OF_KIND["growth"]),
            (replace(seen, speed=0.1, flicker=0.2), OF_KIND["flicker"]),
        ]
    shared = {1: narrow, 3: turning}
    return [Start(motion, own, _near(motion) if shared[motion.segments] else {}) for motion, own in kinds]


def _near(motion: Motion) -> dict[str, Range]:
    """Bounds of the directions of a path that the recordings have in common."""
    reverse = (max(0.0, motion.reverse - 0.2), min(1.0, motion.reverse + 0.2))
    turns = OF_KIND["turns"] if motion.segments > 1 else ()
    return {
        **{name: Range(getattr(motion, name) - 0.5, getattr(motion, name) + 0.5) for name in ("heading_rad", *turns)},
        "spread_rad": Range(0.02, 0.6, log=True),
        "reverse": Range(*reverse),
        "drift": Range(motion.drift - 1.0, motion.drift + 1.0),
        "bright": Range(motion.bright, motion.bright),
    }


def _common_path(apart: np.ndarray) -> tuple[np.ndarray, float]:
    """How ON events lie from OFF events in most recordings, step by step.

    Args:
        apart: `[N, T, 2]` pixels (y, x); NaN where a step has too few events.

    Returns:
        `[T, 2]`, which is along the motion of a bright object, and the share of recordings that have the reverse.
    """
    known = np.isfinite(apart)
    filled = np.where(known, apart, 0.0)
    pattern = np.linalg.svd(filled.reshape(len(apart), -1), full_matrices=False)[2][0]
    signs = np.where(filled.reshape(len(apart), -1) @ pattern < 0, -1.0, 1.0)
    if signs.sum() < 0:
        signs = -signs
    common = (signs[:, None, None] * filled).sum(0) / np.maximum(known.sum(0), 1)
    return common, float((signs < 0).mean())


def _straight(common: np.ndarray) -> tuple[float, float]:
    """Of a straight path: its direction, and the drift of its speed."""
    ways = np.linalg.eigh(common.T @ common)[1]
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
    return _wrapped(heading), drift


def _of_one_direction(apart: np.ndarray) -> bool:
    """Whether recordings share a direction, or its reverse, `apart` as in `_common_path`."""
    known = apart[np.isfinite(apart).all(-1)]
    values = np.linalg.eigvalsh(known.T @ known)
    return bool(len(known) and values[1] > NARROW * values[0])


def _headings(common: np.ndarray) -> tuple[float, float, float]:
    """Of a path of three parts: the direction of the first, and by how much the second and the third are turned."""
    thirds = [part if len(part) else common for part in np.array_split(common, 3)]
    angles = [math.atan2(*part.mean(0)) for part in thirds]
    return angles[0], _wrapped(angles[1] - angles[0]), _wrapped(angles[2] - angles[1])


def _wrapped(angle: float) -> float:
    """The same angle between -pi and pi."""
    return math.remainder(angle, 2 * math.pi)
