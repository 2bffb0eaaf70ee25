"""FRAMES.npz: binary frames `[N, T, C, H, W]` or `[N, T, D]`, and optionally their labels."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np

from export.files import write_npz
from hardware_profiles.errors import UserError


def write_frames(path: str | os.PathLike[str], frames: np.ndarray, labels: np.ndarray | None = None) -> None:
    """Writes binary `frames` uint8 `[N, T, ...]` and `labels` `[N]`, whole or not at all."""
    arrays = {"frames": frames.astype(np.uint8)}
    if labels is not None:
        arrays["labels"] = labels.astype(np.int64)
    write_npz(path, **arrays)


def read_frames(path: str | os.PathLike[str], input_shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray | None]:
    """`frames` uint8 `[N, T, *input_shape]` of 0 and 1, and `labels` int64 `[N]` or None.

    Frames given flat are shaped to `input_shape`. Raises UserError for anything that the network could not take as it
    is: netx would turn counts into 0 and 1 without a word, so that they are refused.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            if "frames" not in archive:
                raise UserError(
                    f"holds {sorted(archive.files)}, not `frames`",
                    where=str(path),
                    mend="save frames=[N, T, ...]",
                )
            frames = archive["frames"]
            labels = archive.get("labels")
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        if isinstance(error, UserError):
            raise
        what = "is no .npz file of plain arrays" if Path(path).is_file() else "no such file"
        raise UserError(what, where=str(path), mend="write it with numpy.savez(path, frames=...)") from error
    if frames.dtype.kind not in "uib":
        raise UserError(f"frames are {frames.dtype}, not integers", where=str(path), mend="binarise to uint8")
    size = int(np.prod(input_shape))
    if frames.ndim < 3 or int(np.prod(frames.shape[2:])) != size or frames.shape[1] == 0:
        raise UserError(
            f"frames have shape {frames.shape}",
            where=str(path),
            why=f"the network takes [N, T, {', '.join(map(str, input_shape))}]",
        )
    if frames.ndim > 3 and frames.shape[2:] != tuple(input_shape) and len(input_shape) > 1:
        raise UserError(
            f"frames have axes {frames.shape[2:]} after [N, T], the network takes {tuple(input_shape)}",
            where=str(path),
            mend="put the axes in the order C, H, W",
        )
    if frames.size and (frames.min() < 0 or frames.max() > 1):
        raise UserError(
            f"frames hold values from {frames.min()} to {frames.max()}",
            where=str(path),
            why="the network takes spikes of 0 and 1, and netx would make counts binary without a word",
            mend="binarise: frames = (frames > 0)",
        )
    if labels is not None and labels.shape != (frames.shape[0],):
        raise UserError(f"labels have shape {labels.shape} for {frames.shape[0]} samples", where=str(path))
    return frames.astype(np.uint8).reshape(*frames.shape[:2], *input_shape), labels
