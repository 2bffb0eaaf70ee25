"""The part of a sensor that is used, and the frame to which it is scaled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.pipeline.data.events import check_events


@dataclass(frozen=True)
class SensorView:
    """A crop of a sensor, scaled to a frame.

    Attributes:
        sensor: height and width of the upright sensor.
        crop: first row, first column, height and width of the part that is used.
        target: height and width of the frame.
    """

    sensor: tuple[int, int]
    crop: tuple[int, int, int, int]
    target: tuple[int, int]

    def __str__(self) -> str:
        top, left, height, width = self.crop
        whole = (height, width) == self.sensor
        part = "" if whole else f", of which x {left} to {left + width - 1} and y {top} to {top + height - 1} are used"
        return (
            f"sensor of {self.sensor[1]} x {self.sensor[0]} pixels{part}, scaled to {self.target[1]} x {self.target[0]}"
        )

    @classmethod
    def of(
        cls,
        sensor: tuple[int, int] | tuple[()],
        crop: tuple[int, int, int, int] | tuple[()],
        target: tuple[int, int],
    ) -> SensorView | None:
        """The view that a recipe asks for; None if the sensor is the frame.

        Args:
            sensor: width and height, as cameras state them; empty: those of the frame.
            crop: x, y, width and height; empty: the whole sensor.
            target: height and width of the frame.
        """
        if not sensor:
            return None
        x, y, width, height = crop or (0, 0, *sensor)
        found = cls((sensor[1], sensor[0]), (y, x, height, width), target)
        return None if found.crop == (0, 0, *target) and found.sensor == target else found

    def apply(self, events: np.ndarray, where: str) -> np.ndarray:
        """Events of the crop on the pixels of the frame: row y of a crop of H rows becomes floor(y * height / H).

        Args:
            events: EVENT_DTYPE `[N]`, of the upright sensor.
            where: the file, for errors.

        Raises:
            UserError: an event lies outside the sensor.
        """
        check_events(events, *self.sensor, where=where, ordered=False)
        top, left, height, width = self.crop
        x, y = events["x"].astype(np.int64) - left, events["y"].astype(np.int64) - top
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        used = events[inside]
        used["x"] = x[inside] * self.target[1] // width
        used["y"] = y[inside] * self.target[0] // height
        return used
