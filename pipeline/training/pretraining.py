"""Pretraining of a student on synthetic events, before it is trained on recordings."""

from __future__ import annotations

from pathlib import Path

from spikeport.pipeline.data.dataset import Dataset
from spikeport.pipeline.data.event_synthesis.cached_views import CachedViews, EventSynthesizer
from spikeport.pipeline.distillation.method_spec import method_spec
from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.models.teachers.base import Teacher
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.sections.training import EPOCHS_KEYS
from spikeport.pipeline.training.fit import fit
from spikeport.pipeline.training.steps import epochs_on_images
from spikeport.pipeline.training.student_task import PretrainTask
from spikeport.pipeline.training.train import initial_student
from spikeport.progress import NamedProgress


def pretraining_task(
    recipe: Recipe,
    dataset: Dataset,
    teacher: Teacher | None,
    synthesizer: EventSynthesizer | CachedViews,
    *,
    stage: str = "pretrain",
    student: Student | None = None,
) -> PretrainTask:
    """The task that pretrains a student on synthetic events of all static images.

    Args:
        recipe: the recipe; its own method gives the losses.
        dataset: the data set.
        teacher: the teacher; None for methods without one.
        synthesizer: renders the events.
        stage: "simulator" takes `synthesis.simulator_pretrain_epochs` and no recording; "pretrain" takes
            `synthesis.pretrain_epochs`, or more for `synthesis.pretrain_min_steps`, and
            `synthesis.pretrain_recordings` recordings join each batch.
        student: the student that is trained further; None: a new one.

    Raises:
        UserError: the method needs a teacher and there is none, or a loss cannot act on these networks.
    """
    simulator, images = stage == "simulator", len(dataset.static.labels)
    task = PretrainTask(
        recipe,
        dataset,
        initial_student(recipe, dataset, teacher) if student is None else student,
        method_spec(recipe.distillation).of_pretraining,
        teacher=teacher,
        synthesizer=synthesizer,
        stage=stage,
        samples=images,
        batch=recipe.synthesis.pretrain_batch,
        epochs=recipe.synthesis.simulator_pretrain_epochs if simulator else epochs_on_images(recipe, images),
        lr=recipe.synthesis.pretrain_lr,
        weight_decay=recipe.training.weight_decay,
        warmup_epochs=0,
        sections=("student", "training", "augmentation", "distillation", "synthesis"),
        epochs_key=EPOCHS_KEYS[stage],
    )
    task.recordings = 0 if simulator else recipe.synthesis.pretrain_recordings
    return task


def pretrain_student(
    recipe: Recipe,
    dataset: Dataset,
    teacher: Teacher | None,
    synthesizer: EventSynthesizer | CachedViews,
    folder: Path,
    progress: NamedProgress | None = None,
    metrics: Path | None = None,
    *,
    stage: str = "pretrain",
    student: Student | None = None,
) -> Student:
    """Pretrains a student on synthetic events of all static images.

    Args:
        recipe, dataset, teacher, synthesizer, stage, student: as for `pretraining_task`.
        folder: where the checkpoint is.
        progress: called as (steps done, steps in all, stage).
        metrics: file of the log; None: metrics.jsonl in `folder`.

    Returns:
        The student, on the CPU in eval mode.
    """
    task = pretraining_task(recipe, dataset, teacher, synthesizer, stage=stage, student=student)
    fit(task, folder, recipe.training, progress=progress, metrics=metrics)
    return task.model
