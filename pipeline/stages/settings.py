"""Functions that load recipes and data sets."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spikeport.own_modules import look_in
from spikeport.pipeline.data.frames.cache import cache_folder
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.recipe_file import find_recipe
from spikeport.pipeline.run.recipe_file import load_recipe as read_recipe
from spikeport.pipeline.stages.reporting import ProgressLike

if TYPE_CHECKING:
    from spikeport.pipeline.data.dataset import Dataset

PathLike = str | os.PathLike[str]


def load_recipe(name: PathLike, changes: Mapping[str, Any] | Sequence[str] | None = None) -> Recipe:
    """Reads and checks a recipe.

    Args:
        name: a TOML file, or the name of a shipped recipe, such as "digits".
        changes: values by dotted key, such as `{"training.epochs": 10}`, or words `key=value` as `--set` takes them.

    Returns:
        The recipe, which is frozen.

    Raises:
        UserError: the recipe does not exist, or a value is not allowed. The message names the key.
    """
    return read_recipe(find_recipe(os.fspath(name)), setting_words(changes))


def load_dataset(recipe: Recipe | PathLike, *, progress: ProgressLike = None) -> Dataset:
    """The data set of a recipe, split and binned; binned frames are cached on disk.

    Args:
        recipe: a recipe, a TOML file, or the name of a shipped recipe.
        progress: called with (parts done, parts in all, what is done).

    Returns:
        The data set with `train`, `validation`, `test` and `static`. The three parts are `torch.utils.data.Dataset`
        objects of (frames uint8 `[T, 2, H, W]` or `[T, channels]`, label) or (frames, label, image uint8 `[C, h, w]`).

    Raises:
        UserError: the data cannot be used as the recipe says.
        MissingDependencyError: the data set is not on this machine.
    """
    from spikeport.pipeline.data.load import load_dataset as load
    from spikeport.pipeline.data.torch_dataset import with_torch_parts

    return with_torch_parts(load(as_recipe(recipe).data, cache=cache_folder(), progress=progress))


def as_recipe(recipe: Recipe | PathLike) -> Recipe:
    """The recipe itself, or the recipe of a file or a name.

    Args:
        recipe: a recipe, a TOML file, or the name of a shipped recipe.
    """
    if not isinstance(recipe, Recipe):
        return load_recipe(recipe)
    if recipe.folder is not None:
        look_in(recipe.folder)
    return recipe


def setting_words(changes: Mapping[str, Any] | Sequence[str] | None) -> list[str]:
    """Settings as words `key=value`, which `--set` takes.

    Args:
        changes: values by dotted key, or such words; None for none.

    >>> setting_words({"training.epochs": 3})
    ['training.epochs=3']
    """
    if isinstance(changes, Mapping):
        return [f"{key}={toml_value(value)}" for key, value in changes.items()]
    return list(changes or ())


def toml_value(value: Any) -> str:
    """A value in TOML, for one setting.

    Args:
        value: a number, text, bool, or nested mappings and sequences of them.

    >>> toml_value({"method": "ckd", "compare": False}), toml_value((8, 16)), toml_value("a b")
    ("{method = 'ckd', compare = false}", '[8, 16]', "'a b'")
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {toml_value(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, str | os.PathLike):
        text = os.fspath(value)
        return f"'{text}'" if "'" not in text and text.isprintable() else json.dumps(text)
    return str(value)
