"""The data sets, by the name that a recipe's `data.source` gives. A new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.data.framing import Progress
from pipeline.data.sources import class_folders, digits
from pipeline.data.sources.collection import Collection
from pipeline.recipe import Data


@dataclass(frozen=True, kw_only=True)
class Source:
    """How a source is loaded, and what `spikeport data list` says of it."""

    load: Callable[[Data, Progress | None], Collection]
    about: str
    needs: str


SOURCES: dict[str, Source] = {
    "digits": Source(
        load=digits.load,
        about="1,797 handwritten digits of scikit-learn, seen by a simulated event camera making three saccades",
        needs="nothing: the digits come with scikit-learn",
    ),
    "class-folders": Source(
        load=class_folders.load,
        about="your recordings in class folders, with images by class folder or MNIST's idx files",
        needs="data.root, data.events, data.images; events as <root>/<events>/<class>/<id>.bin|npz|aedat4|...",
    ),
}
