"""Named sets without images: their recordings train a student with the method "baseline"."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from spikeport.errors import UserError
from spikeport.pipeline.data.dataset import Recording, StaticImages
from spikeport.pipeline.data.events import check_events
from spikeport.pipeline.data.sources import resizing
from spikeport.pipeline.data.sources.base import Source
from spikeport.pipeline.data.sources.event_files import EventFile
from spikeport.pipeline.data.sources.raw_dataset import RawDataset
from spikeport.pipeline.data.sources.reading import (
    content_hash_with,
    labels_of,
    mtime_digest_of_paths,
    mtime_digest_with,
    read_one,
)
from spikeport.pipeline.run.sections.data import Data
from spikeport.progress import NamedProgress


def check_no_images(data: Data, name: str) -> None:
    """Refuses `data.images`.

    Args:
        data: `[data]` of the recipe.
        name: name of the data set, for the error.

    Raises:
        UserError: the recipe names images.
    """
    if data.images:
        raise UserError(f"{name} has no images", where="data.images", hint='set images = ""')


def read_scaled(
    data: Data,
    file: EventFile,
    *,
    sensor: tuple[int, int],
    change: Callable[[np.ndarray], np.ndarray] | None = None,
    decoders: Mapping[str, Callable[[Path], np.ndarray]] | None = None,
) -> Recording:
    """Reads one recording, scaled to the frames of the recipe.

    Args:
        data: `[data]` of the recipe.
        file: the recording.
        sensor: height and width of the sensor.
        change: turns events on the sensor.
        decoders: readers by extension, in place of the usual ones.

    Raises:
        UserError: the file is damaged, or does not fit the sensor.
    """
    target = (data.height, data.width)

    def scaled(events: np.ndarray, origin: str) -> np.ndarray:
        check_events(events, *sensor, where=origin)
        return resizing.shrink(events if change is None else change(events), origin, sensor=sensor, target=target)

    return read_one(file, target, scaled, (decoders or {}).get(file.path.suffix.lower()))


def raw_without_images(
    source: Source,
    data: Data,
    files: list[EventFile],
    classes: tuple[str, ...],
    description: str,
    *,
    progress: NamedProgress | None,
    official_test: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> RawDataset:
    """The recordings of such a set, scaled to the frames of the recipe.

    Args:
        source: the data set.
        data: `[data]` of the recipe.
        files: the recordings.
        classes: names of the classes, in order of label.
        description: one sentence, for the report.
        progress: called with (files done, files in all, what is done).
        official_test: bool `[N]`, which recordings belong to the published test part, or None.
        groups: int64 `[N]`, group of each recording, or None.
    """
    facts = (source.name, resizing.VERSION, (data.height, data.width))
    return RawDataset(
        name=source.name,
        description=description,
        classes=classes,
        keys=tuple(file.key for file in files),
        labels=labels_of(files),
        content_hash=lambda: content_hash_with(files, *facts, progress=progress),
        mtime_digest=mtime_digest_with([mtime_digest_of_paths([file.path for file in files])], *facts),
        read=lambda: (source.read_file(data, file) for file in files),
        images=StaticImages(images=np.zeros((0, 1, 128, 128), np.uint8), labels=np.zeros(0, np.int64), keys=()),
        paired=False,
        simulated=False,
        files=tuple(file.path for file in files),
        official_test=official_test,
        groups=groups,
    )
