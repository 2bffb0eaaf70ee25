"""Small class folders of recordings and images, for tests of the data stage."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from PIL import Image

from spikeport.pipeline.run.sections.data import Data

CLASSES = ("ant", "bee", "cat")
EACH = 8  # recordings, and images, of each class
HEIGHT, WIDTH = 6, 9


def write_recording(path: Path, seed: int) -> None:
    """Thirty random events on 6 x 9 pixels over 50 us."""
    generator = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        t=np.sort(generator.integers(0, 50, 30)),
        x=generator.integers(0, WIDTH, 30),
        y=generator.integers(0, HEIGHT, 30),
        p=generator.integers(0, 2, 30),
    )


def write_picture(path: Path, value: int, size: tuple[int, int] = (5, 4)) -> None:
    """An image of one color (value, value + 1, value + 2); `size` is width, height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value + 1, value + 2)).save(path)


def with_pictures(root: Path) -> Data:
    """Recordings events/<class>/<00i>.npz and images pictures/<class>/<00i>.png; ids restart in each class."""
    for label, name in enumerate(CLASSES):
        for i in range(EACH):
            write_recording(root / "events" / name / f"{i:03}.npz", 100 * label + i)
            write_picture(root / "pictures" / name / f"{i:03}.png", 10 * i + 80 * label)
    return data(root, images="pictures")


def write_idx(folder: Path, images: np.ndarray, labels: np.ndarray, part: str = "train") -> None:
    """The two files of a part of MNIST."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
        header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
        (folder / f"{name}.gz").write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes()))


def with_idx(root: Path) -> Data:
    """Recording 00001 belongs to image 0 and so on, for the first 24 of 30 images; the classes are 2, 5 and 11."""
    labels = np.resize([2, 5, 11], 30)
    images = np.arange(30 * 3 * 4).reshape(30, 3, 4) % 251
    write_idx(root / "idx", images, labels)
    for i in range(24):
        write_recording(root / "events" / str(labels[i]) / f"{i + 1:05}.npz", i)
    return data(root, images="idx", image_id_offset=-1)


def data(root: Path, **more: object) -> Data:
    values = {
        "source": "class-folders",
        "root": str(root),
        "events": "events",
        "height": HEIGHT,
        "width": WIDTH,
        "steps": 5,
        "step_us": 10,
        "validation": 3,
        "test": 6,
        **more,
    }
    return Data.model_validate(values)
