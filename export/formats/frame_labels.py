"""Labels beside frames: numbers of the network's outputs, -1 where nobody knows; checked before anything is run."""

from __future__ import annotations

import os
import zipfile
from typing import Any

import numpy as np

from spikeport.errors import UserError
from spikeport.export.network.readout import UNLABELLED
from spikeport.notes import note

OTHER_NAMES = ("label", "y", "target", "targets")  # under which labels are often kept


def checked_labels(labels: Any, samples: int, where: str, outputs: int | None = None) -> np.ndarray:
    """`labels` as int64 `[samples]`; with `outputs`, the network's number of classes, all below it. -1 is UNLABELLED.

    Raises UserError naming the sample where one is no class number.
    """
    labels = np.asarray(labels)
    if labels.shape != (samples,):
        raise UserError(f"labels have shape {labels.shape} for {samples} samples", where=where)
    if labels.dtype.kind not in "iu":
        raise UserError(f"labels are {labels.dtype}, not class numbers", where=where,
                        hint="save integers: labels.astype(int)")  # fmt: skip
    limit = 2**31 if outputs is None else outputs
    bad = np.flatnonzero((labels < UNLABELLED) | (labels >= limit))
    if len(bad):
        at = int(bad[0])
        why = f"the network has {outputs} outputs, so labels run from 0 to {limit - 1}, and -1 is unlabelled"
        from_one = outputs is not None and labels.max() == outputs and not np.any(labels == 0) and labels.min() >= -1
        raise UserError(
            f"label {labels[at]} of sample {at} is no class",
            where=where,
            cause=why if outputs is not None else "labels run from 0 up, and -1 is unlabelled",
            hint="labels seem to start at 1: save labels - 1" if from_one
            else "save class numbers as the network was trained with, or take the network of these classes",
        )  # fmt: skip
    return labels.astype(np.int64)


def notice_other_labels(path: str | os.PathLike[str]) -> None:
    """A note where an archive without `labels` holds an array that may be meant as such."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        held = {name.removesuffix(".npy") for name in archive.namelist()}
    found = [f"`{name}`" for name in OTHER_NAMES if name in held]
    if found:
        note(f"{path} holds {' and '.join(found)}, which is not read: labels are taken from `labels` alone")
