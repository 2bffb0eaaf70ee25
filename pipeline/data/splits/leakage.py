"""Protects held-out recordings: weights of another run must not have been trained on them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spikeport.errors import UserError
from spikeport.pipeline.data.dataset import Dataset
from spikeport.pipeline.run.recipe_file import MANIFEST
from spikeport.pipeline.run.run_folder import open_run

HELD_OUT_KEYS, TEST_SET_DIGEST = "held_out_keys", "test_set_digest"  # in the data stage's result


def held_out_keys(dataset: Dataset) -> list[str]:
    """Short digests of the keys of all validation and test recordings; neither they nor their images train.

    Args:
        dataset: the data set.
    """
    keys = (*dataset.validation.keys, *dataset.test.keys)
    return sorted(hashlib.sha256(key.encode()).hexdigest()[:16] for key in keys)


def test_set_digest(dataset: Dataset) -> str:
    """SHA-256 of keys, classes and event counts of the test recordings, in order.

    It does not depend on the binning and the training part.

    Args:
        dataset: the data set.
    """
    test = dataset.test
    events = None if test.events is None else test.events.tolist()
    content = (dataset.name, dataset.classes, test.keys, test.labels.tolist(), events)
    return hashlib.sha256(repr(content).encode()).hexdigest()


def check_leakage(folder: Path, dataset: Dataset) -> None:
    """Checks that another run did not train on recordings that are held out here, or on their images.

    A folder without a run, or with a run on another data set, is not checked. Runs that the other run was started from
    are checked too.

    Args:
        folder: folder of the other run.
        dataset: data set of this run.

    Raises:
        UserError: the other run may have trained on a held-out recording.
    """
    seen: set[Path] = set()
    while (folder / MANIFEST).is_file() and folder.resolve() not in seen:
        seen.add(folder.resolve())
        run = open_run(folder)
        _check(folder, run.result("data"), dataset)
        if not run.recipe.training.init_from:
            return
        folder = Path(run.recipe.training.init_from)


def _check(folder: Path, known: Mapping[str, Any], dataset: Dataset) -> None:
    if known["name"] != dataset.name:
        return
    if HELD_OUT_KEYS not in known:
        raise UserError(
            "this run does not state its held-out recordings", where=str(folder), hint="make it again with this version"
        )
    seen = set(held_out_keys(dataset)) - set(known[HELD_OUT_KEYS])
    if seen:
        raise UserError(
            f"this run may have trained on {len(seen)} of the recordings that are held out here",
            where=str(folder),
            cause="accuracy on them would say nothing",
            hint="split the data in both runs alike (data.split_seed, data.folds, data.fold, data.train, "
            "data.validation, data.test)",
        )
