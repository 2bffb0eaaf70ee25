"""The likely sensor of recordings, from the bounding box of their events, and the frame to which it is scaled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

KNOWN = ((34, 34), (128, 128), (240, 180), (304, 240), (346, 260), (640, 480), (1280, 720))  # width and height
FRAME = 64  # largest side of a frame that a small network is trained on
_EVEN = 4  # sides of sensors are multiples of it
_COVERED = 0.75  # share of a side of a known sensor that events must reach


@dataclass(frozen=True)
class SensorGuess:
    """The sensor that recordings fit.

    Attributes:
        box: first and last column, first and last row with an event, as stored.
        from_one: whether coordinates count from 1.
        width: columns of the sensor.
        height: rows of the sensor.
        known: whether it is the size of a common sensor, not only the bounding box.
        stated: whether it is the size in the headers of the files.
    """

    box: tuple[int, int, int, int]
    from_one: bool
    width: int
    height: int
    known: bool
    stated: bool = False

    @classmethod
    def of(cls, box: tuple[int, int, int, int], stated: Iterable[tuple[int, int] | None] = ()) -> SensorGuess:
        """The size that all headers state, else the smallest common sensor that holds and nearly fits a bounding box.

        If there is none, the sensor is the bounding box from 0.

        Args:
            box: first and last column, first and last row with an event.
            stated: width and height in the header of each file, or None.
        """
        left, right, top, bottom = box
        sizes = set(stated)
        if len(sizes) == 1 and (size := sizes.pop()) and right < size[0] and bottom < size[1]:
            return cls(box, False, *size, known=size in KNOWN, stated=True)
        from_one = left == top == 1 and _is_size(right, bottom)
        width, height = right + 1 - from_one, bottom + 1 - from_one
        for common in KNOWN:
            if width <= common[0] and height <= common[1]:
                if width >= _COVERED * common[0] and height >= _COVERED * common[1]:
                    return cls(box, from_one, *common, known=True)
                break
        return cls(box, from_one, width, height, known=False)

    @property
    def frame(self) -> tuple[int, int]:
        """Width and height of the frame: the sensor, scaled down to at most FRAME pixels a side."""
        scale = min(1.0, FRAME / max(self.width, self.height))
        return max(round(self.width * scale), 1), max(round(self.height * scale), 1)

    def settings(self) -> dict[str, Any]:
        """The keys of `[data]` for this sensor. Coordinates from 1 become those from 0 by a crop."""
        width, height = self.frame
        found: dict[str, Any] = {"height": height, "width": width}
        if self.from_one:
            found["sensor"] = (self.width + 1, self.height + 1)
            found["crop"] = (1, 1, self.width, self.height)
        elif (width, height) != (self.width, self.height):
            found["sensor"] = (self.width, self.height)
        return found

    def __str__(self) -> str:
        left, right, top, bottom = self.box
        origin = "a common sensor" if self.known else "the bounding box; set the true size if it is larger"
        origin = "as the header states" if self.stated else origin
        return f"{self.width} x {self.height} ({origin}); events lie in x {left} to {right}, y {top} to {bottom}"


def _is_size(right: int, bottom: int) -> bool:
    """Whether the last column and row, counted from 1, are the size of a sensor, and not a place inside one."""
    common = any(right == width or bottom == height for width, height in KNOWN)
    return common or right % _EVEN == bottom % _EVEN == 0
