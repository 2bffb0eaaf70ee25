"""Reads CIFAR-10 from its binary version. The Python version consists of pickles, which are never opened."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spikeport.errors import UserError
from spikeport.pipeline.data.images.static_images import ImageSet
from spikeport.regular_files import open_regular

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
RECORD = 1 + 3 * 32 * 32  # a label, then red, green and blue planes, row by row
MOST = 60_000 * RECORD  # bytes of a file; the published ones have 10,000 records
FILES = (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch")


def read_cifar10(folder: Path) -> ImageSet:
    """Images `[M, 3, 32, 32]` of the files data_batch_1.bin to test_batch.bin that a folder has.

    The id of an image is its file and index from 0: data_batch_1/17.

    Args:
        folder: the folder.

    Raises:
        UserError: a file is damaged, or there is none.
    """
    found = [(name, folder / f"{name}.bin") for name in FILES if (folder / f"{name}.bin").is_file()]
    if not found:
        pickles = [name for name in FILES if (folder / name).is_file()]
        raise UserError(
            "the Python version of CIFAR-10 is not read" if pickles else "no file of CIFAR-10 is here",
            where=str(folder),
            cause=f"{pickles[0]} is a pickle: opening it could run any code" if pickles else "",
            hint=f"place data_batch_1.bin ... test_batch.bin of cifar-10-binary.tar.gz in {folder}",
        )
    images, labels, ids = [], [], []
    for name, path in found:
        with open_regular(path) as file:
            size = path.stat().st_size
            content = np.frombuffer(file.read(size) if size <= MOST else b"", np.uint8)
        if not len(content) or len(content) % RECORD or content[::RECORD].max() >= len(CLASSES):
            most = f"{MOST:,} at most, records of {RECORD:,}, labels below {len(CLASSES)}"
            raise UserError(
                "this is not a complete file of CIFAR-10's binary version",
                where=str(path),
                cause=f"{size:,} bytes; {most}",
                hint="unpack it again from cifar-10-binary.tar.gz",
            )
        records = content.reshape(-1, RECORD)
        images.append(records[:, 1:].reshape(-1, 3, 32, 32))
        labels += records[:, 0].tolist()
        ids += [f"{name}/{row}" for row in range(len(records))]
    return ImageSet(images=np.concatenate(images), classes=tuple(CLASSES[label] for label in labels), ids=tuple(ids))
