"""Finds recordings below folders, with labels where their folders are classes: event files, or ready frames."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from spikeport.errors import UserError
from spikeport.export.network.readout import UNLABELED
from spikeport.pipeline.data.readers.frame_files import ARRAYS
from spikeport.pipeline.data.readers.frame_pictures import pictures_of
from spikeport.pipeline.data.readers.recordings import READERS
from spikeport.pipeline.data.sources.event_files import EventFile
from spikeport.pipeline.data.sources.frame_listing import LAYOUT
from spikeport.pipeline.stages.outputs import is_predictions
from spikeport.pipeline.stages.settings import PathLike


def find_recordings(paths: Sequence[PathLike], classes: Sequence[str], *, frames: bool = False) -> list[EventFile]:
    """Recordings that are named, and those below folders that are named. What is named twice is listed once.

    Args:
        paths: files, which may be missing, and folders.
        classes: names of the classes. The recordings of a folder have labels if the name of every folder that contains
            one is a class; else all are UNLABELED (-1).
        frames: whether recordings are ready frames: .npy and .npz files, and folders of pictures.

    Returns:
        The recordings; those of a folder are sorted by name, before those of its folders.

    Raises:
        UserError: a folder cannot be read, or there is no recording.
    """
    found: dict[str, EventFile] = {}
    for path in map(Path, paths):
        for file in files_below(path, classes, frames=frames) if os.path.isdir(path) else [_event_file(path)]:
            found.setdefault(os.path.abspath(file.path), file)
    if not found:
        raise UserError(
            f"no {'recording of ready frames' if frames else 'event file'} is here",
            where=", ".join(map(str, paths)),
            hint=f"the run reads {LAYOUT} (data.recordings): name such recordings, or folders of them"
            if frames
            else f"name event files, or folders with files of {', '.join(READERS)}",
        )
    return list(found.values())


def files_below(folder: Path, classes: Sequence[str], *, frames: bool = False) -> list[EventFile]:
    """The recordings below a folder. Hidden files, and tables that `predict` wrote, are left out.

    Args:
        folder: the folder.
        classes: names of the classes, as for `find_recordings`.
        frames: as for `find_recordings`.

    Raises:
        UserError: a folder cannot be read.
    """
    paths: list[Path] = []
    seen: set[tuple[int, int]] = set()  # folders: a link may lead back
    for place, folders, names in os.walk(folder, followlinks=True, onerror=_refuse):
        status = os.stat(place)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if name[0] != ".")
        here = [Path(place, name) for name in sorted(names) if name[0] != "."]
        if frames and pictures_of(Path(place)):
            paths.append(Path(place))
        paths += [path for path in here if (path.suffix.lower() in ARRAYS if frames else _is_recording(path))]
    files = [_event_file(path) for path in paths]
    parents = [os.path.basename(os.path.dirname(os.path.abspath(path))) for path in paths]
    if not set(parents) <= set(classes):
        return files
    return [replace(file, label=classes.index(name)) for file, name in zip(files, parents, strict=True)]


def _is_recording(path: Path) -> bool:
    extension = path.suffix.lower()
    if extension not in READERS:
        return False
    try:
        return not (extension == ".csv" and path.is_file() and is_predictions(path))
    except OSError:
        return True  # reading it says why not


def _event_file(path: Path) -> EventFile:
    return EventFile(path=path, label=UNLABELED, key=path.stem)


def _refuse(error: OSError) -> None:
    raise UserError(
        "this folder cannot be read", where=str(error.filename), cause=str(error.strerror), hint="name another"
    ) from error
