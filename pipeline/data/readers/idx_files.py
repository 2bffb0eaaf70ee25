"""Reads MNIST's idx files: a header of sizes, then bytes."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from spikeport.errors import UserError
from spikeport.regular_files import open_regular

LARGEST = 640 * 2**20  # bytes of data; EMNIST, the largest set of this format that we know, has 547 MB
_MOST_AXES = 8
_MOST_PACKED = 1032  # bytes that gzip makes of one at most
_BLOCK = 2**20


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array of an idx file, gzipped or plain; no more bytes are read than the header declares.

    Args:
        path: the file.

    Raises:
        UserError: the file does not match its header, or is larger than LARGEST.
    """
    with open_regular(path) as plain:
        try:
            size = path.stat().st_size
            if path.suffix == ".gz":
                with gzip.GzipFile(fileobj=plain) as packed:
                    return _read(path, packed, _MOST_PACKED * size)  # type: ignore[arg-type]  # it reads as a file
            return _read(path, plain, size)
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(
                "this idx file cannot be read",
                where=str(path),
                cause=str(error),
                hint="copy it again from its source",
            ) from error


def read_labeled(images_file: Path, labels_file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of two idx files.

    Args:
        images_file: file of the images.
        labels_file: file of the labels.

    Returns:
        Images `[M, h, w]` and labels `[M]`, both uint8.

    Raises:
        UserError: a file is damaged, or there are not as many labels as images.
    """
    images, labels = read_idx(images_file), read_idx(labels_file)
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise UserError(
            "images and labels do not belong together",
            where=str(images_file),
            cause=f"{images.shape} images, {labels.shape} labels",
            hint="copy both files again from one source",
        )
    return images, labels


def _read(path: Path, file: BinaryIO, most: int) -> np.ndarray:
    """Reads an open file; `most` is the largest number of bytes."""
    head = file.read(4)
    axes = head[3] if len(head) == 4 and head[:3] == b"\x00\x00\x08" else 0
    sizes = file.read(4 * axes) if 1 <= axes <= _MOST_AXES else b""
    if not axes or len(sizes) != 4 * axes:
        why = f"{axes} axes" if axes > _MOST_AXES else f"header {(head + sizes).hex() or 'missing'}"
        raise _not_whole(path, why)
    shape = tuple(int.from_bytes(sizes[4 * axis : 4 * axis + 4], "big") for axis in range(axes))
    count = math.prod(shape)
    if count > most:
        raise _not_whole(path, f"its header states {_sizes_text(shape)}, the file can hold {most:,} bytes at most")
    if count > LARGEST:
        raise UserError(
            f"an idx file of more than {LARGEST:,} bytes is not read",
            where=str(path),
            cause=f"its header states {_sizes_text(shape)}",
            hint="keep the part that is used",
        )
    values = np.empty(count, np.uint8)
    filled = 0
    while filled < count and (block := file.read(min(_BLOCK, count - filled))):
        values[filled : filled + len(block)] = np.frombuffer(block, np.uint8)
        filled += len(block)
    if filled < count or file.read(1):
        found = f"{filled:,} bytes follow" if filled < count else "more follows"
        raise _not_whole(path, f"its header states {_sizes_text(shape)}, {found}")
    return values.reshape(shape)


def _sizes_text(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{size:,}" for size in shape) + " bytes"


def _not_whole(path: Path, why: str) -> UserError:
    return UserError(
        "this is not a complete idx file of bytes", where=str(path), cause=why, hint="copy it again from its source"
    )
