"""N-Caltech101 with Caltech101: <class>/image_0001.bin was made from <class>/image_0001.jpg."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pipeline.data.archives import absent
from pipeline.data.framing import Progress
from pipeline.data.sources import resizing
from pipeline.data.sources.collection import Collection
from pipeline.data.sources.event_files import list_events
from pipeline.data.sources.reading import content_with, labels_of, reader, stamp_with
from pipeline.data.sources.twins import name_images
from pipeline.data.static_images import read_images
from pipeline.recipe import Data

PUBLISHED = 8_709


def load(data: Data, progress: Progress | None = None) -> Collection:
    """The recordings of <root>/NCALTECH101/Caltech101 and the images of <root>/Caltech101/101_ObjectCategories.

    Recordings have sizes of their own: each one's bounding box is brought to `data.height` x `data.width`, as its
    image is. Caltech101 has a class more, Faces, of the same photographs as Faces_easy: it is never read.
    """
    events = Path(data.root, data.events or "NCALTECH101/Caltech101")
    images = Path(data.root, data.images or "Caltech101/101_ObjectCategories")
    listing = list_events(events, absent("ncaltech101", "NCALTECH101/Caltech101", events))
    classes, files = listing.classes, listing.files()
    if not images.is_dir():
        raise absent("ncaltech101", "Caltech101/101_ObjectCategories", images)
    found = read_images(images, classes, data.height, data.width, progress)
    size = (data.height, data.width)
    facts = ("ncaltech101", resizing.VERSION, size)
    return Collection(
        name="ncaltech101",
        description=f"N-Caltech101: {len(files):,} of the {PUBLISHED:,} recordings in {len(classes)} classes, each of "
        "a Caltech101 picture that a sensor saw in three saccades",
        classes=classes,
        keys=tuple(file.key for file in files),
        labels=labels_of(files),
        content=lambda: content_with(files, *facts, progress=progress),
        stamp=stamp_with([listing.stamp], *facts),
        read=reader(files, size, partial(resizing.fill, target=size)),
        images=name_images(found, files, classes),
        paired=True,
        simulated=False,
    )
