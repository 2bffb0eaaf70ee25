"""What a folder of own recordings is: facts, faults, and the settings with which a recipe reads it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.export.network.sampling import draw
from spikeport.pipeline.data.own_data.findings import findings_of
from spikeport.pipeline.data.own_data.folder import OwnFolder, list_folder
from spikeport.pipeline.data.own_data.folder_check import FolderCheck, count_classes, read_drawn, split_settings
from spikeport.pipeline.data.own_data.recording_facts import RecordingFacts, Unreadable, read_facts
from spikeport.pipeline.data.own_data.sensors import SensorGuess
from spikeport.pipeline.data.own_data.time_units import UnitGuess, likely_unit
from spikeport.pipeline.data.windows import Durations, period
from spikeport.progress import NamedProgress

STEPS = 10  # time steps of a recording in a written recipe
_INSIDE = 0.75  # share of all durations that a window of the median duration must hold, else steps vary


@dataclass(frozen=True, kw_only=True, repr=False)
class DataCheck(FolderCheck):
    """What a folder of event recordings contains, and what a recipe must set to read it.

    Attributes:
        unit: likely unit of the times.
        sensor: likely sensor.
        codes: codes of polarity in the files.
        events: least, median and largest number of events of a recording.
        duration_us: durations of the recordings in the likely unit.
    """

    unit: UnitGuess
    sensor: SensorGuess
    codes: tuple[int, ...]
    events: tuple[int, float, int]
    duration_us: Durations

    def _facts_json(self) -> dict[str, Any]:
        left, right, top, bottom = self.sensor.box
        return {
            "time_unit": {"unit": self.unit.unit, "stated": self.unit.stated, "events_per_s_and_pixel": self.unit.rate},
            "duration_us": dict(self.duration_us),
            "events_per_recording": dict(zip(("min", "median", "max"), self.events, strict=True)),
            "sensor": {
                "width": self.sensor.width,
                "height": self.sensor.height,
                "known": self.sensor.known,
                "box": {"x": [left, right], "y": [top, bottom]},
            },
            "polarity": {"codes": list(self.codes), "on": self.on},
        }

    def _facts(self) -> list[tuple[str, str]]:
        span, (least, median, most) = self.duration_us, self.events
        times = [period(span[key]) for key in ("least", "median", "most")]
        codes = ", ".join(map(str, self.codes))
        return [
            ("time unit", str(self.unit)),
            ("durations", f"{times[0]} to {times[2]}, median {times[1]}"),
            ("events a recording", f"{least:,} to {most:,}, median {median:,.0f}"),
            ("sensor", str(self.sensor)),
            ("polarity", f"codes {codes}; {self.on:.1%} ON"),
        ]


def check_folder(
    folder: Path, *, samples: int = 1000, seed: int = 0, progress: NamedProgress | None = None
) -> DataCheck:
    """Reads the recordings of a folder and finds what a recipe must set.

    Args:
        folder: folder of `<class>/<id>.<ext>`, or of `train` and `test` with such folders.
        samples: most recordings that are read, drawn by class; 0: all.
        seed: seed of the draw.
        progress: called with (files done, files in all, what is done).

    Raises:
        MissingDependencyError: there is no such folder.
        UserError: files do not lie in class folders, or none of them can be read.
    """
    listing = list_folder(folder)
    files = listing.files
    labels = np.array([file.label for file in files], np.int64)
    drawn = draw(samples or len(files), len(files), labels, seed=seed)
    found, unreadable, bad = read_drawn(listing, drawn, lambda file: read_facts(file.path)[0], progress)
    if not found:
        first = unreadable or [Unreadable(path=folder, reason="it holds no event file", hint="place event files there")]
        raise first[0].error(folder)
    unit = likely_unit(found)
    boxes = np.array([each.box for each in found])
    box = (int(boxes[:, 0].min()), int(boxes[:, 1].max()), int(boxes[:, 2].min()), int(boxes[:, 3].max()))
    sensor = SensorGuess.of(box, [each.sensor for each in found])
    durations = np.array([each.duration for each in found]) * unit.scale
    events = np.array([each.events for each in found])
    by_class = count_classes(listing, bad)
    span: Durations = {
        "least": int(durations.min()), "median": float(np.median(durations)), "most": int(durations.max()),
    }  # fmt: skip
    return DataCheck(
        folder=listing,
        drawn=drawn,
        formats=dict(sorted(Counter(each.format for each in found).items())),
        unit=unit,
        sensor=sensor,
        codes=tuple(sorted({code for each in found for code in each.codes})),
        on=sum(each.on for each in found) / int(events.sum()),
        events=(int(events.min()), float(np.median(events)), int(events.max())),
        duration_us=span,
        by_class=by_class,
        unreadable=tuple(unreadable),
        findings=tuple(findings_of(listing, found, unit, sensor, by_class)),
        settings=_settings(listing, found, unit, sensor, durations, by_class),
    )


def _settings(
    listing: OwnFolder,
    found: Sequence[RecordingFacts],
    unit: UnitGuess,
    sensor: SensorGuess,
    durations: np.ndarray,
    by_class: dict[str, tuple[int, int]],
) -> dict[str, Any]:
    """The keys of `[data]` that the recordings ask for, besides their folders."""
    settings: dict[str, Any] = {}
    if orders := Counter(each.columns for each in found if each.columns):
        settings["columns"] = orders.most_common(1)[0][0]
    if unit.unit != "us":
        settings["time_unit"] = unit.unit
    if any(each.step_back for each in found):
        settings["sort"] = True
    settings |= sensor.settings()
    median = float(np.median(durations))
    settings |= {"steps": STEPS, "step_us": _rounded_up((median + 1) / STEPS)}
    if np.minimum(durations, median).sum() < _INSIDE * durations.sum():
        settings["window"] = "whole"
    return settings | split_settings(listing, by_class)


def _rounded_up(number: float) -> int:
    """A whole number of two digits and zeros that is not below `number`, at least 1.

    >>> [_rounded_up(number) for number in (0.2, 7.5, 1234, 30_000.1)]
    [1, 8, 1300, 31000]
    """
    size = 10 ** max(math.floor(math.log10(max(number, 1))) - 1, 0)
    return max(math.ceil(number / size) * size, 1)
