"""Own recordings in class folders, `<root>/<events>/<class>/<id>.<ext>`, with images by class or in idx files."""

from __future__ import annotations

from pathlib import Path

from spikeport.errors import UserError
from spikeport.pipeline.data.frames.binning import Binning, Frames
from spikeport.pipeline.data.frames.binning_files import bin_files
from spikeport.pipeline.data.images.static_images import read_images
from spikeport.pipeline.data.readers.recordings import Reading
from spikeport.pipeline.data.sources.base import Source
from spikeport.pipeline.data.sources.event_files import list_events
from spikeport.pipeline.data.sources.image_keys import name_images
from spikeport.pipeline.data.sources.raw_dataset import RawDataset
from spikeport.pipeline.data.sources.reading import content_hash_with, labels_of, mtime_digest_with, recordings
from spikeport.pipeline.run.sections.data import Data
from spikeport.progress import NamedProgress


def load(data: Data, progress: NamedProgress | None = None) -> RawDataset:
    """The recordings and images that `data.root`, `data.events` and `data.images` name.

    With pairing "id" every recording must have its image: that of its file name, plus `image_id_offset`. With pairing
    "class" pairs are unknown, but an image with the class and id of a held-out recording is not trained on.

    Args:
        data: `[data]` of the recipe.
        progress: called with (files done, files in all, what is done).

    Raises:
        UserError: a folder is not named, a file is damaged, or an image is missing.
        MissingDependencyError: a folder does not exist.
    """
    for name in ("root", "events", "images"):
        if not getattr(data, name):
            raise UserError(
                f"class-folders needs data.{name}",
                where="data",
                hint=f'write {name} = "<folder>" in [data]; events lie in <root>/<events>/<class>/<id>.bin',
            )
    root = Path(data.root)
    listing = list_events(root / data.events)
    classes, files = listing.classes, listing.files()
    found = read_images(root / data.images, classes, data.height, data.width, progress)
    sensor = (data.height, data.width)
    reading = Reading(orientation=data.orientation, columns=data.columns, sort=data.sort)

    def bin_all(binning: Binning, progress: NamedProgress | None) -> Frames:
        return bin_files([file.path for file in files], sensor, binning, progress, reading)

    return RawDataset(
        name=data.events,
        description=f"{len(files):,} recordings in {len(classes)} classes from {data.events}, "
        f"with static images from {data.images}, paired by {data.pairing}",
        classes=classes,
        keys=tuple(file.key for file in files),
        labels=labels_of(files),
        content_hash=lambda: content_hash_with(files, reading, progress=progress),
        mtime_digest=mtime_digest_with([listing.mtime_digest], reading),
        read=lambda: recordings(files, sensor, reading),
        bin=bin_all,
        images=name_images(found, files, classes, offset=data.image_id_offset, strict=data.pairing == "id"),
        paired=data.pairing == "id",
        simulated=False,
    )


SOURCE = Source(
    name="class-folders",
    load=load,
    about="your recordings in class folders, with images by class folder or MNIST's idx files",
    needs="data.root, data.events, data.images; events as <root>/<events>/<class>/<id>.bin|npz|aedat4|...",
)
