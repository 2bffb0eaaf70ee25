"""Counts the files that are recordings of the data set that a run was trained from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from spikeport.errors import UserError
from spikeport.pipeline.data.sources.table import SOURCES
from spikeport.pipeline.run.sections.data import Data


def count_own(data: Data, files: Sequence[Path]) -> int:
    """How many files are recordings of the data set. Links count as what they lead to.

    The data set is listed only if a file lies below one of its folders.

    Args:
        data: `[data]` of the recipe.
        files: existing files.
    """
    if not data.root:
        return 0
    folders = {Path(data.root, name) for name in ("", data.events, data.test_events)}
    if not any(_is_below(file, folder) for file in files for folder in folders):
        return 0
    try:
        own = SOURCES[data.source].load(data, None).files
        numbers = {_number(file) for file in own}
        return sum(_number(file) in numbers for file in files)
    except (OSError, UserError):
        return 0  # the data set is not there as it was, so nothing is known of its recordings


def _is_below(file: Path, folder: Path) -> bool:
    return any(where(file).startswith(os.path.join(where(folder), "")) for where in (os.path.realpath, os.path.abspath))


def _number(file: Path) -> tuple[int, int]:
    status = os.stat(file)
    return status.st_dev, status.st_ino
