"""The method "auto": the recipe of one of its candidates, and of the candidate that a run has chosen."""

from __future__ import annotations

from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.run_folder import RunFolder
from spikeport.pipeline.run.sections.distillation import AUTO, OF_METHOD

CHOICE, CHOSEN = "choice", "chosen"  # the stage that chooses, and the key of its result


def with_method(recipe: Recipe, method: str) -> Recipe:
    """A recipe of "auto" with one of its candidates in its place. Any other recipe stays as it is.

    The candidate has its options in `distillation.auto.options`, and the keys of [distillation] that belong to it.
    After a pretraining come as many epochs over the recordings as the baseline has, unless
    `synthesis.finetune_epochs` says otherwise.

    Args:
        recipe: the recipe.
        method: the candidate.
    """
    own = recipe.distillation
    if own.method != AUTO:
        return recipe
    keys = {"method": method, "options": own.auto.options.get(method, {}), **OF_METHOD.get(method, {})}
    epochs = recipe.synthesis.finetune_epochs or recipe.training.epochs
    return recipe.model_copy(
        update={
            "distillation": own.model_copy(update=keys),
            "synthesis": recipe.synthesis.model_copy(update={"finetune_epochs": epochs}),
        }
    )


def chosen_method(run: RunFolder) -> str:
    """The method that a run's own student is trained with: that of its recipe, or what "auto" has chosen.

    Without the stage `choice`, where only the baseline can be trained, it is the baseline.

    Args:
        run: the run; its stage `choice`, if it has one, is done.
    """
    method = run.recipe.distillation.method
    if method != AUTO:
        return method
    return str(run.result(CHOICE)[CHOSEN]) if CHOICE in run.manifest["stages"] else "baseline"


def trained_recipe(run: RunFolder) -> Recipe:
    """The recipe that trains a run's own student.

    Args:
        run: the run; its stage `choice`, if it has one, is done.
    """
    return with_method(run.recipe, chosen_method(run))


def method_title(run: RunFolder) -> str:
    """The method of a run in words: its name, or "auto: " and what was chosen.

    Args:
        run: the run; its stage `choice`, if it has one, is done.
    """
    method = run.recipe.distillation.method
    return f"{AUTO}: {chosen_method(run)}" if method == AUTO else method
