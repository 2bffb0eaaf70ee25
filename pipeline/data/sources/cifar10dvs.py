"""CIFAR10-DVS with CIFAR-10.

Which CIFAR-10 image a recording shows is not published. With a file of pairs (`data.pairs`) they are paired by key, and
images of held-out recordings are not trained on. Without it they are paired by class, and the image of a test recording
may be trained on, as the description says.
"""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path

import numpy as np

from spikeport.errors import MissingDependencyError, UserError
from spikeport.pipeline.data.dataset import Recording, StaticImages
from spikeport.pipeline.data.downloads.archives import Archive
from spikeport.pipeline.data.images.static_images import ImageSet, read_images
from spikeport.pipeline.data.readers.cifar10 import CLASSES, read_cifar10
from spikeport.pipeline.data.sources import resizing
from spikeport.pipeline.data.sources.base import Source
from spikeport.pipeline.data.sources.event_files import EventFile, list_events
from spikeport.pipeline.data.sources.raw_dataset import RawDataset
from spikeport.pipeline.data.sources.reading import content_hash_with, labels_of, mtime_digest_with, read_one
from spikeport.pipeline.run.sections.data import Data
from spikeport.progress import NamedProgress

SENSOR = (128, 128)
PUBLISHED = 10_000


def load(data: Data, progress: NamedProgress | None = None) -> RawDataset:
    """The recordings of <root>/CIFAR10DVS/<class> and the images of <root>/CIFAR10/cifar-10-batches-bin.

    `data.images` may name a folder of pictures by class instead. `data.pairs` names a CSV file with the columns
    recording (airplane/cifar10_airplane_0) and image (data_batch_1/17, or airplane/0001 for pictures), one line a
    recording.

    Args:
        data: `[data]` of the recipe.
        progress: called with (files done, files in all, what is done).

    Raises:
        UserError: `data.pairing` is "id" and there is no file of pairs, or it is wrong.
    """
    events = Path(data.root, data.events or "CIFAR10DVS")
    images = Path(data.root, data.images or "CIFAR10/cifar-10-batches-bin")
    if data.pairing == "id" and not data.pairs:
        raise UserError(
            "which CIFAR-10 image each recording shows is not published",
            where="data.pairing",
            hint='set pairing = "class" (the original of a test recording may then be trained on), or name a file of '
            "pairs as data.pairs",
        )
    listing = list_events(events, SOURCE.missing("CIFAR10DVS", events))
    classes, files = listing.classes, listing.files()
    unknown = set(classes) - set(CLASSES)
    if unknown:
        raise UserError(f"{min(unknown)!r} is not a class of CIFAR-10", where=str(events), hint="remove or rename it")
    if not images.is_dir():
        raise SOURCE.missing("CIFAR10/cifar-10-batches-bin", images)
    if (images / classes[0]).is_dir():
        found = read_images(images, classes, data.height, data.width, progress)
        found = ImageSet(
            images=found.images,
            classes=found.classes,
            ids=tuple(f"{name}/{stem}" for name, stem in zip(found.classes, found.ids, strict=True)),
        )
    else:
        found = read_cifar10(images)
    paired_images = _pairs(Path(data.root, data.pairs), files, found, classes) if data.pairs else {}
    size = (data.height, data.width)
    facts = ("cifar10dvs", resizing.VERSION, size)
    paired = (
        "paired by key" if paired_images else "paired by class: originals of test recordings may be among the images"
    )
    return RawDataset(
        name="cifar10dvs",
        description=f"CIFAR10-DVS: {len(files):,} of the {PUBLISHED:,} recordings in {len(classes)} classes, each of a "
        f"CIFAR-10 image that moved before a sensor; {paired}",
        classes=classes,
        keys=tuple(file.key for file in files),
        labels=labels_of(files),
        content_hash=lambda: content_hash_with(files, *facts, progress=progress),
        mtime_digest=mtime_digest_with([listing.mtime_digest], *facts),
        read=lambda: (read_file(data, file) for file in files),
        images=_named(found, paired_images, classes),
        paired=bool(paired_images),
        simulated=False,
        files=tuple(file.path for file in files),
    )


def read_file(data: Data, file: EventFile) -> Recording:
    """Reads a new recording of 128 x 128 pixels.

    Args:
        data: `[data]` of the recipe.
        file: the recording.

    Raises:
        UserError: the file is damaged, or does not fit the sensor.
    """
    size = (data.height, data.width)
    return read_one(file, size, partial(_upright, target=size))


def _upright(events: np.ndarray, origin: str, *, target: tuple[int, int]) -> np.ndarray:
    """Events on `target` (height, width) pixels, upright: in .aedat files x = 127 - raw y, y = 127 - raw x, as its
    authors do.
    """
    if origin.lower().endswith(".aedat"):
        turned = events.copy()
        turned["x"], turned["y"] = SENSOR[1] - 1 - events["y"], SENSOR[0] - 1 - events["x"]
        events = turned
    return resizing.shrink(events, origin, sensor=SENSOR, target=target)


def _named(found: ImageSet, paired_images: dict[str, str], classes: tuple[str, ...]) -> StaticImages:
    """The images of these classes with keys: that of their recording, or one that no recording has."""
    rows = [row for row, name in enumerate(found.classes) if name in classes]
    recording = {image: key for key, image in paired_images.items()}
    return StaticImages(
        images=found.images[rows] if len(rows) < len(found.ids) else found.images,
        labels=np.array([classes.index(found.classes[row]) for row in rows], np.int64),
        keys=tuple(recording.get(found.ids[row], f"image:{found.ids[row]}") for row in rows),
    )


def _pairs(path: Path, files: list[EventFile], found: ImageSet, classes: tuple[str, ...]) -> dict[str, str]:
    """Image id of each recording's key from the file of pairs; no image belongs to two recordings."""
    if not path.is_file():
        raise MissingDependencyError(
            "the file of pairs is not there", where=str(path), hint="correct data.pairs, or place it there"
        )
    try:
        with open(path, newline="", encoding="utf-8") as text:
            lines = list(csv.DictReader(text))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            "this file of pairs cannot be read", where=str(path), cause=str(error), hint="save it as CSV in UTF-8"
        ) from error
    if not lines or not {"recording", "image"} <= set(lines[0]):
        raise UserError("a file of pairs has the columns recording and image", where=str(path), hint="name them so")
    image_of = {line["recording"]: line["image"] for line in lines}
    class_of = dict(zip(found.ids, found.classes, strict=True))
    taken: dict[str, str] = {}
    for file in files:
        image = image_of.get(file.key)
        if image is None:
            why = "the file has no line for it"
        elif image not in class_of:
            why = f"image {image} does not exist"
        elif class_of[image] != classes[file.label]:
            why = f"image {image} is of class {class_of[image]}"
        elif image in taken:
            why = f"image {image} is already that of {taken[image]}"
        else:
            taken[image] = file.key
            continue
        raise UserError(
            f"recording {file.key} has no image of its own", where=str(path), cause=why, hint="correct the file"
        )
    return {key: image for image, key in taken.items()}


SOURCE = Source(
    name="cifar10dvs",
    load=load,
    read_file=read_file,
    about="CIFAR10-DVS and CIFAR-10: moved images, 128 x 128; paired by class, or by key with a file of pairs",
    needs="data.root with CIFAR10DVS/<class>/*.aedat4|aedat and CIFAR10/cifar-10-batches-bin/*.bin",
    archives=(
        Archive(
            file="CIFAR10DVS.zip",
            into="CIFAR10DVS",
            content_folder="CIFAR10DVS",
            layout="<class>/cifar10_<class>_<n>.aedat4 (or .aedat)",
            suffix=(".aedat4", ".aedat"),
            count=10_000,
            tonic=("CIFAR10DVS", ""),
            inner=tuple(f"{name}.zip" for name in CLASSES),
        ),
        Archive(
            file="cifar-10-binary.tar.gz",
            into="CIFAR10",
            content_folder="CIFAR10/cifar-10-batches-bin",
            layout="data_batch_1.bin ... data_batch_5.bin, test_batch.bin",
            suffix=(".bin",),
            count=6,
            url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            md5="c32a1d4ab5d03f1284b67883e8d87530",
        ),
    ),
)
