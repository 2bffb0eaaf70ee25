"""Stages of the method "auto" that another stage has done already, or that what was chosen does not need."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from spikeport.pipeline.run.sections.distillation import AUTO
from spikeport.pipeline.stages.choice_result import NotNeeded
from spikeport.pipeline.stages.results import StageOutput, StudentResult

if TYPE_CHECKING:
    from spikeport.pipeline.stages.context import Context


def weights_file(kind: str, method: str, context: Context) -> str:
    """Name of a weights file: `student.safetensors` for the run's method, `student-<method>.safetensors` for others.

    Args:
        kind: "student" or "quantized".
        method: one of the recipe's `methods`.
        context: the run.
    """
    own = method == context.recipe.distillation.method
    return f"{kind}.safetensors" if own else f"{kind}-{method}.safetensors"


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
    own, name = context.recipe.distillation.method, weights_file(kind, method, context)
    context.progress.log(f"  the same as {kind}-{own}, which is not trained twice")
    shutil.copyfile(context.run.file(weights_file(kind, own, context)), context.run.file(name))
    result = StudentResult.from_json(context.run.result(f"{kind}-{own}"))
    return StageOutput(result=replace(result, findings=(), gap=()), files=(name,))


def not_needed(context: Context) -> StageOutput:
    """The output of a stage that what "auto" has chosen does not need. Says so.

    Args:
        context: the run.
    """
    reason = f"{context.losses_of(AUTO)} was chosen, which does not need it"
    context.progress.log(f"  {reason}")
    return StageOutput(result=NotNeeded(reason=reason))
