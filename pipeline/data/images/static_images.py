"""Reads static images from MNIST's idx files or from class folders of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spikeport.errors import MissingDependencyError, UserError
from spikeport.notes import note
from spikeport.pipeline.data.readers.idx_files import read_labeled
from spikeport.pipeline.data.readers.pictures import SUFFIXES, Findings, read_picture
from spikeport.progress import NamedProgress

if TYPE_CHECKING:
    from PIL.Image import Image

LARGE = 512 * 512  # pixels; a larger picture is resized when it is read, even where all have its size


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """Images as they were read.

    Attributes:
        images: uint8 `[M, C, h, w]`, C is 1 or 3.
        classes: class name of each image.
        ids: id of each image, unique in its class.
    """

    images: np.ndarray
    classes: tuple[str, ...]
    ids: tuple[str, ...]


def read_images(
    folder: Path, classes: tuple[str, ...], height: int, width: int, progress: NamedProgress | None = None
) -> ImageSet:
    """All images of the given classes: from MNIST's training files if they are in the folder, else from
    <class>/<id>.png.

    The class of an idx image is its label, its id is its index. Pictures become RGB (see `read_picture`); if their
    sizes differ, or one is larger than LARGE, all are resized.

    Args:
        folder: folder of the images.
        classes: names of the classes.
        height: rows of resized pictures.
        width: columns of resized pictures.
        progress: called after each picture.

    Raises:
        MissingDependencyError: the folder does not exist.
        UserError: a file cannot be read, or a class has no image.
    """
    if not folder.is_dir():
        raise MissingDependencyError(
            "the folder of static images is not there",
            where=str(folder),
            hint=f"place pictures as {folder}/<class>/<id>.png, or MNIST's train-images-idx3-ubyte.gz and "
            f"train-labels-idx1-ubyte.gz in {folder}, or correct data.root and data.images",
        )
    idx = _idx_file(folder, "train-images-idx3-ubyte")
    return _from_idx(folder, idx, classes) if idx else _from_pictures(folder, classes, height, width, progress)


def _from_idx(folder: Path, file: Path, classes: tuple[str, ...]) -> ImageSet:
    labels_file = _idx_file(folder, "train-labels-idx1-ubyte")
    if labels_file is None:
        raise MissingDependencyError(
            "the labels of these images are not there",
            where=str(file),
            hint=f"place train-labels-idx1-ubyte.gz in {folder}",
        )
    images, labels = read_labeled(file, labels_file)
    names = [str(label) for label in labels.tolist()]
    known, labeled = set(classes), set(names)
    if lacking := [name for name in classes if name not in labeled]:
        raise UserError(
            f"no image here has the label {lacking[0]!r}, which is a class of the recordings",
            where=str(labels_file),
            cause=f"{len(lacking)} of {len(classes)} classes have none; the labels are {_some(sorted(labeled))}",
            hint="call the folders of recordings as the labels are called, or remove those without images",
        )
    rows = [row for row, name in enumerate(names) if name in known]
    if others := sorted(labeled - known):
        note(f"{len(names) - len(rows):,} images of {file} are left out: no recording has their label, {_some(others)}")
    return ImageSet(
        images=images[rows, None] if len(rows) < len(names) else images[:, None],
        classes=tuple(names[row] for row in rows),
        ids=tuple(str(row) for row in rows),
    )


def _idx_file(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / f"{name}.gz", folder / name) if path.is_file()), None)


def _from_pictures(
    folder: Path, classes: tuple[str, ...], height: int, width: int, progress: NamedProgress | None
) -> ImageSet:
    files, names = [], []
    for name in classes:
        found = _pictures_of(folder / name)
        files += found
        names += [name] * len(found)
    findings = Findings()
    images, common = _Images((width, height)), None
    for done, file in enumerate(files, 1):
        picture = read_picture(file, findings)
        common = common or picture.size
        if picture.size != common or picture.width * picture.height > max(LARGE, width * height):
            images.resize_all()
        images.add(picture)
        if progress:
            progress(done, len(files), "reading images")
    findings.report()
    return ImageSet(images=images.array(), classes=tuple(names), ids=tuple(file.stem for file in files))


class _Images:
    """Pictures of one size; from `resize_all` on, all are resized to `size` (width, height) when they are added."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size, self.resized = size, False
        self.pictures: list[Image] = []

    def add(self, picture: Image) -> None:
        self.pictures.append(self._brought(picture) if self.resized else picture)

    def resize_all(self) -> None:
        if not self.resized:
            self.resized = True
            self.pictures = [self._brought(picture) for picture in self.pictures]

    def array(self) -> np.ndarray:
        """uint8 `[M, 3, h, w]`."""
        images = np.empty((len(self.pictures), 3, self.pictures[0].height, self.pictures[0].width), np.uint8)
        for row, picture in enumerate(self.pictures):
            images[row] = np.asarray(picture).transpose(2, 0, 1)
        return images

    def _brought(self, picture: Image) -> Image:
        from PIL.Image import Resampling

        return picture.resize(self.size, Resampling.BILINEAR)


def _pictures_of(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(
            "this class has recordings, but no folder of images",
            where=str(folder),
            hint="place its images there, or remove the class from the recordings",
        )
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != ".")
    if not found:
        raise UserError("this class has no image", where=str(folder), hint="place images there: " + ", ".join(SUFFIXES))
    return found


def _some(names: list[str]) -> str:
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
