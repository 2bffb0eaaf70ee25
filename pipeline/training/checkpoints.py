"""Lightning's checkpoints as safetensors files, and what they are tied to."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning_fabric.plugins.io.checkpoint_io import CheckpointIO

from spikeport.errors import UserError
from spikeport.pipeline.data.dataset import Dataset
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.sections.training import PLACEMENT_KEYS
from spikeport.pipeline.run.tensor_files import read_tree, write_tree
from spikeport.pipeline.training.first_weights import student_origin

CHECKPOINT = "checkpoint.safetensors"


def recipe_identity(recipe: Recipe, dataset: Dataset, *sections: str) -> dict[str, object]:
    """Settings that a checkpoint depends on: the seed, sections of the recipe, the data set, and first weights.

    The device of the training is not among them, since it may change between a stop and the resume.

    Args:
        recipe: the recipe.
        dataset: the data set.
        *sections: names of sections of the recipe.
    """
    values = recipe.model_dump(mode="json", include={"seed", *sections})
    if "training" in values:
        values["training"] = {key: value for key, value in values["training"].items() if key not in PLACEMENT_KEYS}
    origin = student_origin(recipe)
    first = {} if origin is None else {"first_weights": origin.sha256}
    return {"recipe": values, "data": dataset.fingerprint, **first}


def read_checkpoint(path: Path, identity: Mapping[str, object], epochs_key: str = "") -> Mapping[str, Any]:
    """A checkpoint's numbers and tensors.

    Args:
        path: the file.
        identity: what it must be tied to.
        epochs_key: the recipe key that may be larger now than in the checkpoint; "": none.

    Raises:
        UserError: the file cannot be read, or belongs to another recipe, data set or stage.
    """
    saved = read_tree(path)
    planned, planned_before = _planned(identity, epochs_key), _planned(tied := _identity_of(saved), epochs_key)
    if planned[0] != planned_before[0] or planned[1] < planned_before[1] or not tied:
        raise UserError(
            "this checkpoint belongs to another recipe, data set or stage",
            where=str(path),
            hint="resume with the recipe it was made with, or choose another folder",
        )
    return saved


def _identity_of(saved: object) -> Mapping[str, Any]:
    identity = saved.get("identity") if isinstance(saved, dict) else None
    return identity if isinstance(identity, dict) else {}


def _planned(identity: Mapping[str, Any], epochs_key: str) -> tuple[Mapping[str, Any], int]:
    """The identity without the number of epochs, and this number; 0 where there is none."""
    section, _, name = epochs_key.partition(".")
    recipe = identity.get("recipe", {})
    if not name or not isinstance(recipe.get(section), dict):
        return identity, 0
    rest = {key: value for key, value in recipe[section].items() if key != name}
    return {**identity, "recipe": {**recipe, section: rest}}, int(recipe[section].get(name, 0))


class SafeCheckpointIO(CheckpointIO):
    """Lightning's checkpoints (weights, optimizer, schedule, progress) without pickles, written atomically."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any | None = None
    ) -> None:
        write_tree(checkpoint, path)

    def load_checkpoint(
        self,
        path: str | os.PathLike[str],
        map_location: Callable | None = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        return read_tree(path)

    def remove_checkpoint(self, path: str | os.PathLike[str]) -> None:
        Path(path).unlink(missing_ok=True)
