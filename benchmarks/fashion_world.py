"""The recordings and split files of benchmarks/fashion.py."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from fashion_camera import recordings

from spikeport.files import write_text

IMAGES = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "FashionMNIST" / "raw"
WORLD = 2026  # seed of the recordings
HELD, KNOWN = 100, 500  # recordings of a class for choosing settings, and to train on
CHUNK = 200  # recordings that are rendered at once
OF_TESTS = 1_000_000  # added to the number of a test image, whose recording then has other draws


def prepare(root: Path) -> None:
    """Makes the recordings `<class>/<image>.npy` and `<class>/test-<image>.npy`, and links the images.

    Does nothing where they are there.

    Args:
        root: folder of the data set.
    """
    if (root / "recordings").exists():
        return
    made = root / "unfinished"
    for part in ("train", "t10k"):
        images = idx(IMAGES / f"{part}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
        labels = idx(IMAGES / f"{part}-labels-idx1-ubyte.gz", 8)
        rows, name, first = np.arange(len(labels)), "test-{:05d}", OF_TESTS
        if part == "train":
            rows, name, first = chosen_rows(labels).ravel(), "{:05d}", 0
        for at in range(0, len(rows), CHUNK):
            some = rows[at : at + CHUNK]
            for row, frames in zip(some, recordings(images[some], some + first, seed=WORLD), strict=True):
                folder = made / str(labels[row])
                folder.mkdir(parents=True, exist_ok=True)
                np.save(folder / f"{name.format(row)}.npy", frames)
    (root / "images").symlink_to(IMAGES.resolve())
    made.rename(root / "recordings")


def chosen_rows(labels: np.ndarray) -> np.ndarray:
    """Training images that have a recording, `[K, HELD + KNOWN]`; the first HELD of a class are for choosing settings.

    Args:
        labels: class of each training image.
    """
    rng = np.random.default_rng(WORLD)
    return np.stack([rng.permutation(np.flatnonzero(labels == label))[: HELD + KNOWN] for label in np.unique(labels)])


def write_split(root: Path, count: int, seed: int, tested: int | None) -> str:
    """Writes a split file, and gives its name.

    Args:
        root: folder of the data set.
        count: recordings to train on.
        seed: of their choice.
        tested: the first so many test images; None: the recordings for choosing settings.
    """
    chosen = chosen_rows(idx(IMAGES / "train-labels-idx1-ubyte.gz", 8))
    name = f"{count}-{seed}-{tested or 'validation'}.csv"
    write_text(root / name, split_of(chosen, idx(IMAGES / "t10k-labels-idx1-ubyte.gz", 8), count, seed, tested))
    return name


def split_of(chosen: np.ndarray, tests: np.ndarray, count: int, seed: int, tested: int | None) -> str:
    """A split file of all recordings.

    Args:
        chosen: training images with a recording `[K, HELD + KNOWN]`, see `chosen_rows`.
        tests: class of each test image.
        count: recordings to train on, classes in equal parts.
        seed: of their choice.
        tested: the first so many test images; None: the recordings for choosing settings.
    """
    rng, lines = np.random.default_rng([WORLD, seed]), ["recording,part"]
    for label, rows in enumerate(chosen):
        train = set(rng.permutation(rows[HELD:])[: count // len(chosen)].tolist())
        held = set() if tested else set(rows[:HELD].tolist())
        for row in rows.tolist():
            part = "train" if row in train else "test" if row in held else "unused"
            lines.append(f"{label}/{row:05d},{part}")
    lines += [f"{label}/test-{row:05d},{'test' if row < (tested or 0) else 'unused'}"
              for row, label in enumerate(tests.tolist())]  # fmt: skip
    return "\n".join(lines) + "\n"


def idx(file: Path, header: int) -> np.ndarray:
    """Bytes of a packed idx file behind its header.

    Args:
        file: the file.
        header: length of the header in bytes.
    """
    with gzip.open(file) as opened:
        return np.frombuffer(opened.read(), np.uint8, offset=header)
