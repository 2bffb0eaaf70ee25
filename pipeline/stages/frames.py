"""Frames of a recipe's recordings in a file, as `simulate`, `profile`, `export --calibrate` and `adapt` read them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import numpy as np

from spikeport.errors import UserError
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.stages.settings import PathLike, load_dataset
from spikeport.progress import NamedProgress

Part = Literal["train", "validation", "test"]


def save_frames(
    recipe: Recipe | PathLike,
    out: PathLike,
    *,
    part: Part = "test",
    count: int = 0,
    seed: int = 0,
    progress: NamedProgress | None = None,
) -> np.ndarray:
    """Writes the binned frames and classes of one part of a recipe's data set.

    Args:
        recipe: a recipe, a TOML file, or the name of a shipped recipe.
        out: the .npz file, with `frames` uint8 `[N, T, 2, H, W]` or `[N, T, channels]`, and `labels` int64 `[N]`.
        part: part of the data set.
        count: recordings that are drawn by class; 0: all.
        seed: seed of the draw.
        progress: called with (parts done, parts in all, what is done).

    Returns:
        Keys of the recordings, in the order of the frames.

    Raises:
        UserError: the data cannot be used, the part is empty, or `out` is a file of another kind.
        MissingDependencyError: the data set is not on this machine.
    """
    from spikeport.export.formats.frames_file import write_frames
    from spikeport.export.network.sampling import draw
    from spikeport.pipeline.stages.outputs import check_file, is_frames_file

    file = Path(os.fspath(out))
    if file.suffix != ".npz":
        raise UserError(
            "frames are written to a .npz file", where=str(file), hint=f"name it {file.stem or 'frames'}.npz"
        )
    check_file(file, "file of frames", is_frames_file)
    found = getattr(load_dataset(recipe, progress=progress), part)
    if not len(found.keys):
        raise UserError(
            f"the part {part} has no recording", where="data", hint="choose another part, or change its size"
        )
    rows = draw(count or len(found.keys), len(found.keys), found.labels, seed=seed).rows
    write_frames(file, np.asarray(found.frames[rows]), found.labels[rows])
    return np.array(found.keys)[rows]
