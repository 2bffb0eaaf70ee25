"""Stages of the method "auto" that another stage has done already, or that what was chosen does not need."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from spikeport.pipeline.run.auto_method import CHOICE
from spikeport.pipeline.run.sections.distillation import AUTO
from spikeport.pipeline.stages.choice_result import NotNeeded
from spikeport.pipeline.stages.results import StageOutput, StudentResult
from spikeport.pipeline.training.epoch_log import METRICS, rows_of_stages, write_metrics

if TYPE_CHECKING:  # a report imports this module, and needs no torch
    from spikeport.pipeline.models.students.base import Student
    from spikeport.pipeline.stages.context import Context

STUDENT = "student.safetensors"  # in the folder of a candidate


def same_as_own(context: Context, method: str) -> bool:
    """Whether the student for comparison is the run's own: "auto" has chosen the baseline.

    Args:
        context: the run.
        method: one of the recipe's `methods`.
    """
    own = context.recipe.distillation.method
    return own == AUTO and method != own and context.losses_of(own) == method


def copied(context: Context, kind: str, method: str) -> StageOutput:
    """The student of the run's own method as that of `method`.

    Args:
        context: the run.
        kind: "student" or "quantized".
        method: the method for comparison.
    """
    own, name = context.recipe.distillation.method, context.weights_file(kind, method)
    context.progress.log(f"  the same as {kind}-{own}, which is not trained twice")
    shutil.copyfile(context.run.file(context.weights_file(kind, own)), context.run.file(name))
    result = StudentResult.from_json(context.run.result(f"{kind}-{own}"))
    return StageOutput(result=replace(result, findings=(), gap=()), files=(name,))


def trained_folder(context: Context, candidate: str) -> Path:
    """Where the stage `choice` trains a candidate as the student itself, since validation recordings are many.

    Args:
        context: the run.
        candidate: its name.
    """
    return context.checkpoints(CHOICE) / "whole" / candidate


def trained_in_choice(context: Context, method: str) -> Student | None:
    """The student of a method that the stage `choice` has trained already, in eval mode; its epochs go into the run's
    log. None where it has to be trained.

    Args:
        context: the run.
        method: one of the recipe's `methods`.
    """
    from spikeport.pipeline.models import storage

    if context.recipe.distillation.method != AUTO:
        return None
    folder, stage = trained_folder(context, context.losses_of(method)), f"student-{method}"
    if not (folder / STUDENT).is_file():
        return None
    context.progress.log("  it was trained for the choice")
    for rows in rows_of_stages(folder / "student" / METRICS).values():
        write_metrics(context.run.file(METRICS), stage, [replace(row, stage=stage) for row in rows])
    dataset = context.dataset
    shape = dataset.test.frames.shape[2:]
    return storage.load_student(context.recipe_of(method), shape, len(dataset.classes), folder / STUDENT)


def needed_stages(context: Context) -> tuple[str, ...]:
    """The pretraining stages that the run's own method still needs, see `pretraining_stages`.

    Args:
        context: the run.
    """
    from spikeport.pipeline.distillation.method_spec import pretraining_stages

    own = context.recipe.distillation.method
    if own == AUTO and (trained_folder(context, context.losses_of(own)) / STUDENT).is_file():
        return ()
    return pretraining_stages(context.recipe_of(own))


def not_needed(context: Context) -> StageOutput:
    """The output of a stage that what "auto" has chosen does not need. Says so.

    Args:
        context: the run.
    """
    chosen = context.losses_of(AUTO)
    done = (trained_folder(context, chosen) / STUDENT).is_file()
    reason = f"{chosen} was chosen, which {'was trained already' if done else 'does not need it'}"
    context.progress.log(f"  {reason}")
    return StageOutput(result=NotNeeded(reason=reason))
