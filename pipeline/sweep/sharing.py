"""Shares stages between trials: a trial with the same teacher or the same pretraining as an earlier trial copies its
files."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.recipe_file import MANIFEST, load_recipe
from spikeport.pipeline.run.run_folder import RunFolder, create, locked, open_run
from spikeport.pipeline.run.sections.training import PLACEMENT_KEYS
from spikeport.pipeline.stages.resuming import what_is_read
from spikeport.pipeline.stages.runner import stages_of
from spikeport.versions import about_this_run


def share_stages(recipe: Path, changes: Iterable[str], folder: Path, others: Iterable[Path]) -> Path | None:
    """Starts a run with copied stages of another run: data, teacher and pretraining, or else data and teacher.

    Args:
        recipe: the recipe's file.
        changes: words `key=value` of the trial.
        folder: folder of the trial.
        others: folders of other trials; the first with equal stages is used.

    Returns:
        The folder that was copied from; None where no trial has equal stages, or where `folder` exists already.
    """
    if (folder / MANIFEST).is_file():
        return None
    wanted = load_recipe(recipe, list(changes))
    found = [open_run(other) for other in others if (other / MANIFEST).is_file()]
    before_students = tuple(stage.name for stage in stages_of(wanted) if "-" not in stage.name)
    before_students = before_students[: before_students.index("export")]
    for stages in dict.fromkeys([before_students, ("data", "teacher")]):
        for other in found:
            if all(other.is_done(stage) and _alike(stage, other.recipe, wanted) for stage in stages):
                with locked(folder):
                    _begin(folder, wanted, other, stages)
                return other.path
    return None


def _alike(stage: str, one: Recipe, other: Recipe) -> bool:
    """Whether both recipes give equal results of a stage, bit by bit, since trials are compared with each other."""
    places = [recipe.training.model_dump(include=set(PLACEMENT_KEYS)) for recipe in (one, other)]
    return places[0] == places[1] and what_is_read(stage, one) == what_is_read(stage, other)


def _begin(folder: Path, recipe: Recipe, other: RunFolder, stages: tuple[str, ...]) -> None:
    begun = create(folder, recipe, resume=False, about={**about_this_run(), "taken_from": other.path.name})
    for stage in stages:
        entry = other.manifest["stages"][stage]
        for name in entry["files"]:
            shutil.copyfile(other.file(name), begun.file(name))
        begun.record(stage, entry["result"], tuple(entry["files"]), entry["seconds"])
