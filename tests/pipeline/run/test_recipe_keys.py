"""Every key of a recipe says in one line what it means, and recipes read what they wrote."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.recipe_file import find_recipe, load_recipe, parse_recipe
from spikeport.pipeline.run.sections.distillation import LossSpec, Schedule

RECIPES = sorted(file.stem for file in (Path(__file__).parents[3] / "recipes").glob("*.toml"))


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from keys(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name, field


def test_every_key_has_one_line_of_meaning() -> None:
    found = {
        **dict(keys(Recipe)),
        **dict(keys(LossSpec, "distillation.losses.")),
        **dict(keys(Schedule, "distillation.losses.schedule.")),
    }
    assert len(found) > 100
    for key, field in found.items():
        text = field.description or ""
        assert 5 < len(text) < 130, key
        assert "\n" not in text, key


def test_the_walk_finds_a_key_without_meaning() -> None:
    class Bare(BaseModel):
        silent: int = 1

    assert [field.description for _, field in keys(Bare)] == [None]


@pytest.mark.parametrize("name", RECIPES)
def test_a_resolved_recipe_reads_back_as_itself(name: str) -> None:
    recipe = load_recipe(find_recipe(name))
    assert parse_recipe(tomllib.loads(recipe.as_toml()), where="again") == recipe
