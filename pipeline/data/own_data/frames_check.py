"""What a folder of ready frames is: sizes, faults, and the settings with which a recipe reads it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.export.network.sampling import draw
from spikeport.pipeline.data.own_data.findings import Finding, findings_of_listing, of_lost_polarity
from spikeport.pipeline.data.own_data.folder import OwnFolder, own_parts
from spikeport.pipeline.data.own_data.folder_check import FolderCheck, count_classes, read_drawn, split_settings
from spikeport.pipeline.data.own_data.recording_facts import Unreadable
from spikeport.pipeline.data.own_data.sensors import SensorGuess
from spikeport.pipeline.data.readers.frame_files import read_frames
from spikeport.pipeline.data.readers.recordings import read_events
from spikeport.pipeline.data.sources.event_files import EventFile, list_classes, stem_of
from spikeport.pipeline.data.sources.frame_listing import are_frames, frame_entries
from spikeport.pipeline.run.sections.data import Data
from spikeport.progress import NamedProgress

_NO_TIME = "frames state no time: set data.step_us to the duration of a frame in microseconds; {:,} is assumed"


@dataclass(frozen=True)
class _Read:
    """One recording: number, height and width of its frames, and values that are not 0 in each channel."""

    file: EventFile
    shape: tuple[int, int, int]
    off: int
    on: int


@dataclass(frozen=True, kw_only=True, repr=False)
class FramesCheck(FolderCheck):
    """What a folder of ready frames contains, and what a recipe must set to read it.

    Attributes:
        shape: number, height and width of the frames of most recordings.
        active: share of values that are not 0.
    """

    shape: tuple[int, int, int]
    active: float

    def _facts_json(self) -> dict[str, Any]:
        steps, height, width = self.shape
        return {
            "frames": {"steps": steps, "height": height, "width": width, "active": self.active},
            "polarity": {"on": self.on},
        }

    def _facts(self) -> list[tuple[str, str]]:
        return [
            ("ready frames", f"{_text(self.shape)} pixels, {self.active:.2%} of the values not 0"),
            ("polarity", f"{self.on:.1%} ON"),
        ]


def is_frames_folder(folder: Path) -> bool:
    """Whether the recordings of a folder seem to be ready frames.

    Args:
        folder: folder of class folders, or of `train` and `test` with such folders.

    Raises:
        MissingDependencyError: there is no such folder.
        UserError: recordings do not lie in class folders.
    """
    events, _ = own_parts(folder)
    return are_frames(events, list_classes(events))


def check_frames(
    folder: Path, *, samples: int = 1000, seed: int = 0, progress: NamedProgress | None = None
) -> FramesCheck:
    """Reads the ready frames of a folder and finds what a recipe must set.

    Args:
        folder: folder of `<class>/<id>.npy` or `<class>/<id>/<n>.png`, or of `train` and `test` with such folders.
        samples: most recordings that are read, drawn by class; 0: all.
        seed: seed of the draw.
        progress: called with (recordings done, recordings in all, what is done).

    Raises:
        UserError: no recording can be read.
    """
    listing = _list(folder)
    labels = np.array([file.label for file in listing.files], np.int64)
    if not listing.files:
        raise listing.refused[0].error(folder)
    drawn = draw(samples or len(labels), len(labels), labels, seed=seed)
    read, unreadable, bad = read_drawn(listing, drawn, _read, progress)
    if not read:
        raise unreadable[0].error(folder)
    shape = Counter(each.shape for each in read).most_common(1)[0][0]
    for each in read:
        if each.shape != shape:
            reason = f"{_text(each.shape)}, where most have {_text(shape)}"
            hint = "bin all recordings into frames of one number and size"
            unreadable.append(Unreadable(path=each.file.path, reason=reason, hint=hint))
            bad.append(each.file)
    alike = [each for each in read if each.shape == shape]
    by_class = count_classes(listing, bad)
    off, on = sum(each.off for each in alike), sum(each.on for each in alike)
    lost = [each.file.path for each in alike if not (each.off and each.on)]
    step_us = Data().step_us
    steps, height, width = shape
    sensor = SensorGuess((0, width - 1, 0, height - 1), False, width, height, known=False)
    return FramesCheck(
        folder=listing,
        drawn=drawn,
        formats=dict(sorted(Counter(_format(each.file.path) for each in read).items())),
        shape=shape,
        on=on / max(off + on, 1),
        active=(off + on) / (2 * steps * height * width * len(alike)),
        by_class=by_class,
        unreadable=tuple(unreadable),
        findings=(
            Finding("time", _NO_TIME.format(step_us)),
            *of_lost_polarity(lost, len(alike)),
            *findings_of_listing(listing, by_class),
        ),
        settings={"recordings": "frames", **sensor.settings(), "steps": steps, "step_us": step_us}
        | split_settings(listing, by_class),
    )


def _read(file: EventFile) -> _Read:
    frames = read_events(file.path, read_frames)
    steps, _, height, width = frames.shape
    off, on = map(int, frames.sum(axis=(0, 2, 3)))
    return _Read(file, (steps, height, width), off, on)


def _list(folder: Path) -> OwnFolder:
    """The recordings of all classes; what is no recording is listed, not refused."""
    events, tests = own_parts(folder)
    classes = list_classes(events)
    files: list[EventFile] = []
    refused: list[Unreadable] = []
    for part in (events,) if tests is None else (events, tests):
        for name in list_classes(part):
            if name not in classes:
                reason = "the training part has no such class"
                refused.append(Unreadable(path=part / name, reason=reason, hint="rename it, or remove it"))
                continue
            entries, wrong = frame_entries(part / name)
            refused += [Unreadable.of(path, error) for path, error in wrong]
            label = classes.index(name)
            files += [EventFile(path=path, label=label, key=f"{name}/{stem_of(path.name)}") for path in entries]
    return OwnFolder(events=events, test_events=tests, classes=classes, files=tuple(files), refused=tuple(refused))


def _format(path: Path) -> str:
    return "pictures" if path.is_dir() else path.suffix.lower()


def _text(shape: tuple[int, int, int]) -> str:
    return f"{shape[0]} frames of {shape[2]} x {shape[1]}"
