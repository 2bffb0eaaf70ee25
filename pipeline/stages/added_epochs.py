"""Epochs that are added to a training of a run: which training goes on, and how many epochs `+N` means."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from spikeport.errors import UserError
from spikeport.pipeline.run.auto_method import CHOICE, chosen_method
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.run_folder import RunFolder
from spikeport.pipeline.run.sections.distillation import AUTO
from spikeport.pipeline.run.sections.training import EPOCHS_KEYS

ADDED = "added_epochs"  # key of the manifest


@dataclass(frozen=True)
class AddedEpochs:
    """A training that goes on for more epochs.

    Attributes:
        stage: its stage.
        key: the recipe key with its number of epochs.
        trained: epochs that are trained so far.
        before: number of epochs that it was planned with.
        now: number of epochs from here on.
    """

    stage: str
    key: str
    trained: int
    before: int
    now: int

    def __str__(self) -> str:
        return f"{self.key} from {self.before} to {self.now}; {self.stage} goes on after epoch {self.trained}"


def epochs_key(stage: str, recipe: Recipe) -> str:
    """The recipe key with the number of epochs (or updates) of a training; "" for stages that train nothing.

    Args:
        stage: name of a stage.
        recipe: the recipe.
    """
    from spikeport.pipeline.distillation.method_spec import pretraining_stages  # loads torch

    kind, _, method = stage.partition("-")
    if method == AUTO:  # with other epochs something else may be chosen
        return ""
    pretrained = kind == "student" and method == recipe.distillation.method and pretraining_stages(recipe)
    return EPOCHS_KEYS.get("pretrained student" if pretrained else kind, "")


def grows(stage: str, run: RunFolder, recipe: Recipe, changed: Sequence[str]) -> AddedEpochs | None:
    """The epochs that a recipe adds to a training of a run; None where it cannot go on.

    Args:
        stage: name of a stage.
        run: the run.
        recipe: the recipe of now.
        changed: keys with other values than before that the stage reads.
    """
    from spikeport.pipeline.run.tensor_files import read_tree
    from spikeport.pipeline.training.checkpoints import CHECKPOINT

    key, file = epochs_key(stage, recipe), run.file("checkpoints") / stage / CHECKPOINT
    before, now = _value(run.recipe, key), _value(recipe, key)
    if list(changed) != [key] or now <= before or not file.is_file():
        return None
    return AddedEpochs(stage, key, len(read_tree(file)["history"]), before, now)


def keep_added(run: RunFolder, added: Sequence[AddedEpochs], again: Collection[str]) -> None:
    """Notes in the manifest for each training how many epochs it was planned with until which epoch.

    Args:
        run: the run.
        added: the trainings that go on.
        again: stages that start from the beginning, of which nothing is noted any more.
    """
    noted: dict[str, Any] = {stage: rows for stage, rows in run.manifest.get(ADDED, {}).items() if stage not in again}
    for each in added:
        rows = noted.get(each.stage, [])
        if not rows or rows[-1] != [each.trained, each.before]:  # else it was killed after this line
            noted[each.stage] = [*rows, [each.trained, each.before]]
    if noted != run.manifest.get(ADDED, {}):
        run.keep(ADDED, noted)


def with_more_epochs(recipe: Recipe, run: RunFolder, more: int) -> Recipe:
    """A recipe with more epochs of the student than a run has finished.

    While added epochs are being trained, the number is that before the addition, so that the same command continues it.

    Args:
        recipe: the recipe.
        run: the run that goes on.
        more: number of epochs that are added, 1 or more.

    Raises:
        UserError: the number is not 1 or more, the recipe counts steps, or the run has chosen its method.
    """
    if more < 1:
        raise UserError(f"{more} is not a number of epochs to add", where="--epochs", hint="write for example +20")
    if recipe.training.min_steps:
        raise UserError(
            "this run counts steps, not epochs",
            where="training.min_steps",
            hint="give --epochs without +, or min_steps",
        )
    if run.recipe.distillation.method == AUTO:
        chosen, first = chosen_method(run), "choice" if CHOICE in run.manifest["stages"] else "student"
        raise UserError(
            "epochs cannot be added to a run that chooses its method",
            where="--epochs",
            cause=f"auto chose {chosen} by trainings of {run.recipe.training.epochs} epochs",
            hint=f"train {chosen} on in another run with --init-from {run.path} --set distillation.method={chosen} "
            f"--epochs {more}, or train again with --epochs {run.recipe.training.epochs + more} --from {first}",
        )
    stages = [f"student-{method}" for method in run.recipe.methods]
    plans = [run.manifest.get(ADDED, {}).get(stage, []) for stage in stages if stage not in run.manifest["stages"]]
    unfinished = [rows[-1][1] for rows in plans if rows]
    epochs = (unfinished[0] if unfinished else run.recipe.training.epochs) + more
    return recipe.model_copy(update={"training": recipe.training.model_copy(update={"epochs": epochs})})


def added_epochs(run: RunFolder) -> dict[str, str]:
    """In words for each training that went on for more epochs, which of its epochs were planned with which number.

    Args:
        run: the run.
    """
    found = {}
    for stage, rows in run.manifest.get(ADDED, {}).items():
        plans = [*rows, [None, _value(run.recipe, epochs_key(stage, run.recipe))]]
        first, parts = 1, []
        for last, planned in plans:
            parts.append(f"from epoch {first} as one of {planned}")
            first = (last or 0) + 1
        found[stage] = ", ".join(parts)
    return found


def _value(recipe: Recipe, key: str) -> int:
    section, _, name = key.partition(".")
    return int(getattr(getattr(recipe, section), name)) if name else 0
