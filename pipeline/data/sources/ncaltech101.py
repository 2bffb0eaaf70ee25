"""N-Caltech101 with Caltech101: <class>/image_0001.bin was made from <class>/image_0001.jpg."""

from __future__ import annotations

from spikeport.pipeline.data.downloads.archives import Archive
from spikeport.pipeline.data.sources.base import Source
from spikeport.pipeline.data.sources.file_pairs import load_file_pairs, read_file
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
    """The recordings of <root>/NCALTECH101/Caltech101 and the images of <root>/Caltech101/101_ObjectCategories.

    See `load_file_pairs`. Caltech101 has one class more, Faces, with the photographs of Faces_easy; it is not read.

    Args:
        data: `[data]` of the recipe.
        progress: called with (files done, files in all, what is done).
    """
    return load_file_pairs(SOURCE, data, EVENTS, IMAGES, ABOUT, progress)


SOURCE = Source(
    name="ncaltech101",
    load=load,
    read_file=read_file,
    about="N-Caltech101 and Caltech101: pictures of 101 classes seen in three saccades, brought to one size",
    needs="data.root with NCALTECH101/Caltech101/<class>/image_0001.bin and "
    "Caltech101/101_ObjectCategories/<class>/image_0001.jpg",
    archives=(
        Archive(
            file="N-Caltech101-archive.zip",
            into="NCALTECH101",
            content_folder="NCALTECH101/Caltech101",
            layout="<class>/image_0001.bin",
            suffix=(".bin",),
            count=8_709,
            tonic=("NCALTECH101", ""),
            inner=("Caltech101.zip",),
        ),
        Archive(
            file="caltech-101.zip",
            into="Caltech101",
            content_folder="Caltech101/101_ObjectCategories",
            layout="<class>/image_0001.jpg",
            suffix=(".jpg",),
            count=9_144,
            url="https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip",
            md5="3138e1922a9193bfa496528edbbc45d0",
            inner=("101_ObjectCategories.tar.gz",),
        ),
    ),
)
