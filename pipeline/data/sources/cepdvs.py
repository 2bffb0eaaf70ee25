"""CEP-DVS: recordings of pictures on a screen, with the pictures; events/<class>/<n>.mat and images/<class>/<n>.png.

The two are paired by class and number, compared as numbers: file names sorted as words and pictures counted by
position would pair recording 10 with picture 2.
"""

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

PUBLISHED = 10_000


def load(data: Data, progress: Progress | None = None) -> Collection:
    """The recordings of <root>/CEP-DVS/events and the images of <root>/CEP-DVS/images.

    Each recording's bounding box is brought to `data.height` x `data.width`, as its image is.
    """
    events, images = Path(data.root, data.events or "CEP-DVS/events"), Path(data.root, data.images or "CEP-DVS/images")
    listing = list_events(events, absent("cepdvs", "CEP-DVS/events", events))
    classes, files = listing.classes, listing.files()
    if not images.is_dir():
        raise absent("cepdvs", "CEP-DVS/images", images)
    found = read_images(images, classes, data.height, data.width, progress)
    size = (data.height, data.width)
    facts = ("cepdvs", resizing.VERSION, size)
    return Collection(
        name="cepdvs",
        description=f"CEP-DVS: {len(files):,} of the {PUBLISHED:,} recordings in {len(classes)} classes, each of a "
        "picture on a screen",
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
