"""The method that a recipe names, and what a run needs for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from spikeport.errors import UserError
from spikeport.pipeline.distillation.auto_candidates import candidate_recipes
from spikeport.pipeline.distillation.method_parts import MethodSpec
from spikeport.pipeline.distillation.methods import METHODS
from spikeport.pipeline.distillation.options import check_options
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.sections.distillation import AUTO, Distillation


def method_spec(recipe: Distillation, method: str | None = None) -> MethodSpec:
    """The losses of a method.

    Args:
        recipe: the section [distillation].
        method: a name of `METHODS`. None, or the recipe's own: with the recipe's options and added losses. Any other
            has its defaults and no added loss.

    Raises:
        UserError: the method or an option is unknown, or an option is not of its type.
    """
    name = recipe.method if method is None else method
    if name not in METHODS:
        raise UserError(
            f"{name!r} is not a distillation method",
            where="distillation.method",
            hint=f"use one of {', '.join(METHODS)}, {AUTO}",
        )
    if name != recipe.method:
        return _with_options(name, {})
    spec = _with_options(name, recipe.options)
    return replace(spec, losses=(*spec.losses, *recipe.losses))


def baseline_spec(recipe: Distillation) -> MethodSpec:
    """The losses of the method "baseline", without added losses.

    Its options are those of the recipe if "baseline" is the method of the recipe, else the defaults.

    Args:
        recipe: `[distillation]`.
    """
    return _with_options("baseline", recipe.options if recipe.method == "baseline" else {})


def uses_synthesis(recipe: Distillation) -> bool:
    """Whether the method of the recipe uses synthetic events.

    Args:
        recipe: `[distillation]`.
    """
    streams = method_spec(recipe).streams
    return "synthetic" in streams or ("hybrid" in streams and recipe.static == "synthetic")


def pretraining_stages(recipe: Recipe) -> tuple[str, ...]:
    """The stages between teacher and student that the method of the recipe needs, in order.

    "simulator" pretrains on images that the simulator renders, "synthesis" trains the translator or fits the motion,
    and "pretrain" pretrains on synthetic events. With "auto", those that any of its candidates needs.

    Args:
        recipe: the recipe.
    """
    needed = {name for each in candidate_recipes(recipe) for name in _pretraining_stages(each)}
    return tuple(name for name in ("simulator", "synthesis", "pretrain") if name in needed)


def _pretraining_stages(recipe: Recipe) -> tuple[str, ...]:
    synthesis, pretrains = recipe.synthesis, method_spec(recipe.distillation).pretrains
    needed = {
        "simulator": pretrains and (synthesis.simulator_pretrain_epochs > 0 or bool(synthesis.simulator_weights)),
        "synthesis": uses_synthesis(recipe.distillation) and synthesis.kind != "simulator",
        "pretrain": pretrains and synthesis.pretrain_epochs > 0,
    }
    return tuple(name for name in needed if needed[name])


def trains_without_recordings(recipe: Recipe) -> bool:
    """Whether the method of the recipe pretrains a student and needs no recordings for it.

    Args:
        recipe: the recipe.
    """
    return recipe.synthesis.kind == "simulator" and bool({"simulator", "pretrain"} & set(pretraining_stages(recipe)))


def _with_options(name: str, options: Mapping[str, object]) -> MethodSpec:
    method = METHODS[name]
    hint = f"the options of {name} are {{known}}; leave the others out"
    return method(**check_options(method, options, where="distillation.options", hint=hint))
