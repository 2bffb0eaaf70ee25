"""Static images from disk: MNIST's idx files, or a folder of pictures by class."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hardware_profiles.errors import MissingPart, UserError
from pipeline.data.framing import Progress

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """Images `[M, C, h, w]` uint8 (C is 1 or 3), the class name and the id of each."""

    images: np.ndarray
    classes: tuple[str, ...]
    ids: tuple[str, ...]


def read_images(
    folder: Path, classes: tuple[str, ...], height: int, width: int, progress: Progress | None = None
) -> ImageSet:
    """All images of `classes` under `folder`: MNIST's training files where they are there, else
    <class>/<id>.png etc.

    An idx image's class is its label in digits and its id its position. Pictures become RGB; where their
    sizes differ, all are resized to `height` x `width`. Raises MissingPart for a missing folder, UserError
    for what cannot be read.
    """
    if not folder.is_dir():
        raise MissingPart(
            "the folder of static images is not there",
            where=str(folder),
            mend=f"place pictures as {folder}/<class>/<id>.png, or MNIST's train-images-idx3-ubyte.gz and "
            f"train-labels-idx1-ubyte.gz in {folder}, or correct data.root and data.images",
        )
    idx = _idx_file(folder, "train-images-idx3-ubyte")
    return _from_idx(folder, idx, classes) if idx else _from_pictures(folder, classes, height, width, progress)


def _from_idx(folder: Path, file: Path, classes: tuple[str, ...]) -> ImageSet:
    labels_file = _idx_file(folder, "train-labels-idx1-ubyte")
    if labels_file is None:
        raise MissingPart(
            "the labels of these images are not there",
            where=str(file),
            mend=f"place train-labels-idx1-ubyte.gz in {folder}",
        )
    images, labels = read_idx(file), read_idx(labels_file)
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise UserError(
            "images and labels do not belong together",
            where=str(file),
            why=f"{images.shape} images, {labels.shape} labels",
            mend="copy both files again from one source",
        )
    names = [str(label) for label in labels.tolist()]
    known = set(classes)
    rows = [row for row, name in enumerate(names) if name in known]
    return ImageSet(
        images=images[rows, None] if len(rows) < len(names) else images[:, None],
        classes=tuple(names[row] for row in rows),
        ids=tuple(str(row) for row in rows),
    )


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array of an idx file, gzipped or plain. Raises UserError where it is not what its header
    says.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(
            "this idx file cannot be read",
            where=str(path),
            why=str(error),
            mend="copy it again from its source",
        ) from error
    axes = content[3] if len(content) > 3 and content[:3] == b"\x00\x00\x08" else 0
    start = 4 + 4 * axes
    shape = tuple(np.frombuffer(content[4:start], ">u4").tolist()) if axes and len(content) >= start else ()
    if not shape or len(content) - start != int(np.prod(shape)):
        raise UserError(
            "this is no whole idx file of bytes",
            where=str(path),
            why=f"header {content[:4].hex() or 'missing'}, shape {shape}, {max(len(content) - start, 0)} bytes of data",
            mend="copy it again from its source",
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _idx_file(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / f"{name}.gz", folder / name) if path.is_file()), None)


def _from_pictures(
    folder: Path, classes: tuple[str, ...], height: int, width: int, progress: Progress | None
) -> ImageSet:
    files, names = [], []
    for name in classes:
        found = _pictures_of(folder / name)
        files += found
        names += [name] * len(found)
    pictures = []
    for done, file in enumerate(files, 1):
        pictures.append(_read_picture(file))
        if progress:
            progress(done, len(files), "reading images")
    if len({picture.size for picture in pictures}) > 1:
        from PIL import Image

        pictures = [picture.resize((width, height), Image.Resampling.BILINEAR) for picture in pictures]
    images = np.stack([np.asarray(picture) for picture in pictures]).transpose(0, 3, 1, 2)
    return ImageSet(images=np.ascontiguousarray(images), classes=tuple(names), ids=tuple(file.stem for file in files))


def _pictures_of(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(
            "this class has recordings, but no folder of images",
            where=str(folder),
            mend="place its images there, or remove the class from the recordings",
        )
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES and path.name[0] != ".")
    if not found:
        raise UserError("this class has no image", where=str(folder), mend="place images there: " + ", ".join(PICTURES))
    return found


def _read_picture(path: Path):  # type: ignore[no-untyped-def]  # PIL is imported here only
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except Exception as error:  # PIL's decoders raise many kinds on bytes that they did not expect
        raise UserError(
            "this picture cannot be read", where=str(path), why=str(error), mend="copy it again, or remove it"
        ) from error
