"""The keys of a recipe with type, default and meaning, as rows and as JSON Schema. Both come from `Recipe` itself."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikeport.errors import UserError
from spikeport.pipeline.distillation.methods import METHODS
from spikeport.pipeline.distillation.options import options_model
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.sections.distillation import AUTO
from spikeport.pipeline.stages.outputs import json_object
from spikeport.pipeline.stages.settings import PathLike, as_recipe, toml_value
from spikeport.tables import Table

TITLE = "Recipe of Spikeport"
DIALECT = "http://json-schema.org/draft-07/schema#"  # which the TOML plugins of editors read
NO_BOUND = 10**6  # larger bounds are those of memory and of numbers, and are not printed
_WORDS = {"boolean": "true or false", "string": "text", "object": "table", "null": "left out"}
_PLURALS = {"integer": "integers", "number": "numbers", "text": "texts", "table": "tables"}


@dataclass(frozen=True, kw_only=True)
class RecipeKey:
    """One key of a recipe.

    Attributes:
        name: its name within its section.
        kind: type and bounds in words, or the choices.
        choices: the values that are allowed, where they are listed; else ().
        meaning: one line.
        required: whether it must be given, and has no default.
        default: the default in JSON values; None: left out.
        value: the value of a recipe in JSON values; the default if none is given.
    """

    name: str
    kind: str
    choices: tuple[str, ...]
    meaning: str
    required: bool
    default: Any
    value: Any

    def lines(self) -> list[str]:
        """Two lines: the key as TOML with its type, and its meaning."""
        notes = [self.kind] + (["must be given"] if self.required else [])
        if self.value != self.default:
            notes.append("default: left out" if self.default is None else f"default {toml_value(self.default)}")
        written = self.name if self.value is None else f"{self.name} = {toml_value(self.value)}"
        return [f"  {written}  ({'; '.join(notes)})", f"      {self.meaning}"]


@dataclass(frozen=True, kw_only=True)
class RecipeSection:
    """One section of a recipe.

    Attributes:
        name: dotted name, with `[]` after an array of tables; "" for the top of the file.
        meaning: one line or two.
        keys: its keys, without the sections in it.
    """

    name: str
    meaning: str
    keys: tuple[RecipeKey, ...]

    def to_json(self) -> list[dict[str, Any]]:
        """One object a key, with the dotted key that `--set` takes."""
        return [
            {
                "key": f"{self.name}.{key.name}" if self.name else key.name,
                "type": key.kind,
                "choices": list(key.choices),
                "required": key.required,
                "default": key.default,
                "value": key.value,
                "meaning": key.meaning,
            }
            for key in self.keys
        ]

    def lines(self) -> list[str]:
        """The section's head and two lines for each key."""
        name = self.name.replace("[]", "")
        head = f"[[{name}]]" if self.name.endswith("[]") else f"[{name}]" if name else "top of the file"
        return [f"{head}  {self.meaning}", *(line for key in self.keys for line in key.lines())]


def recipe_schema() -> dict[str, Any]:
    """JSON Schema of recipes, draft 7: the keys with types, bounds, choices, defaults and descriptions.

    Rules that compare several keys, and the options of a method, are not part of it.

    Returns:
        The schema in JSON values.
    """
    schema: dict[str, Any] = _draft_7(Recipe.model_json_schema())
    for part in (schema, *schema["$defs"].values()):
        part["description"] = part["description"].partition("\n\n")[0].replace("\n", " ")
    schema["$defs"]["Distillation"]["properties"]["method"]["enum"] = [*METHODS, AUTO]
    return {"$schema": DIALECT, **schema, "title": TITLE}


def is_schema(file: Path) -> bool:
    """Whether `file` is a schema that `recipe schema` wrote.

    Args:
        file: an existing file.
    """
    return json_object(file).get("title") == TITLE


def list_recipe_keys(recipe: Recipe | PathLike | None = None, *, section: str | None = None) -> Table:
    """Every key of a recipe, with value, default, type, choices and meaning.

    Args:
        recipe: whose values are listed: a recipe, a TOML file, or the name of a shipped recipe; None: the defaults.
        section: one section, such as "data", with the sections in it; None: all.

    Returns:
        One row a key.

    Raises:
        UserError: there is no such recipe or section.
    """
    sections = recipe_sections(None if recipe is None else as_recipe(recipe), section)
    return Table(row for part in sections for row in part.to_json())


def recipe_sections(recipe: Recipe | None = None, section: str | None = None) -> tuple[RecipeSection, ...]:
    """All keys of a recipe by section. The options of its method are a section too.

    Args:
        recipe: whose values stand beside the defaults; None: one of defaults only.
        section: one section, with the sections in it; None: all.

    Returns:
        The sections in the order of the recipe.

    Raises:
        UserError: there is no such section.
    """
    source = recipe or Recipe()
    schema = recipe_schema()
    found = []
    for part in _sections(schema, schema, "", source.model_dump(mode="json")):
        found.append(part)
        if part.name == "distillation":
            found += _options(source)
    if section is None:
        return tuple(found)
    chosen = tuple(part for part in found if section and f"{part.name}.".replace("[]", "").startswith(f"{section}."))
    if not chosen:
        known = ", ".join(part.name.replace("[]", "") for part in found if part.name)
        raise UserError(f"{section!r} is not a section of a recipe", where="--section", hint=f"use one of {known}")
    return chosen


def _sections(
    schema: Mapping[str, Any], part: Mapping[str, Any], name: str, values: Mapping[str, Any] | None
) -> Iterator[RecipeSection]:
    """A section, then those in it. Without `values` every key has its default."""
    prefix = f"{name}." if name else ""
    keys, inside = [], []
    for key, field in part["properties"].items():
        value = None if values is None else values[key]
        items = field.get("items")
        if "$ref" in field:
            inside.append((f"{prefix}{key}", field["$ref"], value))
            continue
        keys.append(_key(key, field, part, field.get("default") if values is None else value))
        if isinstance(items, dict) and "$ref" in items:  # an array of tables, whose values its own key has
            inside.append((f"{prefix}{key}[]", items["$ref"], None))
    yield RecipeSection(name=name, meaning=part["description"], keys=tuple(keys))
    for inner, reference, value in inside:
        yield from _sections(schema, schema["$defs"][reference.rpartition("/")[2]], inner, value)


def _options(recipe: Recipe) -> list[RecipeSection]:
    """The options of the recipe's method, whose meanings its docstring has; none for an unknown method."""
    own = recipe.distillation
    if own.method not in METHODS:
        return []
    method = METHODS[own.method]
    meanings = _arguments(inspect.getdoc(method) or "")
    part = _draft_7(options_model(method).model_json_schema())
    keys = [
        _key(name, {**field, "description": meanings[name]}, part, own.options.get(name, field.get("default")))
        for name, field in part["properties"].items()
    ]
    title = f'Options of method = "{own.method}"'
    return [RecipeSection(name="distillation.options", meaning=title, keys=tuple(keys))]


def _key(name: str, field: Mapping[str, Any], part: Mapping[str, Any], value: Any) -> RecipeKey:
    return RecipeKey(
        name=name,
        kind=_kind(field),
        choices=tuple(field.get("enum", ())),
        meaning=field["description"],
        required=name in part.get("required", ()),
        default=field.get("default"),
        value=value,
    )


def _kind(field: Mapping[str, Any]) -> str:
    """Type and bounds in words.

    >>> _kind({"type": "integer", "minimum": 1, "maximum": 4096}), _kind({"type": "number", "exclusiveMinimum": 0})
    ('integer, 1 to 4096', 'number above 0')
    """
    if "enum" in field:
        return " or ".join(map(toml_value, field["enum"]))
    if "anyOf" in field:
        return " or ".join(map(_kind, field["anyOf"]))
    kind, items = field["type"], field.get("items")
    if kind != "array":
        return _WORDS.get(kind) or f"{kind}{_bounds(field)}"
    if items is None:
        return "[]"
    if isinstance(items, list):  # of so many entries, all of one type
        return f"list of {len(items)} {_PLURALS[items[0]['type']]}{_bounds(items[0])}"
    kind = "object" if "$ref" in items else items["type"]
    return f"list of {_PLURALS[_WORDS.get(kind, kind)]}{_bounds(items)}"


def _bounds(field: Mapping[str, Any]) -> str:
    low, high = field.get("minimum", -NO_BOUND), field.get("maximum", NO_BOUND)
    if low > -NO_BOUND and high < NO_BOUND:
        return f", {low:g} to {high:g}"
    words = [f"at least {low:g}"] if low > -NO_BOUND else []
    words += [f"above {field['exclusiveMinimum']:g}"] if "exclusiveMinimum" in field else []
    words += [f"at most {high:g}"] if high < NO_BOUND else []
    words += [f"below {field['exclusiveMaximum']:g}"] if "exclusiveMaximum" in field else []
    return f" {' and '.join(words)}" if words else ""


def _arguments(docstring: str) -> dict[str, str]:
    """The lines under "Args:" of a docstring by name of the argument."""
    part = re.search(r"^Args:\n((?:    .+\n?)+)", docstring, re.MULTILINE)
    return dict(re.findall(r"^    (\w+): (.+?)\.?$", part[1], re.MULTILINE)) if part else {}


def _draft_7(value: Any) -> Any:
    """JSON Schema as draft 7 writes it: what pydantic's draft 2020-12 calls `prefixItems` is `items`."""
    if isinstance(value, dict):
        return {"items" if key == "prefixItems" else key: _draft_7(entry) for key, entry in value.items()}
    return [_draft_7(entry) for entry in value] if isinstance(value, list) else value
