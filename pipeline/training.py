"""Trains the teacher on static images, and the student on events with or without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from export.readout import classify
from hardware_profiles.errors import UserError
from pipeline.augmentation import augment
from pipeline.data.dataset import Dataset, EventSplit, StaticImages
from pipeline.data.images import resize_to, value_channel
from pipeline.distillation.objectives import OBJECTIVES, Branch, Step, build_objective
from pipeline.distillation.replacement import sliding_replacement, static_clip
from pipeline.fitting import Progress, Trainee, derived_seed, fit
from pipeline.networks.students import Student, StudentOutput, build_student, predict_spikes
from pipeline.networks.teachers import build_teacher
from pipeline.recipe import Recipe

EVALUATION_BATCH = 256
HELD_OUT_SHARE = 10  # without twins of the validation recordings, every tenth image validates the teacher


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
        raise UserError("there are no static images to train a teacher on", where="data", mend=_NO_TEACHER)
    trainee = _TeacherTrainee(recipe, dataset)
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
        raise UserError(f"{method} needs a teacher", where="distillation.method", mend=_NO_TEACHER)
    else:
        trainee = _DistillingTrainee(recipe, dataset, student, method, teacher, **options)
    fit(trainee, folder, recipe.training, progress=progress, metrics=metrics)
    return student


def student_accuracy(student: Student, split: EventSplit) -> float:
    """Share of the split's recordings that the student's output spikes classify right."""
    return float(np.mean(classify(predict_spikes(student, split.frames)) == split.labels))


def teacher_logits(teacher: nn.Module, images: np.ndarray, size: tuple[int, int]) -> Tensor:
    """Logits `[B, K]` of uint8 images `[B, C, h, w]`, in eval mode, without gradient."""
    device = next(teacher.parameters()).device
    teacher.eval()
    with torch.no_grad():
        parts = [
            teacher(torch.from_numpy(resize_to(part, *size)).to(device))
            for part in np.array_split(images, max(1, -(-len(images) // EVALUATION_BATCH)))
        ]
    return torch.cat(parts)


def teacher_accuracy(teacher: nn.Module, images: StaticImages, size: tuple[int, int]) -> float:
    """Share of the images that the teacher gets right; `size` is the frames' (height, width)."""
    found = teacher_logits(teacher, images.images, size).argmax(1).cpu().numpy()
    return float(np.mean(found == images.labels))


_NO_TEACHER = 'train without one: distillation.method = "none"'


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


def _identity(recipe: Recipe, dataset: Dataset, *sections: str) -> dict[str, object]:
    values = recipe.model_dump(mode="json", include={"seed", *sections})
    if "training" in values:  # where it runs may change between a kill and the resume
        values["training"] = {
            key: value for key, value in values["training"].items() if key not in ("accelerator", "threads")
        }
    return {"recipe": values, "data": dataset.fingerprint}


class _TeacherTrainee(Trainee):
    model: nn.Module

    def __init__(self, recipe: Recipe, dataset: Dataset) -> None:
        size = dataset.train.frames.shape[3:]
        training, validation = dataset.static, dataset.validation.twins
        if validation is None:
            training, validation = _held_out(training, recipe.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(recipe.seed, "teacher"))
            model = build_teacher(recipe.teacher, (3, *size), len(dataset.classes))
        super().__init__(
            model,
            stage="teacher",
            samples=len(training.labels),
            batch=recipe.teacher.batch,
            epochs=recipe.teacher.epochs,
            lr=recipe.teacher.lr,
            weight_decay=recipe.teacher.weight_decay,
            warmup_epochs=0,
            seed=recipe.seed,
            identity=_identity(recipe, dataset, "teacher"),
        )
        self.images, self.labels = training.images, torch.from_numpy(training.labels)
        self.validation, self.size = validation, size

    def loss(self, rows: Tensor, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        images = torch.from_numpy(resize_to(self.images[rows.numpy()], *self.size)).to(self.device)
        return nn.functional.cross_entropy(self.model(images), self.labels[rows].to(self.device)), {}

    def score(self) -> float:
        training = self.model.training
        accuracy = teacher_accuracy(self.model, self.validation, self.size)
        self.model.train(training)
        return accuracy


def _held_out(images: StaticImages, seed: int) -> tuple[StaticImages, StaticImages]:
    order = np.random.default_rng(derived_seed(seed, "teacher validation")).permutation(len(images.labels))
    held = max(1, len(order) // HELD_OUT_SHARE)

    def part(rows: np.ndarray) -> StaticImages:
        keys = tuple(images.keys[row] for row in rows)
        return StaticImages(images=images.images[rows], labels=images.labels[rows], keys=keys)

    return part(np.sort(order[held:])), part(np.sort(order[:held]))


class EventTrainee(Trainee):
    """A student, an objective, and the augmented recordings."""

    model: Student

    def __init__(
        self,
        recipe: Recipe,
        dataset: Dataset,
        student: Student,
        method: str,
        *,
        stage: str,
        epochs: int,
        lr: float,
        weight_decay: float,
        warmup_epochs: int,
        sections: tuple[str, ...],
    ) -> None:
        super().__init__(
            student,
            stage=stage,
            samples=len(dataset.train.labels),
            batch=recipe.training.batch,
            epochs=epochs,
            lr=lr,
            weight_decay=weight_decay,
            warmup_epochs=warmup_epochs,
            seed=recipe.seed,
            identity=_identity(recipe, dataset, *sections),
        )
        self.objective = build_objective(
            method,
            recipe.distillation,
            steps=dataset.train.frames.shape[1],
            v_threshold=recipe.student.v_threshold,
        )
        self.recipe, self.validation = recipe, dataset.validation
        self.frames = torch.from_numpy(dataset.train.frames)
        self.labels = torch.from_numpy(dataset.train.labels)

    def loss(self, rows: Tensor, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        loss = self.objective(self.step(rows, index))
        return loss.total, loss.parts

    def step(self, rows: Tensor, index: int) -> Step:
        """What the objective sees of these rows."""
        return Step(
            event=_branch(self.model(self.events(rows, index))),
            labels=self.labels[rows].to(self.device),
            progress=self.progress_at(index),
        )

    def events(self, rows: Tensor, index: int) -> Tensor:
        """Augmented frames `[T, B, C, H, W]` of these rows."""
        frames = self.frames[rows].to(self.device).transpose(0, 1).float()
        generator = self.generator("augmentation", self.current_epoch, index)
        return augment(frames, self.recipe.augmentation, generator)

    def score(self) -> float:
        return student_accuracy(self.model, self.validation)


class _DistillingTrainee(EventTrainee):
    """Adds a static image of the same class to each recording, the hybrid stream, and what the teacher
    says."""

    def __init__(
        self, recipe: Recipe, dataset: Dataset, student: Student, method: str, teacher: nn.Module, **options: Any
    ) -> None:
        super().__init__(recipe, dataset, student, method, **options)
        self.pool = _StaticPool(dataset)
        self._teacher = (teacher.eval(),)  # in a tuple, so that it is no part of what is trained and saved

    def step(self, rows: Tensor, index: int) -> Step:
        place, progress = (self.current_epoch, index), self.progress_at(index)
        events = self.events(rows, index)
        images = self.pool.draw(self.labels[rows].numpy(), derived_seed(self.seed, "pairs", *place))
        rgb = resize_to(images, *events.shape[3:])
        hybrid, replaced = sliding_replacement(
            static_clip(torch.from_numpy(value_channel(rgb)).to(self.device), len(events)),
            events,
            progress,
            generator=self.generator("replacement", *place),
            power=self.recipe.distillation.replacement_power,
        )
        # Two forwards, the events last: batch norm's running statistics follow both streams in this order.
        hybrid_branch = _branch(self.model(hybrid, head="static"))
        return Step(
            hybrid=hybrid_branch,
            event=_branch(self.model(events)),
            labels=self.labels[rows].to(self.device),
            progress=progress,
            replaced=replaced,
            teacher=self._teach(rgb) if self.objective.teacher_weight(progress) else None,
        )

    def _teach(self, rgb: np.ndarray) -> Tensor:
        teacher = self._teacher[0].to(self.device)
        with torch.no_grad():
            return teacher(torch.from_numpy(rgb).to(self.device))


class _StaticPool:
    """The static images by class, for drawing one of the same class for each recording."""

    def __init__(self, dataset: Dataset) -> None:
        self.images = dataset.static.images
        classes = np.arange(len(dataset.classes))
        self.order = np.argsort(dataset.static.labels, kind="stable")
        self.starts = np.searchsorted(dataset.static.labels[self.order], classes)
        self.counts = np.bincount(dataset.static.labels, minlength=len(classes))
        for label in np.unique(dataset.train.labels):
            if not self.counts[label]:
                raise UserError(f"class {dataset.classes[label]!r} has no static image", where="data", mend=_NO_TEACHER)

    def draw(self, labels: np.ndarray, seed: int) -> np.ndarray:
        """One uint8 image `[C, h, w]` of the same class for each label, uniformly."""
        shares = np.random.default_rng(seed).random(len(labels))
        places = (shares * self.counts[labels]).astype(np.int64)
        return self.images[self.order[self.starts[labels] + places]]


def _branch(output: StudentOutput) -> Branch:
    return Branch(logits=output.logits, features=output.features)
