"""What one event file contains: numbers, a picture, an animation."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.errors import UserError
from spikeport.pipeline.data.own_data.pictures import animate_recording, draw_recording
from spikeport.pipeline.data.own_data.recording_facts import RecordingFacts, read_facts
from spikeport.pipeline.data.own_data.sensors import SensorGuess
from spikeport.pipeline.data.own_data.time_units import UnitGuess, likely_unit
from spikeport.pipeline.data.windows import period
from spikeport.regular_files import open_regular


@dataclass(frozen=True, kw_only=True)
class RecordingDescription:
    """One recording without a recipe.

    Attributes:
        facts: what the file contains.
        unit: likely unit of its times.
        sensor: likely sensor, from the bounding box of the events.
        events: EVENT_DTYPE `[N]` sorted by time; coordinates count from 0, times as in `facts`.
    """

    facts: RecordingFacts
    unit: UnitGuess
    sensor: SensorGuess
    events: np.ndarray = field(repr=False)

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.facts.events / max(self.unit.median_us, 1e-3) * 1e6

    def unknown(self) -> list[str]:
        """What the file does not state, as sentences."""
        found = []
        if not self.unit.stated:
            text = f"the unit of time: {self.unit.unit} is assumed, because duration and rate are then plausible"
            found.append(text)
        if self.facts.columns:
            found.append(f'the order of the columns: "{self.facts.columns}" is assumed, from their values')
        if self.sensor.from_one:
            found.append("whether coordinates count from 1: it is assumed, because none is 0")
        if not self.sensor.stated:
            found.append(f"the size of the sensor: {self.sensor}")
        return found

    def to_json(self) -> dict[str, Any]:
        """All numbers in JSON values."""
        left, right, top, bottom = self.facts.box
        return {
            "file": str(self.facts.path),
            "format": self.facts.format,
            "events": self.facts.events,
            "duration_us": self.unit.median_us,
            "time_unit": {"unit": self.unit.unit, "stated": self.unit.stated},
            "events_per_s": self.rate,
            "box": {"x": [left, right], "y": [top, bottom]},
            "sensor": {"width": self.sensor.width, "height": self.sensor.height, "known": self.sensor.known},
            "columns": self.facts.columns or None,
            "polarity": {"codes": list(self.facts.codes), "on": self.facts.on / self.facts.events},
            "sorted": not self.facts.step_back,
            "step_back_us": self.facts.step_back * self.unit.scale,
            "unknown": self.unknown(),
        }

    def lines(self) -> list[str]:
        """The numbers as text, a line each."""
        left, right, top, bottom = self.facts.box
        back = period(self.facts.step_back * self.unit.scale)
        facts = [
            ("format", self.facts.format),
            ("events", f"{self.facts.events:,}"),
            ("duration", f"{period(self.unit.median_us)}, if times are in {self.unit.unit}"),
            ("rate", f"{self.rate:,.0f} events a second"),
            ("bounding box", f"x {left} to {right}, y {top} to {bottom}"),
            ("polarity", f"codes {', '.join(map(str, self.facts.codes))}; {self.facts.on / self.facts.events:.1%} ON"),
            ("order", f"not sorted by time, by up to {back}" if self.facts.step_back else "sorted by time"),
        ]
        if self.unit.stated:
            facts[2] = ("duration", period(self.unit.median_us))
        if self.sensor.stated:
            facts.append(("sensor", f"{self.sensor.width} x {self.sensor.height}, as the header states"))
        unknown = ["not known:", *map("  {}".format, self.unknown())] if self.unknown() else []
        return [*(f"{name.ljust(14)}{value}" for name, value in facts), *unknown]

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def save_picture(self, path: Path) -> None:
        """Writes a PNG with the events of six windows.

        Args:
            path: the file.
        """
        title = f"{self.facts.path.name}: {self.facts.events:,} events in {period(self.unit.median_us)}"
        draw_recording(self.events, (self.sensor.height, self.sensor.width), self.unit.median_us, title, path)

    def save_animation(self, path: Path) -> None:
        """Writes a GIF with the events of 24 windows.

        Args:
            path: the file.
        """
        animate_recording(self.events, (self.sensor.height, self.sensor.width), path)


def describe_file(path: Path) -> RecordingDescription:
    """Reads one event file.

    Args:
        path: the file.

    Raises:
        UserError: the file does not exist or cannot be read.
        MissingDependencyError: the decompressor of the format is not installed.
    """
    if not os.path.lexists(path):
        raise UserError("no such file", where=str(path), hint="check the name")
    open_regular(path).close()
    facts, events = read_facts(path)
    sensor = SensorGuess.of(facts.box, [facts.sensor])
    if sensor.from_one:
        events = events.copy()
        events["x"] -= 1
        events["y"] -= 1
    return RecordingDescription(facts=facts, unit=likely_unit([facts]), sensor=sensor, events=events)
