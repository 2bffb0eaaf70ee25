"""Named sets as they are loaded: the whole collection, and the image of a key."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikeport.pipeline.data.sources.raw_dataset import RawDataset
from spikeport.pipeline.data.sources.table import SOURCES
from spikeport.pipeline.run.sections.data import Data


def found(data: Data, **changes: Any) -> RawDataset:
    return SOURCES[data.source].load(data.model_copy(update=changes), None)


def image_of(collection: RawDataset, key: str) -> np.ndarray:
    return collection.images.images[collection.images.keys.index(key)]
