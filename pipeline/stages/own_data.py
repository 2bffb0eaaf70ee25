"""Own recordings before there is a recipe: what a folder contains, and what one file contains."""

from __future__ import annotations

import os
from pathlib import Path

from spikeport.pipeline.data.own_data.check import DataCheck, check_folder
from spikeport.pipeline.stages.new_recipe import check_new, recipe_of_check
from spikeport.pipeline.stages.settings import PathLike
from spikeport.progress import NamedProgress


def check_data(
    folder: PathLike,
    *,
    write_recipe: PathLike | None = None,
    samples: int = 1000,
    seed: int = 0,
    progress: NamedProgress | None = None,
) -> DataCheck:
    """Reads the recordings of a folder, and finds what a recipe must set and what looks wrong.

    Formats, unit of time, sensor, coordinates from 1, polarity, order, duplicates, durations and classes are found. A
    file that cannot be read is listed, and the others are read.

    Args:
        folder: folder of `<class>/<id>.<ext>`, or of `train` and `test` with such folders.
        write_recipe: a recipe with these settings is written here; an existing file is not replaced.
        samples: most recordings that are read, drawn by class; 0: all.
        seed: seed of the draw.
        progress: called with (files done, files in all, what is done).

    Returns:
        What was found; `settings` are the keys of `[data]`, and `print` shows all of it.

    Raises:
        MissingDependencyError: there is no such folder.
        UserError: files do not lie in class folders, none can be read, or the recipe exists.
    """
    file = None if write_recipe is None else Path(os.fspath(write_recipe))
    if file is not None:
        check_new(file)
    found = check_folder(Path(os.fspath(folder)), samples=samples, seed=seed, progress=progress)
    if file is not None:
        recipe_of_check(found, file)
    return found
