"""Trials that would train the same teacher, or have the same first lessons, share them: the first trains, later ones
take its files over."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.distillation.presets import lessons
from pipeline.provenance import about_this_run
from pipeline.recipe import Recipe
from pipeline.recipe_file import load_recipe
from pipeline.run_folder import MANIFEST, RunFolder, create, locked, open_run

# What a training does not read. New sections and keys count as read until they are named here.
_LATER = ("name", "quantisation", "check", "profile")
_BY_TEACHER = (*_LATER, "student", "augmentation", "distillation", "bridge")
_OF_STUDENT = ("epochs", "batch", "lr", "warmup_epochs")  # of [training]: the lessons have their own
_OF_LATER = ("later_epochs", "later_lr", "share")  # of [bridge]


def what_a_teacher_reads(recipe: Recipe) -> dict[str, Any]:
    """The part of a recipe that decides the teacher's weights: two recipes that agree here have the same teacher."""
    values = recipe.model_dump(exclude=set(_BY_TEACHER))
    return {**values, "training": _without(values["training"], (*_OF_STUDENT, "weight_decay", "average"))}


def what_lessons_read(recipe: Recipe) -> dict[str, Any]:
    """The part that decides the student's weights after its first lessons (`presets.lessons`), the teacher's too."""
    values = recipe.model_dump(exclude=set(_LATER))
    parts = {"training": _without(values["training"], _OF_STUDENT), "bridge": _without(values["bridge"], _OF_LATER)}
    return {**values, **parts}


def share_stages(recipe: Path, changes: Iterable[str], folder: Path, others: Iterable[Path]) -> Path | None:
    """Begins the run `folder` with what the first of `others` has that this trial would train alike: data, teacher and
    first lessons, or else data and teacher.

    Gives that run's folder, or None where there is none, or where `folder` has begun already.
    """
    if (folder / MANIFEST).is_file():
        return None
    wanted = load_recipe(recipe, list(changes))
    found = [open_run(other) for other in others if (other / MANIFEST).is_file()]
    kinds = [(what_lessons_read, ("data", "teacher", *lessons(wanted)))] if lessons(wanted) else []
    for reads, stages in (*kinds, (what_a_teacher_reads, ("data", "teacher"))):
        for other in found:
            if all(other.is_done(stage) for stage in stages) and reads(other.recipe) == reads(wanted):
                with locked(folder):
                    _begin(folder, wanted, other, stages)
                return other.path
    return None


def _begin(folder: Path, recipe: Recipe, other: RunFolder, stages: tuple[str, ...]) -> None:
    begun = create(folder, recipe, resume=False, about={**about_this_run(), "taken_from": other.path.name})
    for stage in stages:
        entry = other.manifest["stages"][stage]
        for name in entry["files"]:
            shutil.copyfile(other.file(name), begun.file(name))
        begun.record(stage, entry["result"], tuple(entry["files"]), entry["seconds"])


def _without(values: dict[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in keys}
