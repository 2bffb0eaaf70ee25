"""Recipe files: TOML with a section for each class of `pipeline.run.recipe`, read, changed by `--set` and checked."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from spikeport.errors import UserError
from spikeport.paths import expanded
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pydantic_errors import explain, short, tuples
from spikeport.regular_files import read_small

DEEPEST = 32  # sections in sections


def find_recipe(name: str) -> Path:
    """The recipe file that `name` means: a path, or a recipe that Spikeport ships (`digits`). Raises UserError."""
    path = Path(expanded(name))
    shipped = Path(__file__).resolve().parents[2] / "recipes"
    if path.is_file() or path.suffix or len(path.parts) > 1:
        return path
    if (shipped / f"{name}.toml").is_file():
        return shipped / f"{name}.toml"
    known = ", ".join(sorted(file.stem for file in shipped.glob("*.toml")))
    raise UserError(f"there is no recipe {name!r}", hint=f"name a TOML file, or one of {known}")


def load_recipe(path: str | os.PathLike[str], overrides: list[str] | None = None) -> Recipe:
    """Reads and validates a recipe; `overrides` are `a.b=value` words, value in TOML or else a bare string.

    Raises UserError naming file, key and allowed values.
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
    except ValueError as error:  # UserError, of what is no file, is one
        if isinstance(error, UserError):
            raise
        raise UserError(
            "this is no TOML", where=str(source), cause=str(error), hint="see recipes/digits.toml"
        ) from error
    except RecursionError:
        raise _too_deep(str(source)) from None
    for word in overrides or []:
        _override(values, word)
    return parse_recipe(values, where=str(source))


def parse_recipe(values: dict[str, Any], *, where: str) -> Recipe:
    """`values` (as read from TOML) as a recipe. Raises UserError naming `where`, the key and what is allowed."""
    try:
        return Recipe.model_validate(tuples(values))
    except ValidationError as error:
        raise UserError(explain(error, values), where=where, hint=_mend(error)) from None
    except RecursionError:
        raise _too_deep(where) from None


def _override(values: dict[str, Any], word: str) -> None:
    key, equals, text = word.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts) or len(parts) > DEEPEST:
        raise UserError(f"{short(word)} is no setting", where="--set", hint="write --set section.key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        value = text
    for part in parts[:-1]:
        values = values.setdefault(part, {})
        if not isinstance(values, dict):
            raise UserError(f"{short(key)} goes through a value that is no section", where="--set")
    values[parts[-1]] = value


def _too_deep(where: str) -> UserError:
    return UserError("this nests too deep to be a recipe", where=where, hint="see recipes/digits.toml")


def _mend(error: ValidationError) -> str:
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
