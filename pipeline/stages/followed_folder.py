"""Watches folders: gives each event file once, as soon as it is whole."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import sleep

from spikeport.errors import UserError
from spikeport.pipeline.data.sources.event_files import EventFile
from spikeport.pipeline.stages.found_recordings import files_below
from spikeport.pipeline.stages.settings import PathLike

LOOK_S = 0.5  # from one look at the folders to the next


def check_folders(paths: Sequence[PathLike]) -> list[Path]:
    """The paths, all of which are folders.

    Args:
        paths: the folders.

    Raises:
        UserError: one is no folder.
    """
    for path in paths:
        if not os.path.isdir(path):
            raise UserError("only a folder can be followed", where=str(path), hint="name an existing folder")
    return [Path(path) for path in paths]


def follow(folders: Sequence[Path], until_idle_s: float | None = None) -> Iterator[EventFile]:
    """The event files below folders, those that are there at first and new ones, without end.

    A file is whole if it is not empty, and has the size and time of the look before. It is given once.

    Args:
        folders: the folders; folders within them are watched too.
        until_idle_s: ends after this time without a new file, a changed one, or one that was given, in seconds; None:
            without end.

    Raises:
        UserError: a folder is not there any more.
    """
    given: set[str] = set()
    before: dict[str, tuple[int, int]] = {}  # size and time of the files that are not given yet
    idle_s = 0.0
    while until_idle_s is None or idle_s < until_idle_s:
        now: dict[str, tuple[int, int]] = {}
        busy = False
        for file, size_time in _look(folders, given):
            path = os.path.abspath(file.path)
            if size_time[0] and before.get(path) == size_time:
                given.add(path)
                busy = True
                yield file
            else:
                now[path] = size_time
        idle_s = 0.0 if busy or now != before else idle_s + LOOK_S
        before = now
        sleep(LOOK_S)


def _look(folders: Sequence[Path], given: set[str]) -> list[tuple[EventFile, tuple[int, int]]]:
    """The files that were not given yet, each with its size and time; what vanishes meanwhile is left out."""
    found = []
    for folder in folders:
        try:
            files = files_below(folder, ())
        except (OSError, UserError):
            check_folders([folder])
            continue  # a folder within it vanished; the next look is whole
        for file in files:
            try:
                status = os.stat(file.path)
            except OSError:
                continue
            if os.path.abspath(file.path) not in given:
                found.append((file, (status.st_size, status.st_mtime_ns)))
    check_folders(folders)
    return found
