"""Checks the run that a training starts from, before it starts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spikeport.pipeline.data.splits.leakage import check_leakage
from spikeport.pipeline.training.first_weights import started_student
from spikeport.pipeline.training.train import new_student

if TYPE_CHECKING:
    from spikeport.pipeline.stages.context import Context


def checked_start(context: Context) -> str:
    """What `training.init_from` gives the student, in words; "" for nothing.

    Args:
        context: the run.

    Raises:
        UserError: the weights are of another network, or were trained on recordings that are held out here.
    """
    recipe, dataset = context.recipe, context.dataset
    if not recipe.training.init_from:
        return ""
    check_leakage(Path(recipe.training.init_from), dataset)
    return started_student(new_student(recipe, dataset), recipe, dataset.classes)
