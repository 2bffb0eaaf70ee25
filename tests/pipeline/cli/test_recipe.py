"""`recipe show` and `recipe schema`: every key with type, default and meaning; the schema accepts what loads."""

import copy
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cli_inputs import one_line
from pydantic import BaseModel

import spikeport as sp
from spikeport.errors import UserError
from spikeport.pipeline.distillation.methods import METHODS
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.recipe_file import find_recipe, parse_recipe
from spikeport.pipeline.stages.recipe_keys import recipe_schema, recipe_sections

RECIPES = sorted(file.stem for file in (Path(__file__).parents[3] / "recipes").glob("*.toml"))


def flat(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, entry in value.items():
        if isinstance(entry, dict) and f"{prefix}{key}" != "distillation.options":
            yield from flat(entry, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", entry


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from fields(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name


def test_show_lists_every_key_with_its_default_and_meaning(spikeport):
    code, out, _ = spikeport("recipe", "show", "--json")
    assert code == 0
    rows = {row["key"]: row for row in json.loads(out)}
    assert set(fields(Recipe)) <= rows.keys()
    extra = rows.keys() - set(fields(Recipe))
    assert all(key.startswith(("distillation.losses[].", "distillation.options.")) for key in extra)
    assert rows["distillation.losses[].loss"]["required"] is True
    for row in rows.values():
        assert row["type"]
        assert len(row["meaning"]) > 5, row
    assert rows["data.step_us"] == {
        "key": "data.step_us",
        "type": "integer at least 1",
        "choices": [],
        "required": False,
        "default": 30_000,
        "value": 30_000,
        "meaning": "duration of one time step in microseconds",
    }
    assert rows["data.pairing"]["choices"] == ["id", "class"]
    assert rows["distillation.method"]["choices"] == [*METHODS, "auto"]
    assert rows["teacher.affine.degrees"]["type"] == "number, 0 to 180"
    assert rows["student.alpha"]["type"] == "number, 0 to 1 or left out"
    assert rows["teacher.std"]["type"] == "[] or list of 3 numbers above 0"


@pytest.mark.parametrize("name", RECIPES)
def test_show_prints_the_values_of_a_recipe_beside_the_defaults(spikeport, name):
    written = dict(flat(tomllib.loads(find_recipe(name).read_text(encoding="utf-8"))))
    code, out, _ = spikeport("recipe", "show", name, "--json")
    assert code == 0
    rows = {row["key"]: row for row in json.loads(out)}
    assert {key: rows[key]["value"] for key in written} == written
    method = {"method": written.get("distillation.method", "ckd")}  # some methods have their own defaults
    defaults = dict(flat(Recipe.model_validate({"distillation": method}).model_dump(mode="json")))
    others = rows.keys() & (defaults.keys() - written.keys())
    assert {key: rows[key]["value"] for key in others} == {key: defaults[key] for key in others}


def test_show_prints_lines_that_a_recipe_can_have(spikeport):
    code, out, _ = spikeport("recipe", "show", "digits", "--section", "training")
    assert code == 0
    head, *lines = out.splitlines()
    assert head.startswith("[training]  Training of the student in float")
    assert lines[:4] == [
        "  epochs = 30  (integer at least 1)",
        "      training epochs",
        "  batch = 20  (integer at least 1)",
        "      samples of one step of the optimizer, on all devices together",
    ]
    assert "  lr = 0.004  (number above 0; default 0.002)" in lines
    keys = [line.partition("  (")[0] for line in lines if not line.startswith("   ")]
    read = tomllib.loads("\n".join(keys))
    training = parse_recipe(tomllib.loads(find_recipe("digits").read_text()), where="digits").training
    assert read == training.model_dump(mode="json")


def test_the_function_lists_the_same_rows(spikeport):
    code, out, _ = spikeport("recipe", "show", "digits", "--section", "check", "--json")
    assert code == 0
    listed = sp.list_recipe_keys("digits", section="check")
    assert listed == json.loads(out)
    keys = ["check.backends", "check.samples", "check.seed", "check.silent_max", "check.timeout_s"]
    assert [row["key"] for row in listed] == keys
    assert "timeout_s" in repr(listed)


def test_a_section_comes_with_the_sections_in_it(spikeport):
    heads = [part.name for part in recipe_sections(section="distillation")]
    assert heads == [
        "distillation",
        "distillation.options",
        "distillation.losses[]",
        "distillation.losses[].schedule",
        "distillation.auto",
    ]
    assert [part.name for part in recipe_sections(section="data")] == ["data"]
    code, out, err = spikeport("recipe", "show", "--section", "dat")
    assert (code, out) == (2, "")
    assert "'dat' is not a section of a recipe. Hint: use one of data, teacher" in one_line(err)
    assert spikeport("recipe", "show", "--section", "")[0] == 2
    assert spikeport("recipe", "show", "digitz")[0] == 2


@pytest.mark.parametrize("method", METHODS)
def test_every_option_of_a_method_has_a_meaning(method):
    recipe = Recipe.model_validate({"distillation": {"method": method}})
    (options,) = recipe_sections(recipe, "distillation.options")
    named = METHODS[method].__kwdefaults__
    assert {key.name: key.default for key in options.keys} == named
    assert all(len(key.meaning) > 8 for key in options.keys)


def test_the_schema_is_written_once_and_over_itself_only(spikeport, tmp_path):
    code, printed, _ = spikeport("recipe", "schema")
    assert code == 0
    for _ in range(2):
        assert spikeport("recipe", "schema", "--out", "s.json")[:2] == (0, "s.json\n")
    assert json.loads((tmp_path / "s.json").read_text()) == json.loads(printed) == recipe_schema()
    (tmp_path / "other.json").write_text("{}")
    assert spikeport("recipe", "schema", "--out", "other.json")[0] == 2
    assert (tmp_path / "other.json").read_text() == "{}"


@pytest.fixture(scope="module")
def validator():
    schema = recipe_schema()
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


@pytest.mark.parametrize("name", RECIPES)
def test_the_schema_accepts_the_shipped_recipes(validator, name):
    read = tomllib.loads(find_recipe(name).read_text(encoding="utf-8"))
    assert list(validator.iter_errors(read)) == []
    assert list(validator.iter_errors(tomllib.loads(parse_recipe(read, where=name).as_toml()))) == []


@pytest.mark.parametrize("key", sorted(fields(Recipe)))
def test_the_schema_refuses_a_wrong_type_where_the_recipe_does(validator, key):
    *way, last = key.split(".")
    values: dict[str, Any] = Recipe().model_dump(mode="json", exclude_none=True)
    place = values
    for part in way:
        place = place[part]
    assert validator.is_valid(values)
    for wrong in ([{}, 1], "zzz" if not isinstance(place.get(last), str) else 3):
        changed = copy.deepcopy(values)
        inner = changed
        for part in way:
            inner = inner[part]
        inner[last] = wrong
        assert not validator.is_valid(changed), (key, wrong)
        with pytest.raises(UserError):
            parse_recipe(changed, where="here")


@pytest.mark.parametrize(
    "text",
    [
        "[training]\nepoch = 3",
        "[trainings]\nepochs = 3",
        "[student]\nbeta = 1.5",
        "[training]\nlr = 0.0",
        "[teacher]\nmean = [0.1, 0.2]",
        "[[distillation.losses]]\nweight = 1.0",
        "[distillation]\nmethod = 'ckdd'",
    ],
)
def test_the_schema_refuses_what_a_recipe_refuses(validator, text):
    assert not validator.is_valid(tomllib.loads(text))
    assert validator.is_valid({})
