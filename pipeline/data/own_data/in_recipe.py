"""One event file as a recipe reads it: turned, cropped and scaled, and its part inside the time window."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.errors import UserError
from spikeport.factory import is_factory
from spikeport.pipeline.data.dataset import Recording
from spikeport.pipeline.data.frames.binning import Binning, bin_recording
from spikeport.pipeline.data.frames.facts import FACTS
from spikeport.pipeline.data.own_data.pictures import animate_recording, draw_recording
from spikeport.pipeline.data.sources.event_files import EventFile
from spikeport.pipeline.data.sources.table import SOURCES
from spikeport.pipeline.data.windows import period
from spikeport.pipeline.run.sections.data import Data


@dataclass(frozen=True, kw_only=True)
class RecordingInRecipe:
    """What a recipe makes of one event file.

    Attributes:
        data: `[data]` of the recipe.
        recording: the events on the pixels of the frames; times in microseconds.
        frames: uint8 `[T, 2, H, W]`.
        in_window: events inside the time window.
        empty: frames without an event.
    """

    data: Data
    recording: Recording = field(repr=False)
    frames: np.ndarray = field(repr=False)
    in_window: int
    empty: int

    @property
    def duration_us(self) -> int:
        """Time from the first to the last event that the recipe uses."""
        t = self.recording.events["t"]
        return int(t[-1] - t[0]) if len(t) else 0

    def to_json(self) -> dict[str, Any]:
        """All numbers in JSON values."""
        events = self.recording.events
        box = {axis: [int(events[axis].min()), int(events[axis].max())] for axis in "xy"} if len(events) else None
        return {
            "file": self.recording.origin,
            "events": len(events),
            "in_window": self.in_window,
            "duration_us": self.duration_us,
            "box": box,
            "on": float(events["p"].mean()) if len(events) else None,
            "frames": list(self.frames.shape),
            "empty_frames": self.empty,
            "step_us": self.data.step_us,
            "orientation": self.data.orientation,
            "sensor": list(self.data.sensor),
            "crop": list(self.data.crop),
        }

    def lines(self) -> list[str]:
        """The numbers as text, a line each."""
        found = self.to_json()
        steps, _, height, width = found["frames"]
        facts = [
            ("events", f"{found['events']:,} on the {width} x {height} pixels of a frame"),
            (
                "window",
                f"{self.in_window:,} of them in {steps} steps of {period(self.data.step_us)}, {self.empty} empty",
            ),
            ("duration", period(self.duration_us)),
            ("orientation", self.data.orientation),
        ]
        if self.data.window == "whole":
            facts[1] = ("window", f"all of them in {steps} equal steps, of which {self.empty} are empty")
        if self.data.sensor:
            part = " x ".join(map(str, self.data.crop[2:] or self.data.sensor))
            facts.append(("scaled", f"from {part} pixels of a sensor of {' x '.join(map(str, self.data.sensor))}"))
        if box := found["box"]:
            facts.append(("bounding box", f"x {box['x'][0]} to {box['x'][1]}, y {box['y'][0]} to {box['y'][1]}"))
            facts.append(("polarity", f"{found['on']:.1%} ON"))
        return [f"{name.ljust(14)}{value}" for name, value in facts]

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def save_picture(self, path: Path) -> None:
        """Writes a PNG with the events of six windows, upright and scaled as in the frames.

        Args:
            path: the file.
        """
        title = f"{Path(self.recording.origin).name} as the recipe reads it: {len(self.recording.events):,} events"
        draw_recording(self.recording.events, self.recording.sensor, self.duration_us, title, path)

    def save_animation(self, path: Path) -> None:
        """Writes a GIF with the events of 24 windows, upright and scaled as in the frames.

        Args:
            path: the file.
        """
        animate_recording(self.recording.events, self.recording.sensor, path)


def read_in_recipe(path: Path, data: Data) -> RecordingInRecipe:
    """Reads one event file with the settings of a recipe.

    Args:
        path: the file.
        data: `[data]` of the recipe.

    Raises:
        UserError: there is no such file, the recipe cannot read it, or no event of it lies inside the crop.
    """
    if not os.path.lexists(path):
        raise UserError("no such file", where=str(path), hint="check the name")
    if is_factory(data.source):
        raise UserError(
            f"{data.source} makes its recordings, and reads no event files", where="data.source",
            hint="leave --recipe out, or use a recipe of event files",
        )  # fmt: skip
    if data.channels is not None:
        raise UserError(
            "recordings of channels have no picture of pixels", where="data.channels",
            hint="use spikeport data preview, which draws rasters",
        )  # fmt: skip
    recording = SOURCES[data.source].read_file(data, EventFile(path=path, label=0, key=path.stem))
    if not len(recording.events):
        raise UserError("no event lies inside the crop", where=str(path), hint="correct data.crop, or data.orientation")
    facts = np.zeros(1, FACTS)
    frames = bin_recording(recording, Binning.of(data), facts)
    return RecordingInRecipe(
        data=data, recording=recording, frames=frames, in_window=int(facts["in_window"][0]),
        empty=int(facts["empty"][0]),
    )  # fmt: skip
