"""Small values that every room shares."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypedDict

Shape = tuple[int, ...]  # of one sample, without batch and time
ImageShape = tuple[int, int, int]  # channels, height, width


class IntervalJson(TypedDict):
    """An interval as JSON."""

    low: float
    nominal: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A number with its range under the stated assumptions: `low <= nominal <= high`, all in one unit.

    Attributes:
        low: the smallest value.
        nominal: the value under the nominal assumptions.
        high: the largest value.

    Raises:
        ValueError: the three are not in order, or one is not a number.

    >>> Interval(low=1.0, nominal=2.0, high=4.0).scaled(1e3)
    Interval(low=1000.0, nominal=2000.0, high=4000.0)
    """

    low: float
    nominal: float
    high: float

    def __post_init__(self) -> None:
        if any(math.isnan(value) for value in (self.low, self.nominal, self.high)):
            raise ValueError("an interval needs three numbers")
        if not self.low <= self.nominal <= self.high:
            raise ValueError(f"{self.low}, {self.nominal}, {self.high} are not in order")

    def scaled(self, factor: float) -> Interval:
        """The interval with all three values multiplied by a factor.

        Args:
            factor: a number that is not negative.
        """
        return Interval(low=factor * self.low, nominal=factor * self.nominal, high=factor * self.high)

    def to_json(self) -> IntervalJson:
        """`{low, nominal, high}`."""
        return {"low": self.low, "nominal": self.nominal, "high": self.high}

    @classmethod
    def from_json(cls, value: dict[str, float]) -> Interval:
        """The interval that `to_json` wrote.

        Args:
            value: `{low, nominal, high}`.
        """
        return cls(low=value["low"], nominal=value["nominal"], high=value["high"])


@dataclass(frozen=True)
class Missing:
    """The place of a value that is not known.

    Attributes:
        reason: why there is none, as a sentence for people.
    """

    reason: str

    def to_json(self) -> dict[str, Any]:
        """`{value: None, reason}`."""
        return {"value": None, "reason": self.reason}
