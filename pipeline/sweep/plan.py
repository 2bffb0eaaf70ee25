"""Plans the trials of a sweep: every setting with every seed and fold, checked before anything runs."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spikeport.errors import UserError
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.recipe_file import load_recipe

COMPARE = "distillation.train_baseline"  # each trial trains one method, since the sweep compares its settings
SEED, FOLDS, FOLD = "seed", "data.folds", "data.fold"


@dataclass(frozen=True)
class Setting:
    """One combination of swept values.

    Attributes:
        label: short text of the values.
        changes: words `key=value`, as `--set` takes them.
    """

    label: str
    changes: tuple[str, ...]


@dataclass(frozen=True)
class Trial:
    """One run of a sweep.

    Attributes:
        name: its folder within the sweep's folder.
        setting: the setting.
        seed: the seed.
        fold: the fold; None for the recipe's own split.
        changes: words `key=value` of setting, seed and fold.
    """

    name: str
    setting: Setting
    seed: int
    fold: int | None
    changes: tuple[str, ...]

    @property
    def pair(self) -> tuple[int, int | None]:
        """Seed and fold. Runs of two settings with equal pairs have the same recordings and the same initial state."""
        return self.seed, self.fold


def parse_over(words: Sequence[str]) -> tuple[Setting, ...]:
    """Makes every combination of values, the last key changing fastest.

    Args:
        words: words `key=a,b,c`; none for the recipe as it is. A value is TOML or else a bare string. Commas inside
            brackets, braces and quotes do not separate values.

    Raises:
        UserError: a word has another form, a key or value is given twice, or another option sets the key.
    """
    keys, choices = [], []
    for word in words:
        key, equals, text = (part.strip() for part in word.partition("="))
        values = _values(text)
        if not equals or not key or not all(values):
            raise UserError(f"{word!r} is not a list of values", where="--over", hint="write --over section.key=a,b,c")
        if len(set(values)) < len(values) or key in keys:
            raise UserError(f"{word!r} names something twice", where="--over", hint="name each key and value once")
        if key in (SEED, FOLDS, FOLD):
            raise UserError(f"{key!r} is not swept", where="--over", hint="use --seeds and --folds")
        keys.append(key)
        choices.append([f"{key}={value}" for value in values])
    return tuple(
        Setting(label=", ".join(_short(change, keys) for change in changes) or "as it is", changes=changes)
        for changes in itertools.product(*choices)
    )


def plan_trials(
    source: Path, overrides: Sequence[str], settings: Sequence[Setting], *, seeds: int, folds: int = 0
) -> tuple[Recipe, tuple[Trial, ...]]:
    """Plans the trials, and checks the recipe, the losses and the networks of each trial.

    Students are compared after quantization, so they must fit netx.

    Args:
        source: the recipe's file.
        overrides: words `key=value`, settings of all trials.
        settings: the settings to compare.
        seeds: number of seeds, counted up from the recipe's.
        folds: number of folds; 0 for the recipe's own split.

    Returns:
        The recipe of all trials, and the trials, ordered by seed, fold and setting.

    Raises:
        UserError: a trial has a fault; the first is named.
    """
    from spikeport.pipeline.stages.checks import check_recipe

    base = load_recipe(source, list(overrides))
    trials = []
    for seed in range(base.seed, base.seed + seeds):
        for fold in range(folds) if folds else (None,):
            trials += [_trial(setting, seed, fold, folds) for setting in settings]
    for trial in trials:
        check_recipe(load_recipe(source, [*overrides, *trial.changes]), for_netx=True)
    return base, tuple(trials)


def _trial(setting: Setting, seed: int, fold: int | None, folds: int) -> Trial:
    changes = [*setting.changes, f"{SEED}={seed}"]
    if not any(change.partition("=")[0].strip() == COMPARE for change in setting.changes):
        changes.append(f"{COMPARE}=false")
    name = f"{_slug(setting.label, setting.changes)}/seed{seed}"
    if fold is not None:
        changes += [f"{FOLDS}={folds}", f"{FOLD}={fold}"]
        name += f"-fold{fold}of{folds}"
    return Trial(name=name, setting=setting, seed=seed, fold=fold, changes=tuple(changes))


def _values(text: str) -> list[str]:
    """`text` split at the commas outside brackets, braces and quotes."""
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "[{":
            depth += 1
        elif character in "]}":
            depth -= 1
        if character == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def _short(change: str, keys: list[str]) -> str:
    """Shortens `distillation.method=baseline` to `method=baseline` where no other key has the same last part."""
    key, _, value = change.partition("=")
    last = key.rpartition(".")[2]
    alone = sum(other.rpartition(".")[2] == last for other in keys) == 1
    return f"{last if alone else key}={value}"


def _slug(label: str, changes: tuple[str, ...]) -> str:
    """Name of a setting's folder: readable, and different for different changes."""
    slug = re.sub(r"[^\w.=-]+", "-", label).strip("-.")[:60]
    digest = hashlib.sha256("\n".join(changes).encode()).hexdigest()[:6]
    return f"{slug}-{digest}"
