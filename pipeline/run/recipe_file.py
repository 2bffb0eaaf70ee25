"""Reads recipes from TOML files, applies `--set` changes, and validates them."""

from __future__ import annotations

import copy
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from spikeport.errors import UserError
from spikeport.notes import note
from spikeport.own_modules import look_in
from spikeport.paths import expanded
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.sections.distillation import Distillation
from spikeport.pydantic_errors import explain, short, tuples
from spikeport.regular_files import read_small

RECIPE, MANIFEST = "recipe.toml", "manifest.json"  # names of the resolved recipe and the manifest in a run folder
MAX_DEPTH = 32  # nested sections
DEFAULT_METHOD = Distillation().method


def find_recipe(name: str) -> Path:
    """The file of a recipe: a path, that of a run, or that of a recipe that comes with Spikeport, such as `digits`.

    Args:
        name: path of a TOML file or of a run folder, or the name of a shipped recipe.

    Raises:
        UserError: there is no recipe of this name.
    """
    path = Path(expanded(name))
    shipped = Path(__file__).resolve().parents[2] / "recipes"
    if (path / RECIPE).is_file():
        return path / RECIPE
    if path.is_file() or path.suffix or len(path.parts) > 1:
        return path
    if (shipped / f"{name}.toml").is_file():
        return shipped / f"{name}.toml"
    known = ", ".join(sorted(file.stem for file in shipped.glob("*.toml")))
    raise UserError(f"{name!r} is not a recipe", hint=f"name a TOML file, or one of {known}")


def load_recipe(path: str | os.PathLike[str], overrides: list[str] | None = None) -> Recipe:
    """Reads and validates a recipe.

    Own Python files are looked for in its folder from here on.

    Options in the file are those of the file's method. A change of `distillation.method` leaves them out, with a note.

    Args:
        path: a TOML file.
        overrides: changes of the form `section.key=value`; a value that is not TOML is taken as text.

    Raises:
        UserError: the file cannot be read, or a key or value is not allowed.
    """
    source = Path(path)
    try:
        values = tomllib.loads(read_small(source).decode("utf-8"))
    except OSError as error:
        raise UserError(
            "cannot read this recipe",
            where=str(source),
            cause=error.strerror or "",
            hint="name an existing TOML file",
        ) from error
    except ValueError as error:  # UserError is a ValueError too
        if isinstance(error, UserError):
            raise
        raise UserError(
            "this is not a TOML file", where=str(source), cause=str(error), hint="see recipes/digits.toml"
        ) from error
    except RecursionError:
        raise _too_deep(str(source)) from None
    try:
        values = _with_overrides(values, overrides or [])
    except RecursionError:
        raise _too_deep(str(source)) from None
    if (source.parent / MANIFEST).is_file():  # a run folder, in which no code is looked for
        return parse_recipe(values, where=str(source))
    look_in(source.parent)
    return parse_recipe(values, where=str(source)).read_in(source.parent)


def parse_recipe(values: Mapping[str, Any], *, where: str) -> Recipe:
    """Validates the values of a TOML file.

    Args:
        values: sections and keys as tomllib reads them.
        where: the file, for error messages.

    Raises:
        UserError: a key or value is not allowed.
    """
    try:
        return Recipe.model_validate(tuples(values))
    except ValidationError as error:
        raise UserError(explain(error, values), where=where, hint=_hint(error)) from None
    except RecursionError:
        raise _too_deep(where) from None


def _with_overrides(values: dict[str, Any], words: list[str]) -> dict[str, Any]:
    """The values of a file with the changes, without the options of a method that the changes replace."""
    changed, plain = copy.deepcopy(values), copy.deepcopy(values)
    for word in words:
        _override(changed, word)
    old, new = _method(values), _method(changed)
    if new == old:
        return changed
    if _options(plain):
        del plain["distillation"]["options"]
    for word in words:
        _override(plain, word)
    left_out = _options(changed).keys() - _options(plain).keys()
    if left_out:
        named = ", ".join(sorted(left_out))
        note(f"distillation.method is {new} instead of {old}, whose distillation.options are left out: {named}")
    return plain


def _method(values: Mapping[str, Any]) -> Any:
    section = values.get("distillation")
    return section.get("method", DEFAULT_METHOD) if isinstance(section, dict) else DEFAULT_METHOD


def _options(values: Mapping[str, Any]) -> Mapping[str, Any]:
    section = values.get("distillation")
    options = section.get("options") if isinstance(section, dict) else None
    return options if isinstance(options, dict) else {}


def _override(values: dict[str, Any], word: str) -> None:
    key, equals, text = word.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts) or len(parts) > MAX_DEPTH:
        raise UserError(f"{short(word)} is not a setting", where="--set", hint="write --set section.key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        value = text
    for part in parts[:-1]:
        values = values.setdefault(part, {})
        if not isinstance(values, dict):
            raise UserError(f"{short(key)} goes through a value that is not a section", where="--set")
    values[parts[-1]] = value


def _too_deep(where: str) -> UserError:
    return UserError("this nests too deeply for a recipe", where=where, hint="see recipes/digits.toml")


def _hint(error: ValidationError) -> str:
    """Hint with the values that are allowed in place of the first fault."""
    first = error.errors()[0]
    section: type[BaseModel] = Recipe
    for part in first["loc"][:-1]:
        if isinstance(part, int):  # of an array of such sections
            continue
        field = section.model_fields.get(part)
        kinds = () if field is None else (field.annotation, *get_args(field.annotation))
        inner = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if not inner:
            break
        section = inner[0]
    if first["type"] == "extra_forbidden":
        return "use one of " + ", ".join(section.model_fields)
    return "correct the value"
