"""The data sets that a recipe's `data.source` can name.

To add one to the package: write a file beside this one that defines `SOURCE = Source(...)`, and add that object to the
table in `sources/table.py`. Recipes, downloads, `spikeport data list` and the tests of every source then include it.

A data set from outside the package needs no line: `data.source = "package.module:factory"`, see `sources/external.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spikeport.errors import MissingDependencyError
from spikeport.pipeline.data.dataset import Recording
from spikeport.pipeline.data.downloads.archives import Archive, how_to_get
from spikeport.pipeline.data.sources.event_files import EventFile
from spikeport.pipeline.data.sources.raw_dataset import RawDataset
from spikeport.pipeline.run.sections.data import Data
from spikeport.progress import NamedProgress


@dataclass(frozen=True, kw_only=True)
class Source:
    """One data set.

    Attributes:
        name: its name in recipes.
        about: one line for `spikeport data list`.
        needs: where its files must lie, for the same list.
        load: function of the recipe's section [data] and a progress callback that lists the recordings and reads the
            images. Raises MissingDependencyError for files that are not there, UserError for damaged ones.
        read_file: reads a new recording, which belongs to no part of the set, as `load` reads those of the set.
        archives: downloads that bring its files; empty where there are none.
        channels: number of channels of a one-dimensional input; None for recordings with height and width.
        images: whether it has static images where `data.images` names none.
    """

    name: str
    about: str
    needs: str
    load: Callable[[Data, NamedProgress | None], RawDataset]
    read_file: Callable[[Data, EventFile], Recording]
    archives: tuple[Archive, ...] = ()
    channels: int | None = None
    images: bool = True

    def missing(self, content_folder: str, folder: Path, file: str = "") -> MissingDependencyError:
        """The error for an archive's content that is not at `folder`.

        Args:
            content_folder: `Archive.content_folder` of that archive.
            folder: where its content was expected.
            file: `Archive.file`, where several archives bring one folder.
        """
        archive = next(a for a in self.archives if a.content_folder == content_folder and file in ("", a.file))
        return MissingDependencyError(
            f"{content_folder} of {self.name} is not there",
            where=str(folder),
            hint=how_to_get(self.name, archive, folder),
        )
