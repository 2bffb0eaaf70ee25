"""Objects of other packages, or of own Python files, that a recipe names as `package.module:attribute`.

An installed module is found first, so that no own file shadows a library. Then a file is looked for in the folder of
the recipe that was read last, and in the working folder.
"""

from __future__ import annotations

import traceback
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec
from typing import Any

from spikeport.errors import UserError
from spikeport.notes import note
from spikeport.own_modules import folders, import_own, is_installed, own_spec


def is_factory(name: str) -> bool:
    """Whether `name` has the form `package.module:attribute`.

    Args:
        name: a name from a recipe or an option.
    """
    module, colon, attribute = name.partition(":")
    return bool(colon) and all(part.isidentifier() for part in (*module.split("."), *attribute.split(".")))


def load_object(name: str, where: str) -> Any:
    """The object that `name` refers to. A note says which file's code runs, before any of it does.

    Args:
        name: `package.module:attribute`.
        where: recipe key that holds the name, for notes and errors.

    Raises:
        UserError: there is no such module or attribute.
    """
    module, _, attribute = name.partition(":")
    own = None if is_installed(module) else own_spec(module)
    if file := _file_of(module) if own is None else own.origin:
        note(f"{where} = {name!r} is code, which runs now: module {module} of {file}")
    try:
        found = import_module(module) if own is None else import_own(module, own)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{name!r} cannot be imported", where=where, cause=str(error), hint=_hint(module)) from error
    except (Exception, SystemExit) as error:  # code of others raises anything
        line = traceback.extract_tb(error.__traceback__)[-1]
        raise UserError(
            f"{name!r} cannot be imported",
            where=where,
            cause=f"{type(error).__name__} in line {line.lineno} of {line.filename}: {error}",
            hint="correct the module",
        ) from error
    return found


def call_factory(name: str, where: str, *arguments: Any, hint: str) -> Any:
    """What the function that `name` refers to returns for `arguments`.

    Args:
        name: `package.module:function`.
        where: recipe key that holds the name.
        arguments: what the function is called with.
        hint: the signature that it must have, for the error.

    Raises:
        UserError: there is no such function, or it raised an error.
    """
    factory = load_object(name, where)
    if not callable(factory):
        raise UserError(f"{name!r} is not callable", where=where, hint=hint)
    try:
        return factory(*arguments)
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # code of others raises anything
        listing = ", ".join(repr(argument) for argument in arguments)
        raise UserError(
            f"{name}({listing}) failed", where=where, cause=f"{type(error).__name__}: {error}", hint=hint
        ) from error


def _hint(module: str) -> str:
    first = module.partition(".")[0]
    if is_installed(module):
        hidden = own_spec(module)
        if hidden is not None:
            return f"{first} is an installed module, which is found first: rename {hidden.origin}"
        return "write package.module:attribute as the package has it"
    looked = ", ".join(map(str, folders()))
    return f"put {first}.py beside the recipe or into the working folder (looked in {looked}), or install it"


def _file_of(module: str) -> str:
    """File of a module, by the finders alone: neither it nor a package above it runs. Empty if there is none."""
    first, *rest = module.split(".")
    try:
        spec = find_spec(first)
        for end in range(1, len(rest) + 1):
            inside = spec.submodule_search_locations if spec else None
            spec = PathFinder.find_spec(".".join([first, *rest[:end]]), inside) if inside is not None else None
    except (ImportError, ValueError):
        return ""
    return str(spec.origin or "several folders") if spec else ""
