"""DVS Gesture in tonic's layout: eleven gestures of 29 people, without images."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np

from spikeport.errors import UserError
from spikeport.pipeline.data.dataset import Recording
from spikeport.pipeline.data.downloads.archives import Archive
from spikeport.pipeline.data.readers.event_columns import from_columns
from spikeport.pipeline.data.sources import resizing
from spikeport.pipeline.data.sources.base import Source
from spikeport.pipeline.data.sources.event_files import EventFile
from spikeport.pipeline.data.sources.image_free import check_no_images, raw_without_images
from spikeport.pipeline.data.sources.raw_dataset import RawDataset
from spikeport.pipeline.data.sources.reading import labels_of, read_one
from spikeport.pipeline.run.sections.data import Data
from spikeport.progress import NamedProgress

SENSOR = (128, 128)
PARTS = ("ibmGestureTrain", "ibmGestureTest")
CLASSES = (
    "hand clapping",
    "right hand wave",
    "left hand wave",
    "right arm clockwise",
    "right arm counterclockwise",
    "left arm clockwise",
    "left arm counterclockwise",
    "arm roll",
    "air drums",
    "air guitar",
    "other gestures",
)


def load(data: Data, progress: NamedProgress | None = None) -> RawDataset:
    """The recordings of <root>/DVSGesture: ibmGestureTrain|ibmGestureTest/user<nn>_<light>/<class number>.npy.

    There are no images, so `data.images` must be empty. People of the published test part are not in the training part;
    a random split is refused, because it would test on people that were trained on.

    Args:
        data: `[data]` of the recipe.
        progress: called with (files done, files in all, what is done).

    Raises:
        UserError: the recipe names images or another split, or a recording is missing.
        MissingDependencyError: the folder does not exist.
    """
    check_no_images(data, "DVS Gesture")
    if data.split != "official":
        raise UserError(
            "recordings of one person would be in training and in test",
            where="data.split",
            hint='set split = "official", which tests on people who are not trained on',
        )
    folder = Path(data.root, data.events or "DVSGesture")
    files: list[EventFile] = []
    for part in PARTS:
        if not (folder / part).is_dir():
            raise SOURCE.missing(f"DVSGesture/{part}", folder / part)
        files += _files(folder / part)
    labels = labels_of(files)
    missing = sorted(set(range(len(CLASSES))) - set(labels.tolist()))
    if missing:
        raise UserError(
            "a gesture has no recording",
            where=str(folder),
            cause=f"no file is called {missing[0]}.npy ({CLASSES[missing[0]]})",
            hint="unpack the recordings again from their archives",
        )
    about = f"DVS Gesture: {len(files):,} recordings of eleven gestures, without images; "
    about += "the people of the test part are in no other part"
    return raw_without_images(
        SOURCE, data, files, CLASSES, about, progress=progress,
        official_test=np.array([file.key.startswith("test/") for file in files]),
    )  # fmt: skip


def read_file(data: Data, file: EventFile) -> Recording:
    """Reads a new recording in the format of the set: `[N, 4]` of x, y, polarity and time in ms, in a .npy file.

    Args:
        data: `[data]` of the recipe.
        file: the recording.

    Raises:
        UserError: the file is damaged, of another format, or does not fit the sensor.
    """
    if file.path.suffix.lower() != ".npy":
        raise UserError("recordings of DVS Gesture are .npy files", where=str(file.path),
                        hint="cut the recording into gestures, with columns x, y, p, t in ms")  # fmt: skip
    target = (data.height, data.width)
    return read_one(file, target, partial(resizing.shrink, sensor=SENSOR, target=target), _read)


def _files(folder: Path) -> list[EventFile]:
    """All recordings of a part, with the keys train|test/user<nn>_<light>/<class number>."""
    part = "test" if folder.name == PARTS[1] else "train"
    found = []
    for path in sorted(folder.glob("*/*.npy")):
        label = int(path.stem) if path.stem.isdecimal() else -1
        if not re.fullmatch(r"user\d+_\w+", path.parent.name) or not 0 <= label < len(CLASSES):
            raise UserError(
                "this is not a recording of DVS Gesture",
                where=str(path),
                hint=f"place them as {folder}/user01_fluorescent/<0 to 10>.npy, or remove the file",
            )
        found.append(EventFile(path=path, label=label, key=f"{part}/{path.parent.name}/{label}"))
    if not found:
        raise SOURCE.missing(f"DVSGesture/{folder.name}", folder)
    return found


def _read(path: Path) -> np.ndarray:
    """Reads `[N, 4]` of x, y, polarity and time in ms."""
    table = np.load(path, allow_pickle=False)
    if table.ndim != 2 or table.shape[1] != 4 or table.dtype.kind not in "iuf":
        raise ValueError(f"it holds {table.dtype} {table.shape}, not four columns of numbers x, y, p, t")
    whole = np.rint(table * [1, 1, 1, 1000])
    if not np.allclose(whole, table * [1, 1, 1, 1000], rtol=0, atol=1e-3):
        raise ValueError("x, y and polarity must be whole numbers, and time a number of us")
    x, y, p, t = whole.astype(np.int64).T
    return from_columns({"t": t, "x": x, "y": y, "p": p})


SOURCE = Source(
    name="dvsgesture",
    load=load,
    images=False,
    read_file=read_file,
    about="DVS Gesture: 11 gestures of 29 people, 128 x 128, official test part; no images: distillation off",
    needs="data.root with DVSGesture/ibmGestureTrain|ibmGestureTest/user<nn>_<light>/<class>.npy",
    archives=(
        Archive(
            file="ibmGestureTrain.tar.gz",
            into="DVSGesture",
            content_folder="DVSGesture/ibmGestureTrain",
            layout="user01_fluorescent/0.npy",
            suffix=(".npy",),
            count=1_000,
            tonic=("DVSGesture", "train_"),
        ),
        Archive(
            file="ibmGestureTest.tar.gz",
            into="DVSGesture",
            content_folder="DVSGesture/ibmGestureTest",
            layout="user24_fluorescent/0.npy",
            suffix=(".npy",),
            count=200,
            tonic=("DVSGesture", "test_"),
        ),
    ),
)
