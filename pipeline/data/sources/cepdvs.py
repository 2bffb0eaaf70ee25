"""CEP-DVS: recordings of pictures on a screen, with the pictures; events/<class>/<n>.mat and images/<class>/<n>.png.

The two are paired by class and number, compared as numbers: file names sorted as words and pictures counted by
position would pair recording 10 with picture 2.
"""

from __future__ import annotations

from spikeport.pipeline.data.sources.file_pairs import load_file_pairs
from spikeport.pipeline.data.sources.raw_dataset import RawDataset
from spikeport.pipeline.run.sections.data import Data
from spikeport.progress import NamedProgress

PUBLISHED = 10_000
ABOUT = f"CEP-DVS: {{count}} of the {PUBLISHED:,} recordings in {{classes}} classes, each of a picture on a screen"


def load(data: Data, progress: NamedProgress | None = None) -> RawDataset:
    """The recordings of <root>/CEP-DVS/events and the images of <root>/CEP-DVS/images; see `load_file_pairs`."""
    return load_file_pairs("cepdvs", data, "CEP-DVS/events", "CEP-DVS/images", ABOUT, progress)
