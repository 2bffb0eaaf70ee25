"""ASL-DVS in tonic's layout: 24 letters of the American Sign Language, shown by five persons; y counts from below."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np

from spikeport.errors import UserError
from spikeport.pipeline.data.downloads.archives import Archive
from spikeport.pipeline.data.sources.base import Source
from spikeport.pipeline.data.sources.event_files import EventFile
from spikeport.pipeline.data.sources.image_free import check_no_images, raw_without_images, read_scaled
from spikeport.pipeline.data.sources.raw_dataset import RawDataset
from spikeport.pipeline.run.sections.data import Data
from spikeport.progress import NamedProgress

SENSOR = (180, 240)
LETTERS = "abcdefghiklmnopqrstuvwxy"  # j and z are movements
PUBLISHED = 100_800


def load(data: Data, progress: NamedProgress | None = None) -> RawDataset:
    """The recordings of <root>/ASLDVS: <person>/<letter>/<n>.mat.

    The letter is the folder's name, or its last character after a sign that is no letter. What stands before it, and
    the folders above, name the person: a random split keeps a person on one side. Without them, persons are unknown,
    and the description says so.

    Args:
        data: `[data]` of the recipe.
        progress: called with (files done, files in all, what is done).

    Raises:
        UserError: the recipe names images, or a recording lies in no folder of a letter.
        MissingDependencyError: the folder does not exist, or is empty.
    """
    check_no_images(data, "ASL-DVS")
    root = Path(data.root, data.events or "ASLDVS")
    found = [(path, _letter(path)) for path in _recordings(root)]
    if not found:
        raise SOURCE.missing("ASLDVS", root)
    classes = tuple(sorted({letter for _, letter in found}))
    if len(classes) < 2:
        raise UserError(
            f"a classifier needs two classes, {len(classes)} found", where=str(root), hint="unpack the archive again"
        )
    names = [path.parent.relative_to(root).as_posix()[:-1].strip("/_-") for path, _ in found]
    persons, groups = np.unique(names, return_inverse=True)
    files = [
        EventFile(path=path, label=classes.index(letter), key=path.relative_to(root).with_suffix("").as_posix())
        for path, letter in found
    ]
    known = len(persons) > 1
    about = f"ASL-DVS: {len(files):,} of the {PUBLISHED:,} recordings of {len(classes)} letters, without images; "
    about += f"{len(persons)} persons, each in one part" if known else "who shows a letter is not known"
    groups = groups.astype(np.int64)
    return raw_without_images(SOURCE, data, files, classes, about, progress=progress, groups=groups if known else None)


def _upright(events: np.ndarray) -> np.ndarray:
    """Events with y counted from above."""
    turned = events.copy()
    turned["y"] = SENSOR[0] - 1 - events["y"]
    return turned


def _recordings(root: Path) -> list[Path]:
    """All .mat files, in order of folder and name."""
    found = []
    for place, folders, names in os.walk(root):
        folders.sort()
        found += [Path(place, name) for name in sorted(names) if name.lower().endswith(".mat") and name[0] != "."]
    return found


def _letter(path: Path) -> str:
    name = path.parent.name.lower()
    before, letter = name[:-1], name[-1:]
    if not letter or letter not in LETTERS or before[-1:].isalpha():
        raise UserError(
            "this recording lies in no folder of a letter", where=str(path),
            hint="place it as <person>/<letter>/<n>.mat, as the archives hold it, or remove it",
        )  # fmt: skip
    return letter


SOURCE = Source(
    name="asldvs",
    load=load,
    images=False,
    read_file=partial(read_scaled, sensor=SENSOR, change=_upright),
    about="ASL-DVS: 24 letters of the American Sign Language by five persons, 240 x 180; no images",
    needs="data.root with ASLDVS/<person>/<letter>/<n>.mat",
    archives=(
        Archive(
            file="ASLDVS.zip",
            into="ASLDVS",
            content_folder="ASLDVS",
            layout="<person>/<letter>/<n>.mat",
            suffix=(".mat",),
            count=PUBLISHED,
            tonic=("ASLDVS", ""),
            inner=("Yin*.zip",) * 5,  # a person each
        ),
    ),
)
