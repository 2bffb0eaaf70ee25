"""Own recordings in class folders, `<root>/<events>/<class>/<id>.<ext>`; images by class, in idx files, or none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from spikeport.errors import UserError
from spikeport.notes import note
from spikeport.pipeline.data.dataset import Recording, StaticImages
from spikeport.pipeline.data.frames.binning import Binning, Frames
from spikeport.pipeline.data.frames.binning_files import bin_files
from spikeport.pipeline.data.images.static_images import read_images
from spikeport.pipeline.data.readers.frame_files import FrameSteps
from spikeport.pipeline.data.readers.recordings import Reading, read_recording
from spikeport.pipeline.data.readers.sensor_view import SensorView
from spikeport.pipeline.data.sources.base import Source
from spikeport.pipeline.data.sources.event_files import EventFile, Listing, list_classes, list_events, without_small
from spikeport.pipeline.data.sources.frame_listing import list_frames
from spikeport.pipeline.data.sources.image_keys import name_images
from spikeport.pipeline.data.sources.raw_dataset import RawDataset
from spikeport.pipeline.data.sources.reading import content_hash_with, labels_of, mtime_digest_with, recordings
from spikeport.pipeline.run.sections.data import Data
from spikeport.progress import NamedProgress


def load(data: Data, progress: NamedProgress | None = None) -> RawDataset:
    """The recordings and images that `data.root`, `data.events` and `data.images` name.

    Without `data.images` there is no static side, and only the method "baseline" can train. Recordings of
    `data.test_events` are the official test part. With pairing "id" every recording must have its image: that of its
    file name, plus `image_id_offset`. With pairing "class" pairs are unknown, but an image with the class and id of a
    held-out recording is not trained on.

    Args:
        data: `[data]` of the recipe.
        progress: called with (files done, files in all, what is done).

    Raises:
        UserError: a folder is not named, a file is damaged, or an image is missing.
        MissingDependencyError: a folder does not exist.
    """
    for name in ("root", "events"):
        if not getattr(data, name):
            raise UserError(
                f"class-folders needs data.{name}",
                where="data",
                hint=f'write {name} = "<folder>" in [data]; events lie in <root>/<events>/<class>/<id>.bin',
            )
    root = Path(data.root)
    list_recordings = list_frames if data.recordings == "frames" else list_events
    every = list_recordings(root / data.events)
    listing = without_small(every, data.drop_small_classes)
    dropped = tuple(name for name in every.classes if name not in listing.classes)
    classes, files = listing.classes, listing.files()
    digests, official = [listing.mtime_digest], None
    if data.test_events:
        tests = list_recordings(root / data.test_events)
        test_files = _test_files(tests, classes, dropped)
        digests.append(tests.mtime_digest)
        official = np.arange(len(files) + len(test_files)) >= len(files)
        files = [*files, *test_files]
    reading = reading_of(data)
    view = reading.view
    sensor = (data.height, data.width)
    facts = (reading,) if reading.frames is None else (reading, reading.frames)
    facts = (*facts, dropped) if dropped else facts
    of = "of ready frames " if reading.frames else ""

    def bin_all(binning: Binning, progress: NamedProgress | None) -> Frames:
        return bin_files([file.path for file in files], sensor, binning, progress, reading)

    return RawDataset(
        name=data.events,
        description=f"{len(files):,} recordings {of}in {len(classes)} classes from {data.events}"
        + (f" and {data.test_events}" if data.test_events else "")
        + (f", with static images from {data.images}, paired by {data.pairing}" if data.images else ", without images")
        + ("" if view is None else f"; {view}")
        + (f"; without the classes {', '.join(dropped)} (data.drop_small_classes)" if dropped else ""),
        classes=classes,
        keys=tuple(file.key for file in files),
        labels=labels_of(files),
        content_hash=lambda: content_hash_with(files, *facts, progress=progress),
        mtime_digest=mtime_digest_with(digests, *facts),
        read=lambda: recordings(files, sensor, reading),
        bin=bin_all,
        images=_images(data, files, classes, progress),
        paired=bool(data.images) and data.pairing == "id",
        simulated=False,
        files=tuple(file.path for file in files),
        official_test=official,
    )


def read_file(data: Data, file: EventFile) -> Recording:
    """Reads a new recording with the settings of the recipe.

    Args:
        data: `[data]` of the recipe.
        file: the recording.

    Raises:
        UserError: the file is damaged, or does not fit the sensor.
    """
    sensor = (data.height, data.width)
    return read_recording(file.path, sensor, label=file.label, key=file.key, reading=reading_of(data))


def reading_of(data: Data) -> Reading:
    """How the recipe's event files are read.

    Args:
        data: `[data]` of the recipe.
    """
    view = SensorView.of(data.sensor, data.crop, (data.height, data.width))
    size = view.sensor if view else (data.height, data.width)
    frames = FrameSteps(data.steps, data.step_us, size, data.counts) if data.recordings == "frames" else None
    return Reading(
        orientation=data.orientation, columns=data.columns, time_unit=data.time_unit, sort=data.sort, view=view,
        frames=frames,
    )  # fmt: skip


def _test_files(listing: Listing, classes: tuple[str, ...], dropped: tuple[str, ...]) -> list[EventFile]:
    """The recordings of a test folder with the classes of the training folder, under the keys test/<class>/<id>."""
    unknown = [name for name in listing.classes if name not in (*classes, *dropped)]
    if unknown:
        raise UserError(
            f"the test part has a class {unknown[0]} that the training part lacks", where=str(listing.folder),
            cause=f"classes there are {', '.join(classes)}", hint="rename the folder, or remove it",
        )  # fmt: skip
    return [
        replace(file, key=f"test/{file.key}", label=classes.index(listing.classes[file.label]))
        for file in listing.files()
        if listing.classes[file.label] in classes
    ]


def _images(
    data: Data, files: list[EventFile], classes: tuple[str, ...], progress: NamedProgress | None
) -> StaticImages:
    """The images with the keys of their recordings; none if the recipe names no folder."""
    if not data.images:
        empty = np.zeros((0, 1, data.height, data.width), np.uint8)
        return StaticImages(images=empty, labels=np.zeros(0, np.int64), keys=())
    folder = Path(data.root, data.images)
    found = read_images(folder, classes, data.height, data.width, progress)
    if lone := [name for name in list_classes(folder, least=0) if name not in classes]:
        note(f"images of {folder} are left out: no recording is of the class {', '.join(lone)}")
    strict = data.pairing == "id"
    if not strict:  # where a test recording has the class and id of a training recording, their image is held out
        files = sorted(files, key=lambda file: not file.key.startswith("test/"))
    return name_images(found, files, classes, offset=data.image_id_offset, strict=strict)


SOURCE = Source(
    name="class-folders",
    load=load,
    images=False,
    read_file=read_file,
    about="your recordings in class folders, with images by class folder or MNIST's idx files, or without images",
    needs="data.root, data.events, and data.images where there are images; events as "
    "<root>/<events>/<class>/<id>.bin|npz|aedat4|...",
)
