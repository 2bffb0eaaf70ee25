"""What a source hands to the data stage: recordings that can be read, and every image that could be shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from spikeport.pipeline.data.dataset import Recording, StaticImages
from spikeport.pipeline.data.frames.binning import Binning, Frames
from spikeport.progress import NamedProgress


@dataclass(frozen=True, kw_only=True)
class RawDataset:
    """All recordings of a source, unread, and all its images, unsplit.

    `keys` and `labels` `[N]` int64 belong to the recordings that `read()` yields, in that order. `content()`: a
    hash of everything that decides the events. `stamp`: what is known at no cost and changes whenever that hash
    may have (see `cache.known_content`); "" where the hash itself costs nothing. `bin`: a faster way to the
    frames that `bin_recordings` makes of `read()`. `paired`: each recording has the image of its own key in
    `images`. `official_test` `[N]` bool: which recordings the makers held out for testing, or None.
    """

    name: str
    description: str
    classes: tuple[str, ...]
    keys: tuple[str, ...]
    labels: np.ndarray
    content: Callable[[], str]
    read: Callable[[], Iterator[Recording]]
    images: StaticImages
    paired: bool
    simulated: bool
    stamp: str = ""
    bin: Callable[[Binning, NamedProgress | None], Frames] | None = None
    official_test: np.ndarray | None = None
