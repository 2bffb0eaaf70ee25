"""N-MNIST with MNIST: recording <id> of a part was made from image <id> - 1 of that part."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spikeport.errors import UserError
from spikeport.pipeline.data.dataset import StaticImages
from spikeport.pipeline.data.downloads.archives import Archive
from spikeport.pipeline.data.frames.binning import Binning, Frames
from spikeport.pipeline.data.frames.binning_files import bin_files
from spikeport.pipeline.data.readers.idx_files import read_labeled
from spikeport.pipeline.data.sources.base import Source
from spikeport.pipeline.data.sources.event_files import EventFile, list_events
from spikeport.pipeline.data.sources.raw_dataset import RawDataset
from spikeport.pipeline.data.sources.reading import content_hash_with, labels_of, mtime_digest_with, read_one
from spikeport.pipeline.run.sections.data import Data
from spikeport.progress import NamedProgress

SENSOR = (34, 34)


@dataclass(frozen=True)
class _Part:
    name: str  # first word of its keys
    folder: str  # below NMNIST
    images: str  # beginning of its idx files' names
    published: int


PARTS = (_Part("train", "Train", "train", 60_000), _Part("test", "Test", "t10k", 10_000))


def load(data: Data, progress: NamedProgress | None = None) -> RawDataset:
    """The recordings of <root>/NMNIST and the images of <root>/MNIST/raw, paired by part and number.

    The folder Test may be absent if the split is not official.

    Args:
        data: `[data]` of the recipe.
        progress: called with (files done, files in all, what is done).

    Raises:
        MissingDependencyError: files are not there.
        UserError: a label differs from its image's.
    """
    events, images = Path(data.root, data.events or "NMNIST"), Path(data.root, data.images or "MNIST/raw")
    present = [part for part in PARTS if (events / part.folder).is_dir() or part.name == "train"]
    if data.split == "official" and len(present) < 2:
        raise SOURCE.missing("NMNIST/Test", events / "Test")
    names: tuple[str, ...] = ()
    files: list[EventFile] = []
    keys: list[str] = []
    mtime_digests, pixels, labels = [], [], []
    for part in present:
        folder = events / part.folder
        listing = list_events(folder, SOURCE.missing(f"NMNIST/{part.folder}", folder))
        classes, found = listing.classes, listing.files()
        mtime_digests.append(listing.mtime_digest)
        names = names or classes
        if classes != names or not all(name.isdecimal() for name in classes):
            raise UserError(
                "the folders here are not N-MNIST's digits",
                where=str(folder),
                cause=f"{', '.join(classes)} are here, {', '.join(names)} in Train",
                hint=f"place recordings as {folder}/<digit>/<id>.bin",
            )
        kinds = ("images-idx3-ubyte", "labels-idx1-ubyte")
        read = read_labeled(*(_idx(images, f"{part.images}-{kind}") for kind in kinds))
        part_keys = [f"image:{part.name}/{row}" for row in range(len(read[1]))]
        for file in found:
            row = _image_of(file, read[1], classes)
            part_keys[row] = f"{part.name}/{file.key}"
            files.append(EventFile(path=file.path, label=file.label, key=part_keys[row]))
        known = np.isin(read[1], [int(name) for name in classes])
        if part.name == "test":  # images of the official test part are there as paired images only
            known &= [not key.startswith("image:") for key in part_keys]
        pixels.append(read[0][known])
        labels.append(np.searchsorted([int(name) for name in classes], read[1][known]))
        keys += [key for key, is_known in zip(part_keys, known, strict=True) if is_known]

    def bin_all(binning: Binning, progress: NamedProgress | None) -> Frames:
        return bin_files([file.path for file in files], SENSOR, binning, progress)

    counts = {part.name: sum(file.key.startswith(part.name) for file in files) for part in present}
    parts_text = " and ".join(
        f"{counts[part.name]:,} of the {part.published:,} {part.name} recordings" for part in present
    )
    return RawDataset(
        name="nmnist",
        description=f"N-MNIST: {parts_text}, each of an MNIST digit that a sensor saw in three saccades",
        classes=names,
        keys=tuple(file.key for file in files),
        labels=labels_of(files),
        content_hash=lambda: content_hash_with(files, "nmnist", progress=progress),
        mtime_digest=mtime_digest_with(mtime_digests, "nmnist"),
        bin=bin_all,
        read=lambda: (read_one(file, SENSOR) for file in files),
        images=StaticImages(
            images=np.concatenate(pixels)[:, None], labels=np.concatenate(labels).astype(np.int64), keys=tuple(keys)
        ),
        paired=True,
        simulated=False,
        files=tuple(file.path for file in files),
        official_test=np.array([file.key.startswith("test/") for file in files]) if len(present) > 1 else None,
    )


def _idx(folder: Path, name: str) -> Path:
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    raise SOURCE.missing("MNIST/raw", folder, f"{name}.gz")


def _image_of(file: EventFile, labels: np.ndarray, classes: tuple[str, ...]) -> int:
    """Row of the image that a recording was made from."""
    stem = file.path.stem
    row = int(stem) - 1 if stem.isdecimal() else -1
    if not 0 <= row < len(labels):
        raise UserError(
            "this recording has no image",
            where=str(file.path),
            cause=f"N-MNIST's ids count from 1 to {len(labels):,} here",
            hint="give the file its own id again, or remove it",
        )
    if str(labels[row]) != classes[file.label]:
        raise UserError(
            "the labels of recording and image disagree",
            where=str(file.path),
            cause=f"the recording is in class {classes[file.label]}, image {row} is a {labels[row]}",
            hint="unpack the recordings again from their archive",
        )
    return row


def _mnist(file: str, md5: str) -> Archive:
    return Archive(
        file=file,
        into="MNIST/raw",
        content_folder="MNIST/raw",
        layout=file,
        suffix=(".gz",),
        count=1,
        url=f"https://ossci-datasets.s3.amazonaws.com/mnist/{file}",
        md5=md5,
        unpack=False,
    )


SOURCE = Source(
    name="nmnist",
    load=load,
    read_file=lambda data, file: read_one(file, SENSOR),
    about="N-MNIST and MNIST: digits seen in three saccades, 34 x 34, official test part",
    needs="data.root with NMNIST/Train|Test/<digit>/<id>.bin and MNIST/raw/*-ubyte.gz",
    archives=(
        Archive(
            file="train.zip",
            into="NMNIST",
            content_folder="NMNIST/Train",
            layout="<digit>/<id>.bin",
            suffix=(".bin",),
            count=60_000,
            tonic=("NMNIST", "train_"),
        ),
        Archive(
            file="test.zip",
            into="NMNIST",
            content_folder="NMNIST/Test",
            layout="<digit>/<id>.bin",
            suffix=(".bin",),
            count=10_000,
            tonic=("NMNIST", "test_"),
        ),
        _mnist("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        _mnist("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
        _mnist("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
        _mnist("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    ),
)
