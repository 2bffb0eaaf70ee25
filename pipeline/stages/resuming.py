"""What each stage reads of a recipe, and which stages of a run are done again when the recipe changes.

A finished stage stays valid as long as no setting that it or an earlier stage reads is changed. Otherwise it and the
stages that build on it are done again. Weights are trained again only if `--from` asks for it. A training whose number
of epochs grows goes on from its last checkpoint.
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
from spikeport.pipeline.run.recipe_file import RECIPE
from spikeport.pipeline.run.run_folder import RunFolder, create, differences
from spikeport.pipeline.run.sections.training import PLACEMENT_KEYS
from spikeport.pipeline.stages.added_epochs import AddedEpochs, grows, keep_added
from spikeport.pipeline.stages.runner import TRAINING, builds_on, stages_of
from spikeport.pipeline.training.epoch_log import METRICS, forget_metrics

_LEARNING = ("seed", "data", "teacher", "student", "training", "augmentation", "distillation", "synthesis")

# Sections that each kind of stage reads. What a stage gets from the stages before it is theirs, not the recipe's.
READS: Mapping[str, tuple[str, ...]] = {
    "data": ("data",),
    "teacher": ("seed", "data", "teacher", "training"),
    "simulator": _LEARNING,
    "synthesis": _LEARNING,
    "choice": _LEARNING,
    "pretrain": _LEARNING,
    "student": _LEARNING,
    "quantized": (*_LEARNING, "quantization"),
    "export": (),
    "simulate": (),
    "check": ("check",),
    "profile": ("profile",),
    "report": ("name", "profile"),
}
_STUDENTS_OWN = ("training.epochs", "training.min_steps", "training.batch", "training.lr", "training.warmup_epochs")
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
_OPEN = "training.callbacks"  # read by every training, but those that are done may have had others


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

    Stages that have read what is changed now, and all that build on them, are forgotten, and it is said which and why.
    That costs no weights: raises UserError where it would, unless `again_from` names these stages or one that they
    build on. A training of which only the number of epochs has grown keeps its checkpoint, from which it goes on, and
    its student is quantized again. What `again_from` names starts from the beginning. Also raises what `create` does.
    """
    names = [stage.name for stage in stages_of(recipe)]
    asked = set() if again_from is None else _asked(again_from, names, only_training)
    run = create(folder, recipe, resume=resume or again_from is not None, about=about)
    if not run.manifest["stages"]:
        if asked:
            raise UserError("no run in this folder", where=str(folder), hint="leave --from out")
        return run
    changed = differences(run.recipe.model_dump(), recipe.model_dump())
    found = _effect_of(run, recipe, names, asked)
    if lost := [name for name in found.lost if name not in asked and (name in names or not asked)]:
        raise UserError(
            f"the run there was made with other settings of {', '.join(found.keys)}",
            where=str(folder),
            cause=f"{', '.join(lost)} would be trained again from the beginning{_why(found.keys)}",
            hint=f"say so with --from {_word(found, names)}, resume with the same recipe, or name another --out"
            + f"; another run with --init-from {folder} trains its weights on" * bool(_why(found.keys)),
        )
    for added in found.grown:
        log(f"changed: {added}")
    again = [name for name in names if name in {*found.stale, *asked}]
    others = [key for key in changed if key not in {added.key for added in found.grown}]
    if others:
        done_again = f"; done again: {_roots_of(again)}" if again else ""
        log(f"changed: {', '.join(others)}{done_again or '; no stage that is done has read it'}")
    if again or found.grown:
        gone = set(run.manifest["stages"]) - set(names) if again else set()
        _forget(run, found.grown, {*again, *gone}, set(names))
    if changed:
        write_text(run.file(RECIPE), recipe.as_toml())
    run = RunFolder(run.path, recipe, run.manifest)
    _remove_checkpoints_of_what_is_done_again(run, names)
    return run


def _why(keys: list[str]) -> str:
    """Why a training does not go on from its last epoch where its number of epochs is changed."""
    why = ", since a training goes on with more epochs alone, and from its last checkpoint"
    return why * any(key.endswith("epochs") for key in keys)


@dataclass(frozen=True)
class _Effect:
    """What a changed recipe does to a run.

    Attributes:
        grown: the trainings that go on.
        stale: stages that are done again from the beginning.
        keys: the changed keys behind `lost`.
        lost: trainings among `stale` whose loss somebody has to ask for.
    """

    grown: list[AddedEpochs]
    stale: set[str]
    keys: list[str]
    lost: list[str]


def _effect_of(run: RunFolder, recipe: Recipe, names: list[str], asked: set[str]) -> _Effect:
    done = set(run.manifest["stages"])
    begun = {name for name in names if name in done or any(_checkpoint(run, name).glob("*"))}
    grown: list[AddedEpochs] = []
    stale: set[str] = set()
    renewed: set[str] = set()  # built on what has grown
    keys: set[str] = set()
    for number, name in enumerate(names):
        now = []
        if name in begun:
            now = differences(what_is_read(name, run.recipe), what_is_read(name, recipe))
            now = [key for key in now if key != _OPEN]
        if name in asked:
            continue
        added = grows(name, run, recipe, now) if now and name not in stale | renewed else None
        if added is not None:
            grown.append(added)
            renewed |= set(builds_on(name, names))
        elif now or (name not in begun and begun & set(names[number:])):  # new, among what is done
            stale |= {name, *builds_on(name, names)}
            keys |= set(now) - {each.key for each in grown if name in _quantized([each.stage])}
    stale |= renewed
    gone = {name for name in done if name not in names} if stale - renewed else set()
    free = _quantized([added.stage for added in grown])
    lost = [name for name in (*names, *sorted(gone)) if name in (stale & begun) | gone and _is_training(name)]
    lost = [name for name in lost if name not in free]
    changed = differences(run.recipe.model_dump(), recipe.model_dump())
    return _Effect(grown, stale - {added.stage for added in grown}, sorted(keys) or changed, lost)


def _quantized(stages: list[str]) -> set[str]:
    """The stages that quantize the students of these stages."""
    return {stage.replace("student-", "quantized-", 1) for stage in stages if stage.startswith("student-")}


def _is_training(stage: str) -> bool:
    return stage.split("-")[0] in TRAINING and stage != "data"


def _word(found: _Effect, names: list[str]) -> str:
    """What --from takes for all that is done again: the first stage, or its kind where a loss does not build on it."""
    first = next(name for name in names if name in found.stale)
    covered = {first, *builds_on(first, names)}
    return first if covered.issuperset(name for name in found.lost if name in names) else first.split("-")[0]


def _roots_of(stages: list[str]) -> str:
    """Stages in words: those that build on no other of them, and the rest as what builds on them."""
    later = {name for stage in stages for name in builds_on(stage, stages)}
    roots = [name for name in stages if name not in later]
    rest = f" and what builds on {'it' if len(roots) == 1 else 'them'}" if later else ""
    return f"{', '.join(roots)}{rest}"


def _forget(run: RunFolder, grown: list[AddedEpochs], stages: set[str], planned: set[str]) -> None:
    """In such an order that a kill in between leaves a run to which the same command does the same."""
    left = {
        name: entry["files"] for name, entry in run.manifest["stages"].items() if name in stages and name not in planned
    }
    keep_added(run, grown, stages)
    run.forget((*stages, *(added.stage for added in grown)))
    for stage in stages:
        shutil.rmtree(_checkpoint(run, stage), ignore_errors=True)
    forget_metrics(run.file(METRICS), stages)
    for files in left.values():  # what no stage will write again
        for name in files:
            run.file(name).unlink(missing_ok=True)


def _remove_checkpoints_of_what_is_done_again(run: RunFolder, names: list[str]) -> None:
    """Checkpoints of finished trainings that are trained again, since files of theirs are missing or changed, or files
    of stages before them."""
    again: set[str] = set()
    for name in names:
        if name not in again and not run.is_done(name):
            again |= {name, *builds_on(name, names)}
    for name in again & set(run.manifest["stages"]):
        shutil.rmtree(_checkpoint(run, name), ignore_errors=True)


def _checkpoint(run: RunFolder, stage: str) -> Path:
    return run.file("checkpoints") / stage


def _asked(word: str, names: list[str], only_training: bool) -> set[str]:
    """The stages that are done again if `word` is asked for: a name, or the kind of several, and all that build on
    them."""
    legal = [name for name in names if not only_training or name.split("-")[0] in TRAINING]
    found = [name for name in legal if name == word] or [name for name in legal if name.split("-")[0] == word]
    if not found:
        raise UserError(f"{word!r} is not a stage", where="--from", hint=f"use one of {', '.join(legal)}")
    return {name for stage in found for name in (stage, *builds_on(stage, names))}
