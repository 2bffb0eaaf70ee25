"""The likely unit of times that no file states."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spikeport.pipeline.data.own_data.recording_facts import RecordingFacts
from spikeport.pipeline.data.windows import period

PLAUSIBLE_US = (1_000, 600_000_000)  # recordings of a classifier last from 1 ms to 10 minutes
_RATE = 3.0  # events a second and pixel; N-MNIST has 11, DVS Gesture 4, POKER-DVS 100, quiet scenes 0.1
_UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6, "ns": 1e-3}  # microseconds of a unit, in the order of preference
_OTHER = 100  # times longer or shorter than the median: a unit is more likely than another recording


@dataclass(frozen=True)
class UnitGuess:
    """The unit with which durations and rates of events are plausible.

    Attributes:
        unit: "us", "ms", "ns" or "s".
        stated: whether the format states it.
        median_us: median duration of a recording in it, in microseconds.
        rate: median rate of events in it, for each second and pixel of the bounding box.
        others: recordings that last 100 times longer or shorter than the median.
    """

    unit: str
    stated: bool
    median_us: float
    rate: float
    others: tuple[RecordingFacts, ...]

    @property
    def scale(self) -> float:
        """Microseconds of the unit."""
        return _UNITS[self.unit]

    def __str__(self) -> str:
        rate = f"{self.rate:,.0f}" if self.rate >= 10 else f"{self.rate:.2g}"
        reason = "as the format states" if self.stated else "likely"
        return (
            f"{self.unit} ({reason}): the median recording lasts {period(self.median_us)}, with {rate} events "
            "a second and pixel"
        )


def likely_unit(recordings: Sequence[RecordingFacts]) -> UnitGuess:
    """Compares the durations and rates in each unit with those of event cameras.

    Durations must be from 1 ms to 10 minutes. Of the units for which they are, the one whose rate of events is nearest
    to 3 a second and pixel is likely; us is preferred unless another is ten times nearer.

    Args:
        recordings: facts of the files, at least one.
    """
    tables = [each for each in recordings if not each.states_unit]
    asked = tables or recordings
    median = float(np.median([each.duration for each in asked]))
    density = float(np.median([each.events / each.pixels for each in asked]))
    fractions = any(each.fractions for each in tables)
    units = ["us"] if not tables else [unit for unit in _UNITS if not fractions or unit in ("ms", "s")]
    unit = min(units, key=lambda unit: _distance(median * _UNITS[unit], density, unit))
    us = median * _UNITS[unit]
    others = tuple(each for each in asked if not median / _OTHER <= each.duration <= median * _OTHER)
    return UnitGuess(unit, not tables, us, _rate(us, density), others)


def _distance(us: float, density: float, unit: str) -> float:
    """How far a median duration and its rate are from plausible ones, in decades."""
    least, most = PLAUSIBLE_US
    outside = 0.0 if least <= us <= most else 10.0
    return outside + abs(math.log10(max(_rate(us, density), 1e-9) / _RATE)) + (0 if unit == "us" else 1)


def _rate(us: float, density: float) -> float:
    """Events a second and pixel."""
    return density / max(us, 1e-3) * 1e6
