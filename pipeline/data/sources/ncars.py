"""N-Cars: recordings of 100 ms of cars and of other things on the road, with the published test part."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from spikeport.errors import UserError
from spikeport.pipeline.data.downloads.archives import Archive
from spikeport.pipeline.data.sources.base import Source
from spikeport.pipeline.data.sources.event_files import EventFile, list_events
from spikeport.pipeline.data.sources.image_free import check_no_images, raw_without_images, read_scaled
from spikeport.pipeline.data.sources.raw_dataset import RawDataset
from spikeport.pipeline.run.sections.data import Data
from spikeport.progress import NamedProgress

SENSOR = (100, 120)  # height and width of the largest recording; smaller ones begin at 0 too
CLASSES = ("background", "cars")
PUBLISHED = {"train": 15_422, "test": 8_607}


def load(data: Data, progress: NamedProgress | None = None) -> RawDataset:
    """The recordings of <root>/NCARS: train|test/background|cars/obj_<n>_td.dat.

    The folders may also be called n-cars_train and n-cars_test, as their archives are.

    Args:
        data: `[data]` of the recipe.
        progress: called with (files done, files in all, what is done).

    Raises:
        UserError: the recipe names images, or the folders are not those of N-Cars.
        MissingDependencyError: a folder does not exist.
    """
    check_no_images(data, "N-Cars")
    root = Path(data.root, data.events or "NCARS")
    files: list[EventFile] = []
    counts = []
    for part, published in PUBLISHED.items():
        folder = _folder(root, part)
        listing = list_events(folder, SOURCE.missing("NCARS", folder))
        if listing.classes != CLASSES:
            raise UserError(
                "the folders here are not N-Cars' classes", where=str(folder),
                cause=f"{', '.join(listing.classes)} are here, not {' and '.join(CLASSES)}",
                hint=f"place recordings as {folder}/cars/obj_000001_td.dat",
            )  # fmt: skip
        found = listing.files()
        counts.append(f"{len(found):,} of the {published:,} {part} recordings")
        files += [EventFile(path=file.path, label=file.label, key=f"{part}/{file.key}") for file in found]
    return raw_without_images(
        SOURCE, data, files, CLASSES, f"N-Cars: {' and '.join(counts)} of 100 ms, without images", progress=progress,
        official_test=np.array([file.key.startswith("test/") for file in files]),
    )  # fmt: skip


def _folder(root: Path, part: str) -> Path:
    """The folder of a part, under one of the names that archives and tools give it."""
    names = (part, f"n-cars_{part}/{part}", f"n-cars_{part}", f"ncars-{part}")
    return next((root / name for name in names if (root / name / "cars").is_dir()), root / part)


SOURCE = Source(
    name="ncars",
    load=load,
    images=False,
    read_file=partial(read_scaled, sensor=SENSOR),
    about="N-Cars: cars and other things on the road, 100 ms, 120 x 100, official test part; no images",
    needs="data.root with NCARS/train|test/background|cars/obj_<n>_td.dat",
    archives=(
        Archive(
            file="Prophesee_Dataset_n_cars.zip",
            into="NCARS",
            content_folder="NCARS",
            layout="train/cars/obj_000001_td.dat",
            suffix=(".dat",),
            count=24_029,
            url="https://www.prophesee.ai/resources/Prophesee_Dataset_n_cars.zip",
            md5="553ce464d6e5e617b3c21ce27c19368e",
            inner=("n-cars_train.zip", "n-cars_test.zip"),
        ),
    ),
)
