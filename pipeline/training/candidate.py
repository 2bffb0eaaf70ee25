"""The whole training of one candidate of "auto", from the first weights to the student."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from spikeport.pipeline.data.dataset import Dataset
from spikeport.pipeline.data.event_synthesis.cached_views import CachedViews, EventSynthesizer
from spikeport.pipeline.data.event_synthesis.simulator import Simulator
from spikeport.pipeline.distillation.method_spec import pretraining_stages, uses_synthesis
from spikeport.pipeline.models import storage
from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.models.teachers.base import Teacher
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.training.pretraining import pretraining_task
from spikeport.pipeline.training.shared_pretraining import SharedPretraining
from spikeport.pipeline.training.train import train_student
from spikeport.pipeline.training.unpaired_task import translator_task
from spikeport.progress import NamedProgress


def train_candidate(
    recipe: Recipe,
    dataset: Dataset,
    teacher: Teacher | None,
    synthesizer: Callable[[], EventSynthesizer | CachedViews] | None,
    folder: Path,
    shared: SharedPretraining,
    progress: NamedProgress | None = None,
) -> Student:
    """Trains a candidate as a run would: its pretraining, then the recordings.

    Args:
        recipe: the recipe of the candidate.
        dataset: recordings and images that it may see. Validation recordings choose the epochs; without any, each
            training keeps its last epoch.
        teacher: the teacher; None if there is none.
        synthesizer: gives what renders synthetic events; None: a translator is trained on `dataset`.
        folder: where the checkpoints are; a training that was stopped is resumed from them.
        shared: pretrainings that were done for other candidates, which are not done again.
        progress: called as (steps done, steps in all, training).

    Returns:
        The student, on the CPU in eval mode.

    Raises:
        UserError: the candidate cannot be trained on these recordings and images.
    """
    stages, student = pretraining_stages(recipe), None
    render: EventSynthesizer | CachedViews | None = None
    if uses_synthesis(recipe.distillation):
        render = synthesizer() if synthesizer else shared.translator(translator_task(recipe, dataset), progress)
    if "simulator" in stages:
        student = _on_simulated_events(recipe, dataset, teacher, shared, progress)
    if "pretrain" in stages:
        assert render is not None
        student = shared.student(pretraining_task(recipe, dataset, teacher, render, student=student), progress)
    return train_student(
        recipe,
        dataset,
        teacher,
        recipe.distillation.method,
        folder / "student",
        progress,
        synthesizer=render,
        pretrained=student,
    )


def _on_simulated_events(
    recipe: Recipe,
    dataset: Dataset,
    teacher: Teacher | None,
    shared: SharedPretraining,
    progress: NamedProgress | None,
) -> Student:
    if weights := recipe.synthesis.simulator_weights:
        return storage.load_student(recipe, dataset.test.frames.shape[2:], len(dataset.classes), weights)
    camera = Simulator(recipe.data.steps, recipe.data.step_us)
    return shared.student(pretraining_task(recipe, dataset, teacher, camera, stage="simulator"), progress)
