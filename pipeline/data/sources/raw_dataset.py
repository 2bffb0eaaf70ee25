"""What a source returns: recordings that can be read, and all static images, before they are split."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spikeport.pipeline.data.dataset import Recording, StaticImages
from spikeport.pipeline.data.frames.binning import Binning, Frames
from spikeport.progress import NamedProgress


@dataclass(frozen=True, kw_only=True)
class RawDataset:
    """All recordings of a source, not read yet, and all its images, not split yet.

    Attributes:
        name: name of the data set, for the report.
        description: one sentence, for the report.
        classes: names of the classes, in order of label.
        keys: keys of the recordings, `N` texts.
        labels: int64 `[N]`, classes of the recordings.
        content_hash: computes a hash of everything that decides the events.
        read: yields the recordings in the order of `keys`.
        images: the static images.
        paired: whether each recording has the image of its own key in `images`.
        simulated: whether no real sensor recorded the events.
        mtime_digest: digest of file names, sizes and times, which changes whenever `content_hash` may have (see
            `frames.cache.known_content_hash`); "" where the hash itself is cheap.
        bin: a faster way to the frames that `bin_recordings` makes of `read()`, or None.
        official_test: bool `[N]`, which recordings belong to the published test part, or None.
        groups: int64 `[N]`, person or session of each recording, which a random split keeps on one side; None: unknown.
        official_validation: bool `[N]`, which belong to the published validation part, or None.
        files: file of each recording; empty where recordings have no files of their own.
    """

    name: str
    description: str
    classes: tuple[str, ...]
    keys: tuple[str, ...]
    labels: np.ndarray
    content_hash: Callable[[], str]
    read: Callable[[], Iterator[Recording]]
    images: StaticImages
    paired: bool
    simulated: bool
    mtime_digest: str = ""
    bin: Callable[[Binning, NamedProgress | None], Frames] | None = None
    official_test: np.ndarray | None = None
    groups: np.ndarray | None = None
    official_validation: np.ndarray | None = None
    files: tuple[Path, ...] = ()

    def __repr__(self) -> str:
        return f"RawDataset({self.name}: {len(self.keys):,} recordings, {len(self.classes)} classes)"
