"""What a folder of own recordings is: facts, faults, and the settings with which a recipe reads it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.errors import MissingDependencyError, UserError
from spikeport.export.network.sampling import Drawn, draw, words
from spikeport.pipeline.data.own_data.findings import Finding, findings_of
from spikeport.pipeline.data.own_data.folder import OwnFolder, list_folder
from spikeport.pipeline.data.own_data.recording_facts import RecordingFacts, Unreadable, read_facts
from spikeport.pipeline.data.own_data.sensors import SensorGuess
from spikeport.pipeline.data.own_data.time_units import UnitGuess, likely_unit
from spikeport.pipeline.data.windows import Durations, period
from spikeport.progress import NamedProgress
from spikeport.tables import text_table

STEPS = 10  # time steps of a recording in a written recipe
_INSIDE = 0.75  # share of all durations that a window of the median duration must hold, else steps vary


@dataclass(frozen=True, kw_only=True)
class DataCheck:
    """What a folder of recordings contains, and what a recipe must set to read it.

    Attributes:
        folder: the folder, with its classes and files.
        drawn: which of the files were read.
        formats: number of recordings by extension.
        unit: likely unit of the times.
        sensor: likely sensor.
        codes: codes of polarity in the files.
        on: share of ON events.
        events: least, median and largest number of events of a recording.
        duration_us: durations of the recordings in the likely unit.
        by_class: readable recordings of each class in the training part and in the test part; a class without a file
            that was read has 0.
        unreadable: files that are not read, with reason and hint.
        findings: what looks wrong or has to be known.
        settings: keys of `[data]` that differ with the data.
    """

    folder: OwnFolder
    drawn: Drawn
    formats: dict[str, int]
    unit: UnitGuess
    sensor: SensorGuess
    codes: tuple[int, ...]
    on: float
    events: tuple[int, float, int]
    duration_us: Durations
    by_class: dict[str, tuple[int, int]]
    unreadable: tuple[Unreadable, ...]
    findings: tuple[Finding, ...]
    settings: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """All facts in JSON values."""
        left, right, top, bottom = self.sensor.box
        tests = self.folder.test_events
        return {
            "events": str(self.folder.events),
            "test_events": None if tests is None else str(tests),
            "files": len(self.folder.files),
            "sample": self.drawn.as_dict(),
            "classes": {name: {"recordings": n, "test": m} for name, (n, m) in self.by_class.items()},
            "formats": self.formats,
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
            "unreadable": [each.to_json() for each in self.unreadable],
            "findings": [each.to_json() for each in self.findings],
            "settings": {key: list(v) if isinstance(v, tuple) else v for key, v in self.settings.items()},
        }

    def lines(self) -> list[str]:
        """The facts as text, a line each."""
        span, (least, median, most) = self.duration_us, self.events
        times = [period(span[key]) for key in ("least", "median", "most")]
        codes = ", ".join(map(str, self.codes))
        sample = f" ({words(self.drawn.as_dict())})" if not self.drawn.whole else ""
        facts = [
            ("recordings", f"{len(self.folder.files):,} in {len(self.by_class)} classes{sample}"),
            ("formats", ", ".join(f"{name} {count:,}" for name, count in self.formats.items())),
            ("time unit", str(self.unit)),
            ("durations", f"{times[0]} to {times[2]}, median {times[1]}"),
            ("events a recording", f"{least:,} to {most:,}, median {median:,.0f}"),
            ("sensor", str(self.sensor)),
            ("polarity", f"codes {codes}; {self.on:.1%} ON"),
        ]
        has_test = self.folder.test_events is not None
        rows = [(name, *counts[: 1 + has_test]) for name, counts in self.by_class.items()]
        lines = [f"{name.ljust(20)}{value}" for name, value in facts]
        lines += ["", *text_table(("class", "recordings", *(["test"] if has_test else [])), rows)]
        if self.unreadable:
            lines += ["", "not read:"]
            lines += [f"  {each.path}: {each.reason}. Hint: {each.hint}" for each in self.unreadable]
        if self.findings:
            lines += ["", "found:", *(f"  {each.topic}: {each.text}" for each in self.findings)]
        return [*lines, "", "set in [data]:", *(f"  {key} = {_toml(value)}" for key, value in self.settings.items())]

    def __repr__(self) -> str:
        return "\n".join(self.lines())


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
    found: list[RecordingFacts] = []
    unreadable = list(listing.refused)
    bad: Counter[tuple[int, bool]] = Counter()
    for done, row in enumerate(drawn.rows, 1):
        file = files[row]
        try:
            found.append(read_facts(file.path)[0])
        except (UserError, MissingDependencyError) as error:
            unreadable.append(Unreadable.of(file.path, error))
            bad[file.label, listing.is_test(file)] += 1
        if progress:
            progress(done, len(drawn.rows), "reading event files")
    if not found:
        first = unreadable[0] if unreadable else None
        raise UserError(
            "no recording can be read", where=str(folder), cause=f"{first.path}: {first.reason}" if first else "",
            hint=first.hint if first else "place event files there",
        )  # fmt: skip
    unit = likely_unit(found)
    boxes = np.array([each.box for each in found])
    box = (int(boxes[:, 0].min()), int(boxes[:, 1].max()), int(boxes[:, 2].min()), int(boxes[:, 3].max()))
    sensor = SensorGuess.of(box, [each.sensor for each in found])
    durations = np.array([each.duration for each in found]) * unit.scale
    events = np.array([each.events for each in found])
    counted = Counter((file.label, listing.is_test(file)) for file in files)
    counted.subtract(bad)
    by_class = {name: (counted[label, False], counted[label, True]) for label, name in enumerate(listing.classes)}
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
    count = sum(train for train, _ in by_class.values())
    settings["validation"] = max(count // 10, 1)
    if listing.test_events is None:
        settings["test"] = max(count // 5, 1)
    else:
        settings |= {"test": 0, "split": "official"}
    return settings


def _rounded_up(number: float) -> int:
    """A whole number of two digits and zeros that is not below `number`, at least 1.

    >>> [_rounded_up(number) for number in (0.2, 7.5, 1234, 30_000.1)]
    [1, 8, 1300, 31000]
    """
    size = 10 ** max(math.floor(math.log10(max(number, 1))) - 1, 0)
    return max(math.ceil(number / size) * size, 1)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(list(value)) if isinstance(value, tuple) else f'"{value}"' if isinstance(value, str) else str(value)
