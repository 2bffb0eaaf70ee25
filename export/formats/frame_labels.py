"""Checks labels of frames: class numbers of the network's outputs, or -1 for unlabeled samples."""

from __future__ import annotations

import os
import zipfile
from typing import Any

import numpy as np

from spikeport.errors import UserError
from spikeport.export.network.readout import UNLABELED
from spikeport.notes import note

OTHER_NAMES = ("label", "y", "target", "targets")  # common names of label arrays


def checked_labels(labels: Any, samples: int, where: str, outputs: int | None = None) -> np.ndarray:
    """Checks labels and converts them to int64.

    Args:
        labels: integers, UNLABELED (-1) for samples of unknown class.
        samples: number of samples.
        where: the file, for error messages.
        outputs: number of classes of the network, which labels must stay below; None to skip this check.

    Returns:
        int64 `[samples]`.

    Raises:
        UserError: a label is not a class number, or there is not one label per sample.
    """
    labels = np.asarray(labels)
    if labels.shape != (samples,):
        raise UserError(f"labels have shape {labels.shape} for {samples} samples", where=where,
                        hint="give one class number a sample, -1 where it is not known")  # fmt: skip
    if labels.dtype.kind not in "iu":
        raise UserError(f"labels are {labels.dtype}, not class numbers", where=where,
                        hint="save integers: labels.astype(int)")  # fmt: skip
    limit = 2**31 if outputs is None else outputs
    bad = np.flatnonzero((labels < UNLABELED) | (labels >= limit))
    if len(bad):
        at = int(bad[0])
        why = f"the network has {outputs} outputs, so labels run from 0 to {limit - 1}, and -1 is unlabeled"
        from_one = outputs is not None and labels.max() == outputs and not np.any(labels == 0) and labels.min() >= -1
        raise UserError(
            f"label {labels[at]} of sample {at} is not a class",
            where=where,
            cause=why if outputs is not None else "labels run from 0 up, and -1 is unlabeled",
            hint="labels seem to start at 1: save labels - 1" if from_one
            else "save class numbers as the network was trained with, or take the network of these classes",
        )  # fmt: skip
    return labels.astype(np.int64)


def notice_other_labels(path: str | os.PathLike[str]) -> None:
    """Issues a note if the archive `path`, which has no `labels`, has an array with a common name of labels.

    Args:
        path: a .npz file without `labels`.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        held = {name.removesuffix(".npy") for name in archive.namelist()}
    found = [f"`{name}`" for name in OTHER_NAMES if name in held]
    if found:
        note(f"{path} holds {' and '.join(found)}, which is not read: only `labels` is read as labels")
