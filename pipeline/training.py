"""Trains the teacher on static images, and the student on events with or without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from hardware_profiles.errors import UserError
from pipeline.data.dataset import Dataset
from pipeline.distillation.objectives import OBJECTIVES
from pipeline.evaluation import student_accuracy, teacher_accuracy, teacher_logits
from pipeline.fitting import Progress, derived_seed, fit
from pipeline.networks.students import Student, build_student
from pipeline.recipe import Recipe
from pipeline.trainees import NO_TEACHER, DistillingTrainee, EventTrainee, TeacherTrainee

__all__ = [
    "initial_student",
    "student_accuracy",
    "teacher_accuracy",
    "teacher_logits",
    "train_student",
    "train_teacher",
]


def train_teacher(
    recipe: Recipe,
    dataset: Dataset,
    folder: Path,
    progress: Progress | None = None,
    metrics: Path | None = None,
) -> nn.Module:
    """A teacher trained on the static images, in eval mode on the CPU: `[B, 3, H, W]` in 0..1 to logits `[B,
    K]`.

    Chosen by its accuracy on the twins of the validation recordings (where there are none, on a tenth of the
    images that it does not train on). `folder` holds the checkpoint; see `fitting.fit` for resume and
    `metrics`.
    """
    if not len(dataset.static.labels):
        raise UserError("there are no static images to train a teacher on", where="data", mend=NO_TEACHER)
    trainee = TeacherTrainee(recipe, dataset)
    fit(trainee, folder, recipe.training, progress=progress, metrics=metrics)
    return trainee.model


def train_student(
    recipe: Recipe,
    dataset: Dataset,
    teacher: nn.Module | None,
    method: str,
    folder: Path,
    progress: Progress | None = None,
    metrics: Path | None = None,
) -> Student:
    """A student trained in float by the objective `method`, in eval mode on the CPU; its stage is
    "student-<method>".

    All methods start from the same weights and see the same shuffles and augmentation, so that they can be
    compared. The epoch is chosen on the validation recordings. `teacher` may be None for objectives that do
    not distil.
    """
    student = initial_student(recipe, dataset)
    options: dict[str, Any] = {
        "stage": f"student-{method}",
        "epochs": recipe.training.epochs,
        "lr": recipe.training.lr,
        "weight_decay": recipe.training.weight_decay,
        "warmup_epochs": recipe.training.warmup_epochs,
        "sections": ("student", "training", "augmentation", "distillation"),
    }
    trainee: EventTrainee
    if method not in OBJECTIVES or not OBJECTIVES[method].distils:
        trainee = EventTrainee(recipe, dataset, student, method, **options)
    elif teacher is None:
        raise UserError(f"{method} needs a teacher", where="distillation.method", mend=NO_TEACHER)
    else:
        trainee = DistillingTrainee(recipe, dataset, student, method, teacher, **options)
    fit(trainee, folder, recipe.training, progress=progress, metrics=metrics)
    if teacher is not None:
        teacher.to("cpu")  # it was on the student's device while it taught
    return student


def initial_student(recipe: Recipe, dataset: Dataset) -> Student:
    """The untrained student of this recipe and seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(recipe.seed, "student"))
        return build_student(
            recipe.student,
            dataset.train.frames.shape[2:],
            len(dataset.classes),
            shared_head=recipe.distillation.shared_head,
        )
