"""Trains the teacher on static images, the translator on pairs, and students on events under a plan of terms."""

from __future__ import annotations

from pathlib import Path

import torch

from spikeport.errors import UserError
from spikeport.pipeline.data.dataset import Dataset
from spikeport.pipeline.data.event_synthesis.cached_views import CachedViews, EventSynthesizer
from spikeport.pipeline.data.event_synthesis.translator import Translator
from spikeport.pipeline.distillation.initialize import initialize_from_teacher
from spikeport.pipeline.distillation.method_spec import method_spec
from spikeport.pipeline.distillation.streams import NO_TEACHER
from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.models.students.build import build_student
from spikeport.pipeline.models.teachers.base import Teacher
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.seeding import derived_seed
from spikeport.pipeline.training.evaluate import (
    spiking_teacher_classes,
    student_accuracy,
    teacher_accuracy,
    teacher_logits,
)
from spikeport.pipeline.training.fit import fit
from spikeport.pipeline.training.task import Progress
from spikeport.pipeline.training.tasks import PretrainTask, StudentTask, TeacherTask, check_losses
from spikeport.pipeline.training.translator_task import TranslatorTask

__all__ = [
    "initial_student",
    "pretrain_student",
    "spiking_teacher_classes",
    "student_accuracy",
    "teacher_accuracy",
    "teacher_logits",
    "train_student",
    "train_teacher",
    "train_translator",
]


def train_teacher(
    recipe: Recipe,
    dataset: Dataset,
    folder: Path,
    progress: Progress | None = None,
    metrics: Path | None = None,
) -> Teacher:
    """A teacher trained on the static images, in eval mode on the CPU: `[B, 3, H, W]` in 0..1 to logits `[B,
    K]`.

    Chosen by its accuracy on the paired images of the validation recordings (where there are none, on a tenth of the
    images that it does not train on). `folder` holds the checkpoint; see `fitting.fit` for resume and
    `metrics`.
    """
    if not len(dataset.static.labels):
        raise UserError("there are no static images to train a teacher on", where="data", hint=NO_TEACHER)
    task = TeacherTask(recipe, dataset)
    teacher = task.model.eval()
    for method in recipe.methods:  # a term that cannot be is said now, not when the teacher is trained
        spec = method_spec(recipe.distillation, method)
        check_losses(recipe, dataset, spec, initial_student(recipe, dataset, teacher), teacher)
    teacher.train()
    fit(task, folder, recipe.training, progress=progress, metrics=metrics)
    return task.model


def train_translator(
    recipe: Recipe,
    dataset: Dataset,
    folder: Path,
    progress: Progress | None = None,
    metrics: Path | None = None,
) -> Translator:
    """A translator fitted on the training recordings and their images, in eval mode on the CPU."""
    task = TranslatorTask(recipe, dataset)
    fit(task, folder, recipe.training, progress=progress, metrics=metrics)
    return task.model


def pretrain_student(
    recipe: Recipe,
    dataset: Dataset,
    teacher: Teacher | None,
    synthesizer: EventSynthesizer | CachedViews,
    folder: Path,
    progress: Progress | None = None,
    metrics: Path | None = None,
    *,
    stage: str = "pretrain",
    student: Student | None = None,
) -> Student:
    """A student (`student`, or a fresh one) pretrained on events that `synthesizer` renders of all static images.

    Stage "simulator" takes `synthesis.simulator_pretrain_epochs` and no recording; "pretrain" takes
    `synthesis.pretrain_epochs`, with `synthesis.pretrain_recordings` real recordings beside each batch.
    """
    simulator = stage == "simulator"
    task = PretrainTask(
        recipe,
        dataset,
        initial_student(recipe, dataset, teacher) if student is None else student,
        method_spec(recipe.distillation),
        teacher=teacher,
        synthesizer=synthesizer,
        stage=stage,
        samples=len(dataset.static.labels),
        batch=recipe.synthesis.pretrain_batch,
        epochs=recipe.synthesis.simulator_pretrain_epochs if simulator else recipe.synthesis.pretrain_epochs,
        lr=recipe.synthesis.pretrain_lr,
        weight_decay=recipe.training.weight_decay,
        warmup_epochs=0,
        sections=("student", "training", "augmentation", "distillation", "synthesis"),
    )
    task.recordings = 0 if simulator else recipe.synthesis.pretrain_recordings
    fit(task, folder, recipe.training, progress=progress, metrics=metrics)
    return task.model


def train_student(
    recipe: Recipe,
    dataset: Dataset,
    teacher: Teacher | None,
    method: str,
    folder: Path,
    progress: Progress | None = None,
    metrics: Path | None = None,
    *,
    synthesizer: EventSynthesizer | CachedViews | None = None,
    pretrained: Student | None = None,
) -> Student:
    """A student trained in float by the preset `method`, in eval mode on the CPU; its stage is "student-<method>".

    All methods begin with the same weights and see the same shuffles and augmentation, so that they can be compared;
    a pretrained one begins with `pretrained` and goes on for `synthesis.finetune_epochs`. The epoch is chosen on the
    validation recordings; without any the last one is kept. `teacher` may be None for methods that do not distil.
    """
    known = len(dataset.train.labels) > 0
    if pretrained is not None and not (recipe.synthesis.finetune_epochs and known):
        return pretrained.eval()
    if not known:
        raise UserError(
            f"{method} cannot train without recordings",
            where="data.without_recordings",
            hint='use distillation.method = "synthetic-events" with synthesis.pretrain_epochs of 1 or more',
        )
    task = StudentTask(
        recipe,
        dataset,
        initial_student(recipe, dataset, teacher) if pretrained is None else pretrained,
        method_spec(recipe.distillation, method),
        teacher=teacher,
        synthesizer=synthesizer,
        stage=f"student-{method}",
        epochs=recipe.training.epochs if pretrained is None else recipe.synthesis.finetune_epochs,
        lr=recipe.training.lr if pretrained is None else recipe.synthesis.finetune_lr,
        weight_decay=recipe.training.weight_decay,
        warmup_epochs=recipe.training.warmup_epochs if pretrained is None else 0,
        sections=("student", "training", "augmentation", "distillation", "synthesis"),
    )
    fit(task, folder, recipe.training, progress=progress, metrics=metrics, score_start=pretrained is not None)
    if teacher is not None:
        teacher.to("cpu")  # it was on the student's device while it taught
    return task.model


def initial_student(recipe: Recipe, dataset: Dataset, teacher: Teacher | None = None) -> Student:
    """The untrained student of this recipe and seed, with the teacher's weights where the recipe asks for them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(recipe.seed, "student"))
        student = build_student(
            recipe.student,
            dataset.train.frames.shape[2:],
            len(dataset.classes),
            shared_head=recipe.distillation.shared_head,
        )
    if recipe.distillation.initialize:
        if teacher is None:
            raise UserError(
                "there is no teacher to take weights from", where="distillation.initialize", hint=NO_TEACHER
            )
        initialize_from_teacher(student, teacher)
    return student
