"""CEP-DVS: recordings of pictures on a screen, with the pictures: events/<class>/<n>.mat and images/<class>/<n>.png.

They are paired by class and number. Pairing by position would pair recording 10 with picture 2, because names that are
sorted as texts are not in the order of numbers.
"""

from __future__ import annotations

from spikeport.pipeline.data.downloads.archives import Archive
from spikeport.pipeline.data.sources.base import Source
from spikeport.pipeline.data.sources.file_pairs import load_file_pairs, read_file
from spikeport.pipeline.data.sources.raw_dataset import RawDataset
from spikeport.pipeline.run.sections.data import Data
from spikeport.progress import NamedProgress

PUBLISHED = 10_000
ABOUT = f"CEP-DVS: {{count}} of the {PUBLISHED:,} recordings in {{classes}} classes, each of a picture on a screen"


def load(data: Data, progress: NamedProgress | None = None) -> RawDataset:
    """The recordings of <root>/CEP-DVS/events and the images of <root>/CEP-DVS/images; see `load_file_pairs`.

    Args:
        data: `[data]` of the recipe.
        progress: called with (files done, files in all, what is done).
    """
    return load_file_pairs(SOURCE, data, "CEP-DVS/events", "CEP-DVS/images", ABOUT, progress)


SOURCE = Source(
    name="cepdvs",
    load=load,
    read_file=read_file,
    about="CEP-DVS: pictures of 20 classes on a screen, with the pictures, paired by class and number",
    needs="data.root with CEP-DVS/events/<class>/<n>.mat and CEP-DVS/images/<class>/<n>.png",
    archives=(
        Archive(
            file="CEP-DVS",
            into="CEP-DVS",
            content_folder="CEP-DVS/events",
            layout="<class>/<n>.mat (or .npz, .npy, .bin, .aedat4)",
            suffix=(".mat",),
            count=10_000,
            ask="its authors (github.com/Brain-Cog-Lab/Transfer-for-DVS, issue 2)",
        ),
        Archive(
            file="CEP-DVS",
            into="CEP-DVS",
            content_folder="CEP-DVS/images",
            layout="<class>/<n>.png",
            suffix=(".png", ".jpg"),
            count=10_000,
            ask="its authors (github.com/Brain-Cog-Lab/Transfer-for-DVS, issue 2)",
        ),
    ),
)
