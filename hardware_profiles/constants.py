"""Types of numbers in a hardware profile. Each has a source and a grade; an unknown number has no value."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Status = Literal["measured", "fitted", "pre_silicon", "vendor", "convention", "unknown"]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1)]
Points = tuple[tuple[Amount, Amount], ...]


class Part(BaseModel):
    """Base class of sections and numbers: immutable, strict types, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Sourced(Part):
    """Source of a number.

    Attributes:
        status: grade of the number.
        source: publication or web page.
        locator: table, figure or page, and how the number was derived.
        bound: whether the source states a minimum, a maximum or a typical value.
        retrieved: date of retrieval of a web page.
        note: remark, for example the assumption behind low and high.
    """

    status: Status
    source: Text
    locator: str = ""
    bound: Literal["min", "max", "typ", "none"] = "none"
    retrieved: str = ""
    note: str = ""

    @model_validator(mode="before")
    @classmethod
    def _number_needs_source(cls, given: Any) -> Any:
        if isinstance(given, dict) and not given.get("source"):
            if given.get("value") == 0:
                raise ValueError("a literal 0 needs a source that says why it is 0 (an unknown is left out)")
            raise ValueError("a number needs its source")
        return given

    @model_validator(mode="after")
    def _unknown_has_no_value(self) -> Sourced:
        known = getattr(self, "value", None) is not None
        if known and self.status == "unknown":
            raise ValueError("status 'unknown' forbids a value")
        if not known and self.status != "unknown":
            raise ValueError(f"status {self.status!r} needs a value; without one write status = 'unknown'")
        return self


class Constant(Sourced):
    """A number with an interval.

    Attributes:
        value: nominal value; None if it is unknown.
        low: lower end of the interval; None if it equals `value`.
        high: upper end of the interval; None if it equals `value`.
    """

    value: Amount | None = None
    low: Amount | None = None
    high: Amount | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Constant:
        if self.value is None:
            if self.low is not None or self.high is not None:
                raise ValueError("low and high need a value between them")
        elif not self.interval[0] <= self.value <= self.interval[2]:
            raise ValueError(f"low <= value <= high is broken: {self.low}, {self.value}, {self.high}")
        return self

    @property
    def interval(self) -> tuple[float, float, float]:
        """(low, value, high). Raises LookupError if the value is unknown."""
        if self.value is None:
            raise LookupError("an unknown constant has no interval")
        return (
            self.value if self.low is None else self.low,
            self.value,
            self.value if self.high is None else self.high,
        )


class EnergyConstant(Constant):
    """Energy of one operation.

    Attributes:
        op: the operation.
        unit: "pJ".
    """

    op: Literal[
        "synop",
        "synop_dense",
        "synop_conv",
        "synop_sparse",
        "synop_mac",
        "neuron_active",
        "neuron_inactive",
        "neuron_event",
        "spike_out",
        "message_out",
        "spike_local",
        "hop_ew",
        "hop_ns",
        "learn_update",
        "weight_read_byte",
        "state_read_byte",
        "state_write_byte",
        "dram_byte",
        "barrier",
        "reset_chip",
        "add",
        "mul",
    ]
    unit: Literal["pJ"]


class Curve(Sourced):
    """A piecewise linear function, constant beyond its points.

    Attributes:
        value: points (x, y) of the nominal function, x ascending; None if it is unknown.
        high: points of the upper estimate, or None.
    """

    value: Points | None = None
    high: Points | None = None

    @model_validator(mode="after")
    def _ascending(self) -> Curve:
        for points in (self.value, self.high):
            if points is not None and (not points or any(b[0] <= a[0] for a, b in pairwise(points))):
                raise ValueError("the points of a curve ascend: each starts right of the one before")
        return self


class AccessCurve(Curve):
    """Energy of a memory access, pJ, as a function of the buffer's size in bytes.

    It is not constant beyond its points, see `schema.Memory`.
    """

    @model_validator(mode="after")
    def _from_zero_and_never_falling(self) -> AccessCurve:
        for points in (self.value, self.high):
            if points is None:
                continue
            if len(points) < 2 or points[0][0] != 0:
                raise ValueError("needs two points or more, the first at a buffer of 0 bytes")
            if any(b[1] < a[1] for a, b in pairwise(points)):
                raise ValueError("an access to a larger buffer never costs less than one to a smaller")
        if self.value and self.high:
            ends = [x for x, _ in (*self.value, *self.high)]
            if any(line(self.high, x) < line(self.value, x) for x in ends):
                raise ValueError("high is below value")
        return self


class Range(Sourced):
    """A lower and an upper limit.

    Attributes:
        value: (lower, upper); None if they are unknown.
    """

    value: tuple[int, int] | None = None


class Choices(Sourced):
    """A list of possible values.

    Attributes:
        value: the values, ascending; None if they are unknown.
    """

    value: tuple[int, ...] | None = None


def line(points: Points, x: float) -> float:
    """Interpolates linearly between points.

    Args:
        points: (x, y), x ascending, two or more.
        x: where to evaluate. Beyond the last point, the last segment is extrapolated.
    """
    (x0, y0), (x1, y1) = next((pair for pair in pairwise(points) if x <= pair[1][0]), points[-2:])
    return y0 + (y1 - y0) / (x1 - x0) * (x - x0)
