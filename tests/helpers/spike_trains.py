"""Spike trains in the official layout of the Heidelberg sets: words of made-up formants, spoken by several speakers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tonic

CHANNELS = 700
WORDS = ("rise", "fall", "fork", "hold")


def spoken(word: int, speaker: int, seed: int, seconds: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    """Sorted times in s (float16, as in SHD) and channels: one or two bands that move as the word says, and noise.

    A speaker has a pitch, by which all bands are shifted, and a speed.
    """
    generator = np.random.default_rng([word, speaker, seed])
    length = seconds * (0.8 + 0.06 * speaker)
    at = generator.uniform(0, 1, 700)
    paths = {0: (0.2, 0.8), 1: (0.8, 0.2), 2: (0.5, 0.85), 3: (0.5, 0.5)}[word % 4]
    center = paths[0] + (paths[1] - paths[0]) * at
    if word % 4 == 2:  # a second band goes the other way
        center = np.where(generator.random(700) < 0.5, center, 1 - center)
    place = center * 600 + 40 + 6 * speaker + generator.normal(0, 12, 700)
    noise = generator.integers(0, CHANNELS, 60)
    units = np.concatenate([np.clip(place.round(), 0, CHANNELS - 1), noise]).astype(np.uint16)
    times = np.concatenate([at * length, generator.uniform(0, length, 60)]).astype(np.float16)
    order = np.argsort(times, kind="stable")
    return times[order], units[order]


def write_trains(
    path: Path,
    trains: Sequence[tuple[np.ndarray, np.ndarray]],
    labels: Sequence[int],
    speakers: Sequence[int] | None,
    names: Sequence[str] = WORDS,
) -> None:
    """Writes one file as the makers do: ragged arrays, labels, keys and speakers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        spikes, extra = file.create_group("spikes"), file.create_group("extra")
        for name, column in (("times", 0), ("units", 1)):
            kind: Any = h5py.vlen_dtype(trains[0][column].dtype if trains else np.float16)
            ragged = spikes.create_dataset(name, (len(trains),), kind)
            for row, train in enumerate(trains):
                ragged[row] = train[column]
        file["labels"] = np.asarray(labels, np.uint16)
        extra["keys"] = np.array([name.encode() for name in names])
        if speakers is not None:
            extra["speaker"] = np.asarray(speakers, np.uint16)


def write_part(path: Path, speakers: Sequence[int], each: int, words: int = 4) -> int:
    """Each speaker says each word `each` times; returns the number of recordings."""
    spoken_by = [(word, who, n) for n in range(each) for who in speakers for word in range(words)]
    write_trains(
        path,
        [spoken(*which) for which in spoken_by],
        [word for word, _, _ in spoken_by],
        [who for _, who, _ in spoken_by],
        WORDS[:words],
    )
    return len(spoken_by)


def tonics(root: Path, part: str, **more: Any) -> tonic.datasets.SHD:
    """The file of a part as tonic reads it, which asks for the packed file, too."""
    (root / "SHD" / f"shd_{part}.h5.zip").touch()
    return tonic.datasets.SHD(str(root), train=part == "train", **more)
