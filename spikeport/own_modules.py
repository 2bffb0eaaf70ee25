"""Python files beside a recipe or in the working folder, which `spikeport.factory` imports without an installation."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from importlib import import_module, invalidate_caches
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType

FOLDERS = "SPIKEPORT_CODE_FOLDERS"  # variable by which a process gives its folders to those that it starts

_recipe_folders: list[Path] = []  # the last one first
_added: list[str] = []  # entries of sys.path that this module has made


def look_in(folder: Path) -> None:
    """Makes a folder the first one in which own files are looked for.

    Args:
        folder: the folder of a recipe.
    """
    folder = folder.resolve()
    if folder in _recipe_folders:
        _recipe_folders.remove(folder)
    _recipe_folders.insert(0, folder)


def folders() -> tuple[Path, ...]:
    """The folders in which own files are looked for: that of the last recipe, the working folder, and those of earlier
    recipes; in a process of a sweep, those of the sweep first."""
    given = [Path(folder) for folder in os.environ.get(FOLDERS, "").split(os.pathsep) if folder]
    return tuple(dict.fromkeys([*given, *_recipe_folders[:1], Path.cwd(), *_recipe_folders[1:]]))


def for_processes() -> dict[str, str]:
    """Variables for a process that is started with another file of the same recipe."""
    return {FOLDERS: os.pathsep.join(map(str, folders()))}


def is_installed(module: str) -> bool:
    """Whether a module is found without the folders of own files.

    Args:
        module: its dotted name; only the first part is looked for.
    """
    first = module.partition(".")[0]
    if first in sys.builtin_module_names or first in sys.stdlib_module_names:
        return True
    own = {"", str(Path.cwd()), *_added}
    path = [entry for entry in sys.path if entry not in own]
    for finder in sys.meta_path:
        if type(finder).__module__.startswith("_pytest"):  # looks in all of sys.path
            continue
        spec = finder.find_spec(first, path if finder is PathFinder else None)
        if spec is not None and spec.loader is not None:  # a folder without __init__.py has none
            return True
    return False


def own_spec(module: str) -> ModuleSpec | None:
    """Where an own module is, by the finders alone: nothing of it runs. None if there is no such file.

    Args:
        module: its dotted name.
    """
    invalidate_caches()
    for folder in folders():
        if (spec := _spec_of(module, [str(folder)])) is not None and spec.origin is not None:
            return spec
    return None


def import_own(module: str, spec: ModuleSpec) -> ModuleType:
    """Imports an own module, also where another file of the same name was imported before.

    Its folder is added to the end of `sys.path`, so that it finds the files beside it, and so do processes that it
    starts.

    Args:
        module: its dotted name.
        spec: where it is, as `own_spec` says.
    """
    first, *rest = module.split(".")
    folder = Path(spec.origin or "").parents[len(rest) + (Path(spec.origin or "").stem == "__init__")]
    _forget_others(folder)
    _add(str(folder))
    if first not in sys.modules:
        _execute(first, _spec_of(first, [str(folder)]))
    return import_module(module)


def _spec_of(module: str, path: Iterable[str] | None) -> ModuleSpec | None:
    spec: ModuleSpec | None = None
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        if path is None or (spec := PathFinder.find_spec(".".join(parts[:end]), list(path))) is None:
            return None
        path = spec.submodule_search_locations
    return spec


def _execute(name: str, spec: ModuleSpec | None) -> None:
    assert spec is not None
    made = module_from_spec(spec)
    sys.modules[name] = made
    try:
        if spec.loader is not None:
            spec.loader.exec_module(made)
    except BaseException:
        del sys.modules[name]
        raise


def _forget_others(folder: Path) -> None:
    """Forgets modules of the working folder and of other recipes that have the name of a file here."""
    others = {str(Path.cwd()), *_added, *map(str, _recipe_folders)} - {str(folder)}
    for first, module in [each for each in sys.modules.items() if "." not in each[0]]:
        here = _spec_of(first, [str(folder)]) if _folder_of(module) in others else None
        if here is not None and not is_installed(first):
            for name in [name for name in sys.modules if name.partition(".")[0] == first]:
                del sys.modules[name]


def _folder_of(module: ModuleType) -> str:
    """The folder that the first part of a module's name is found in; "" where it is not a file."""
    file = getattr(module, "__file__", None)
    if isinstance(file, str):
        path = Path(file).resolve()
        return str(path.parents[1] if path.stem == "__init__" else path.parent)
    return next((str(Path(entry).resolve().parent) for entry in getattr(module, "__path__", ())), "")


def _add(folder: str) -> None:
    """Puts a folder behind all entries of `sys.path` but those that were added before."""
    for entry in _added:
        if entry in sys.path:
            sys.path.remove(entry)
    if folder in _added:
        _added.remove(folder)
    _added.insert(0, folder)
    sys.path += [entry for entry in _added if entry not in sys.path]
