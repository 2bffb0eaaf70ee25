"""Own recordings before there is a recipe: what a folder contains, and what one file contains."""

from __future__ import annotations

import os
from pathlib import Path

from spikeport.pipeline.data.own_data.check import DataCheck, check_folder
from spikeport.pipeline.data.own_data.frames_check import FramesCheck, check_frames, is_frames_folder
from spikeport.pipeline.data.own_data.in_recipe import RecordingInRecipe, read_in_recipe
from spikeport.pipeline.data.own_data.recording import RecordingDescription, describe_file
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.stages.new_recipe import check_new, recipe_of_check
from spikeport.pipeline.stages.outputs import check_file, is_animation, is_picture
from spikeport.pipeline.stages.settings import PathLike, as_recipe
from spikeport.progress import NamedProgress


def check_data(
    folder: PathLike,
    *,
    write_recipe: PathLike | None = None,
    samples: int = 1000,
    seed: int = 0,
    progress: NamedProgress | None = None,
) -> DataCheck | FramesCheck:
    """Reads the recordings of a folder, and finds what a recipe must set and what looks wrong.

    Formats, unit of time, sensor, coordinates from 1, polarity, order, duplicates, durations and classes are found; of
    ready frames their number and size. A file that cannot be read is listed, and the others are read.

    Args:
        folder: folder of `<class>/<id>.<ext>`, of ready frames `<class>/<id>.npy` or `<class>/<id>/<n>.png`, or of
            `train` and `test` with such folders.
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
    path = Path(os.fspath(folder))
    check = check_frames if is_frames_folder(path) else check_folder
    found = check(path, samples=samples, seed=seed, progress=progress)
    if file is not None:
        recipe_of_check(found, file)
    return found


def describe_recording(
    file: PathLike,
    *,
    recipe: Recipe | PathLike | None = None,
    picture: PathLike | None = None,
    gif: PathLike | None = None,
) -> RecordingDescription | RecordingInRecipe:
    """Reads one event file: events, duration, bounding box, polarity, order, and what is not known without a recipe.

    Args:
        file: an event file of any format that is read.
        recipe: a recipe, a TOML file, or the name of a shipped recipe; the file is then described as it reads it.
        picture: a PNG with the events of six windows is written here.
        gif: an animation of 24 windows is written here.

    Returns:
        The numbers, which `print` shows, and the events.

    Raises:
        UserError: the file cannot be read, or an output is a file of another kind.
        MissingDependencyError: the decompressor of the format is not installed.
    """
    path = Path(os.fspath(file))
    for out, kind, ours in ((picture, "preview", is_picture), (gif, "animation", is_animation)):
        if out is not None:
            check_file(Path(os.fspath(out)), kind, ours, reads=(path,))
    found = describe_file(path) if recipe is None else read_in_recipe(path, as_recipe(recipe).data)
    if picture is not None:
        found.save_picture(Path(os.fspath(picture)))
    if gif is not None:
        found.save_animation(Path(os.fspath(gif)))
    return found
