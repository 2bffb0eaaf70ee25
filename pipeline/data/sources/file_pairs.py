"""Data sets with one event file and one picture for each item, in class folders, paired by class and name."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from spikeport.pipeline.data.dataset import Recording
from spikeport.pipeline.data.images.static_images import read_images
from spikeport.pipeline.data.sources import resizing
from spikeport.pipeline.data.sources.base import Source
from spikeport.pipeline.data.sources.event_files import EventFile, list_events
from spikeport.pipeline.data.sources.image_keys import name_images
from spikeport.pipeline.data.sources.raw_dataset import RawDataset
from spikeport.pipeline.data.sources.reading import content_hash_with, labels_of, mtime_digest_with, read_one
from spikeport.pipeline.run.sections.data import Data
from spikeport.progress import NamedProgress


def load_file_pairs(
    source: Source, data: Data, events: str, images: str, about: str, progress: NamedProgress | None
) -> RawDataset:
    """The recordings and pictures of such a data set.

    The bounding box of each recording is scaled to `data.height` x `data.width`, as its picture is.

    Args:
        source: the data set.
        data: the recipe's section [data].
        events: usual folder of the recordings below `data.root`.
        images: usual folder of the pictures below `data.root`.
        about: sentence for the report with {count} recordings and {classes}.
        progress: called during long work.

    Raises:
        MissingDependencyError: a folder does not exist.
    """
    event_folder, image_folder = Path(data.root, data.events or events), Path(data.root, data.images or images)
    listing = list_events(event_folder, source.missing(events, event_folder))
    classes, files = listing.classes, listing.files()
    if not image_folder.is_dir():
        raise source.missing(images, image_folder)
    found = read_images(image_folder, classes, data.height, data.width, progress)
    size = (data.height, data.width)
    facts = (source.name, resizing.VERSION, size)
    return RawDataset(
        name=source.name,
        description=about.format(count=f"{len(files):,}", classes=len(classes)),
        classes=classes,
        keys=tuple(file.key for file in files),
        labels=labels_of(files),
        content_hash=lambda: content_hash_with(files, *facts, progress=progress),
        mtime_digest=mtime_digest_with([listing.mtime_digest], *facts),
        read=lambda: (read_file(data, file) for file in files),
        images=name_images(found, files, classes),
        paired=True,
        simulated=False,
        files=tuple(file.path for file in files),
    )


def read_file(data: Data, file: EventFile) -> Recording:
    """Reads a new recording of such a data set, whose bounding box is scaled to the frame.

    Args:
        data: the recipe's section [data].
        file: the recording.

    Raises:
        UserError: the file is damaged.
    """
    size = (data.height, data.width)
    return read_one(file, size, partial(resizing.fill, target=size))
