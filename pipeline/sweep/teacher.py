"""Trials that would train the same teacher share it: the first trains it, later ones take its file over."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.provenance import about_this_run
from pipeline.recipe import Recipe
from pipeline.recipe_file import load_recipe
from pipeline.run_folder import MANIFEST, create, locked, open_run

# What a teacher's training does not read. New sections and keys count as read until they are named here.
_UNREAD = ("name", "student", "augmentation", "distillation", "bridge", "quantisation", "check", "profile")
_UNREAD_TRAINING = ("epochs", "batch", "lr", "weight_decay", "warmup_epochs", "average")
_SHARED = ("data", "teacher")  # stages


def what_a_teacher_reads(recipe: Recipe) -> dict[str, Any]:
    """The part of a recipe that decides the teacher's weights: two recipes that agree here have the same teacher."""
    values = {key: value for key, value in recipe.model_dump().items() if key not in _UNREAD}
    values["training"] = {key: value for key, value in values["training"].items() if key not in _UNREAD_TRAINING}
    return values


def share_teacher(recipe: Path, changes: Iterable[str], folder: Path, others: Iterable[Path]) -> Path | None:
    """Begins the run `folder` with the stages data and teacher of the first of `others` that has the same teacher.

    Gives that run's folder, or None where there is none, or where `folder` has begun already.
    """
    if (folder / MANIFEST).is_file():
        return None
    wanted = load_recipe(recipe, list(changes))
    for other in others:
        if not (other / MANIFEST).is_file():
            continue
        found = open_run(other)
        if not all(found.is_done(stage) for stage in _SHARED):
            continue
        if what_a_teacher_reads(found.recipe) == what_a_teacher_reads(wanted):
            with locked(folder):
                about = {**about_this_run(), "teacher_of": other.name}
                begun = create(folder, wanted, resume=False, about=about)
                for stage in _SHARED:
                    entry = found.manifest["stages"][stage]
                    for name in entry["files"]:
                        shutil.copyfile(found.file(name), begun.file(name))
                    begun.record(stage, entry["result"], tuple(entry["files"]), entry["seconds"])
            return other
    return None
