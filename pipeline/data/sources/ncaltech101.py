"""N-Caltech101 with Caltech101: <class>/image_0001.bin was made from <class>/image_0001.jpg."""

from __future__ import annotations

from spikeport.pipeline.data.sources.file_pairs import load_file_pairs
from spikeport.pipeline.data.sources.raw_dataset import RawDataset
from spikeport.pipeline.run.sections.data import Data
from spikeport.progress import NamedProgress

PUBLISHED = 8_709
ABOUT = (
    f"N-Caltech101: {{count}} of the {PUBLISHED:,} recordings in {{classes}} classes, each of a Caltech101 picture "
    "that a sensor saw in three saccades"
)
EVENTS, IMAGES = "NCALTECH101/Caltech101", "Caltech101/101_ObjectCategories"


def load(data: Data, progress: NamedProgress | None = None) -> RawDataset:
    """The recordings of <root>/NCALTECH101/Caltech101 and the images of <root>/Caltech101/101_ObjectCategories; see
    `load_file_pairs`. Caltech101 has a class more, Faces, of the same photographs as Faces_easy: it is never read.
    """
    return load_file_pairs("ncaltech101", data, EVENTS, IMAGES, ABOUT, progress)
