"""The candidates of the method "auto": which a recipe has, which can be trained, and whether there is a choice."""

from __future__ import annotations

from spikeport.errors import UserError
from spikeport.pipeline.data.sources.table import may_have_images
from spikeport.pipeline.distillation.methods import METHODS
from spikeport.pipeline.run.auto_method import with_method
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.sections.distillation import AUTO


def candidates(recipe: Recipe) -> tuple[str, ...]:
    """The candidates of a recipe, the baseline first.

    Args:
        recipe: a recipe of "auto".
    """
    return tuple(dict.fromkeys(("baseline", *recipe.distillation.auto.candidates)))


def candidate_recipes(recipe: Recipe) -> tuple[Recipe, ...]:
    """The recipe of each method that may train the student: of every candidate with "auto", else the recipe itself.

    Args:
        recipe: the recipe.
    """
    if recipe.distillation.method != AUTO:
        return (recipe,)
    names = ("baseline",) if why_no_choice(recipe) else candidates(recipe)
    return tuple(with_method(recipe, name) for name in names)


def chooses(recipe: Recipe) -> bool:
    """Whether a run of the recipe has the stage `choice`.

    Args:
        recipe: the recipe.
    """
    return recipe.distillation.method == AUTO and not why_no_choice(recipe)


def why_no_choice(recipe: Recipe) -> str:
    """Why "auto" is the baseline in any case; "" where candidates compete.

    Args:
        recipe: a recipe of "auto".
    """
    if not may_have_images(recipe.data) or recipe.data.channels is not None:
        return "the data set has no static images"
    if recipe.data.counts:
        return "frames are counts, and synthetic frames are 0 and 1"
    return "" if len(candidates(recipe)) > 1 else "there is no other candidate"


def check_auto(recipe: Recipe) -> None:
    """Checks what only "auto" reads; other methods pass.

    Args:
        recipe: the recipe.

    Raises:
        UserError: a candidate is unknown, or options belong to none.
    """
    own = recipe.distillation
    if own.method != AUTO:
        return
    for name in own.auto.candidates:
        if name not in METHODS:
            raise UserError(
                f"{name!r} is no method to choose from",
                where="distillation.auto.candidates",
                hint="use some of " + ", ".join(METHODS),
            )
    for name, options in own.auto.options.items():
        if name not in METHODS or not isinstance(options, dict):
            raise UserError(
                f"{name!r} is not a candidate with a table of options",
                where="distillation.auto.options",
                hint="write for example [distillation.auto.options.ckd-events] and below it pretrain = true",
            )
    for key in ("options", "losses"):
        if getattr(own, key):
            raise UserError(
                "auto has candidates, whose settings are their own",
                where=f"distillation.{key}",
                hint="leave it out, give options of a candidate in distillation.auto.options, or name a method",
            )
    if recipe.data.without_recordings:
        raise UserError(
            "auto chooses by recordings, and there are none",
            where="data.without_recordings",
            hint='use distillation.method = "synthetic-events" with synthesis.kind = "simulator" and '
            "synthesis.pretrain_epochs of 1 or more",
        )
