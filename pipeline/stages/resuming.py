"""What each stage reads of a recipe, and which stages of a run are done again when the recipe changes.

A finished stage stays valid as long as no setting that it or an earlier stage reads is changed. Otherwise the stages
from there on are done again. Weights are trained again only if `--from` asks for it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikeport.errors import UserError
from spikeport.files import write_text
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.run_folder import RECIPE, RunFolder, create, differences
from spikeport.pipeline.run.sections.training import PLACEMENT_KEYS
from spikeport.pipeline.stages.runner import TRAINING, stages_of
from spikeport.pipeline.training.epoch_log import METRICS, forget_metrics

_LEARNING = ("seed", "data", "teacher", "student", "training", "augmentation", "distillation", "synthesis")

# Sections that each kind of stage reads. What a stage gets from the stages before it is theirs, not the recipe's.
READS: Mapping[str, tuple[str, ...]] = {
    "data": ("data",),
    "teacher": ("seed", "data", "teacher", "training"),
    "simulator": _LEARNING,
    "synthesis": _LEARNING,
    "pretrain": _LEARNING,
    "student": _LEARNING,
    "quantized": (*_LEARNING, "quantization"),
    "export": (),
    "simulate": (),
    "check": ("check",),
    "profile": ("profile",),
    "report": ("name", "profile"),
}
_STUDENTS_OWN = ("training.epochs", "training.batch", "training.lr", "training.warmup_epochs")
_PRETRAINING = (*_STUDENTS_OWN, "synthesis.finetune_epochs", "synthesis.finetune_lr", "synthesis.images_per_recording")

# Keys of these sections that it does not read. A new key counts as read until it is named here.
UNREAD: Mapping[str, tuple[str, ...]] = {
    "teacher": (*_STUDENTS_OWN, "training.weight_decay", "training.ema_decay"),
    "simulator": _PRETRAINING,
    "synthesis": _PRETRAINING,
    "pretrain": _PRETRAINING,
}
_NOBODY = (
    *(f"training.{key}" for key in PLACEMENT_KEYS),
    "distillation.train_baseline",
)  # where it runs; whether the baseline is trained too


def what_is_read(stage: str, recipe: Recipe) -> dict[str, Any]:
    """The part of `recipe` that `stage` (`student-ckd`, or its kind `student`) reads: where two recipes agree in it,
    and in that of the stages before, it gives the same."""
    kind = stage.split("-")[0]
    values = recipe.model_dump(include=set(READS[kind]))
    for key in (*UNREAD.get(kind, ()), *_NOBODY):
        section, name = key.split(".")
        values.get(section, {}).pop(name, None)
    return values


def begin(
    folder: Path,
    recipe: Recipe,
    *,
    about: Mapping[str, object],
    resume: bool = False,
    again_from: str | None = None,
    only_training: bool = False,
    log: Callable[[str], None] = lambda _: None,
) -> RunFolder:
    """The run in `folder`, new, or (with `resume` or `again_from`) as far as it stands under `recipe`.

    Stages that have read what is changed now, and all after them, are forgotten, and it is said which and why. That
    costs no weights: raises UserError where it would, unless `again_from` names that stage or one before it. From
    `again_from` on all is forgotten, checkpoints too. Also raises what `create` does.
    """
    names = [stage.name for stage in stages_of(recipe)]
    first = None if again_from is None else _named(again_from, names, only_training)
    run = create(folder, recipe, resume=resume or again_from is not None, about=about)
    if not run.manifest["stages"]:
        if first is not None:
            raise UserError("no run in this folder", where=str(folder), hint="leave --from out")
        return run
    changed = differences(run.recipe.model_dump(), recipe.model_dump())
    stale = _stale(run, recipe, names)
    if stale is not None and (first is None or names.index(stale.stage) < names.index(first)):
        if stale.lost:
            raise UserError(
                f"the run there was made with other settings of {', '.join(stale.keys)}",
                where=str(folder),
                cause=f"{', '.join(stale.lost)} would be trained again from the beginning{_why(stale.keys)}",
                hint=f"say so with --from {stale.stage}, resume with the same recipe, or name another --out"
                + f"; another run with --init-from {folder} trains its weights on" * bool(_why(stale.keys)),
            )
        first = stale.stage
        log(f"changed: {', '.join(stale.keys)}; done again: {first} and all after it")
    elif changed:
        again = "" if first is None else f"; done again: {first} and all after it{_why(changed)}"
        log(f"changed: {', '.join(changed)}{again or '; no stage that is done has read it'}")
    if first is not None:
        _forget(run, {*names[names.index(first) :], *(set(run.manifest["stages"]) - set(names))}, set(names))
    if changed:
        write_text(run.file(RECIPE), recipe.as_toml())
    return RunFolder(run.path, recipe, run.manifest)


def _why(keys: list[str]) -> str:
    """Why a training does not go on from its last epoch where its number of epochs is changed."""
    return ", since the learning rate schedule covers all epochs" * any(key.endswith("epochs") for key in keys)


@dataclass(frozen=True)
class _Stale:
    """The first stage that cannot stand, the changed keys behind it, and the stages whose weights go with it."""

    stage: str
    keys: list[str]
    lost: list[str]


def _stale(run: RunFolder, recipe: Recipe, names: list[str]) -> _Stale | None:
    done = set(run.manifest["stages"])
    begun = {name for name in names if name in done or any(_checkpoint(run, name).glob("*"))}
    keys: set[str] = set()
    stale = []
    for number, name in enumerate(names):
        now = differences(what_is_read(name, run.recipe), what_is_read(name, recipe)) if name in begun else []
        keys |= set(now)
        if now or (name not in begun and begun & set(names[number:])):  # new, among what is done
            stale.append(name)
    if not stale:
        return None
    gone = {name for name in done if name not in names}
    after = [name for name in names[names.index(stale[0]) :] if name in begun]
    lost = [name for name in (*after, *sorted(gone)) if name.split("-")[0] in TRAINING and name != "data"]
    changed = differences(run.recipe.model_dump(), recipe.model_dump())
    return _Stale(stale[0], sorted(keys) or changed, lost)


def _forget(run: RunFolder, stages: set[str], planned: set[str]) -> None:
    """In such an order that a kill in between leaves a run to which the same command does the same."""
    left = {
        name: entry["files"] for name, entry in run.manifest["stages"].items() if name in stages and name not in planned
    }
    run.forget(tuple(stages))
    for stage in stages:
        shutil.rmtree(_checkpoint(run, stage), ignore_errors=True)
    forget_metrics(run.file(METRICS), stages)
    for files in left.values():  # what no stage will write again
        for name in files:
            run.file(name).unlink(missing_ok=True)


def _checkpoint(run: RunFolder, stage: str) -> Path:
    return run.file("checkpoints") / stage


def _named(word: str, names: list[str], only_training: bool) -> str:
    """The stage that `word` means: its name, or its kind."""
    legal = [name for name in names if not only_training or name.split("-")[0] in TRAINING]
    found = [name for name in legal if name == word] or [name for name in legal if name.split("-")[0] == word]
    if not found:
        raise UserError(f"{word!r} is not a stage", where="--from", hint=f"use one of {', '.join(legal)}")
    return found[0]
