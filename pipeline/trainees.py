"""What is trained on what: the teacher on images, students on recordings, with or without the teacher."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hardware_profiles.errors import UserError
from pipeline.augmentation import augment
from pipeline.data.dataset import Dataset, StaticImages
from pipeline.data.images import resize_to, value_channel
from pipeline.distillation.objectives import Branch, Step, build_objective
from pipeline.distillation.replacement import sliding_replacement, static_clip
from pipeline.evaluation import student_accuracy, teacher_accuracy
from pipeline.fitting import Trainee, derived_seed
from pipeline.networks.students import Student, StudentOutput
from pipeline.networks.teachers import build_teacher
from pipeline.recipe import Recipe

HELD_OUT_SHARE = 10  # without twins of the validation recordings, every tenth image validates the teacher
NO_TEACHER = 'train without one: distillation.method = "none"'


def identity_of(recipe: Recipe, dataset: Dataset, *sections: str) -> dict[str, object]:
    values = recipe.model_dump(mode="json", include={"seed", *sections})
    if "training" in values:  # where it runs may change between a kill and the resume
        values["training"] = {
            key: value for key, value in values["training"].items() if key not in ("accelerator", "threads")
        }
    return {"recipe": values, "data": dataset.fingerprint}


class TeacherTrainee(Trainee):
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
            identity=identity_of(recipe, dataset, "teacher"),
        )
        self.images, self.labels = training.images, torch.from_numpy(training.labels)
        self.validation, self.size = validation, size

    def loss(self, rows: Tensor, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        images = torch.from_numpy(resize_to(self.images[rows.numpy()], *self.size)).to(self.device)
        return nn.functional.cross_entropy(self.model(images), self.labels[rows].to(self.device)), {}

    def score(self, model: nn.Module) -> float:
        training = model.training
        accuracy = teacher_accuracy(model, self.validation, self.size)
        model.train(training)
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
            identity=identity_of(recipe, dataset, *sections),
            average=recipe.training.average,
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

    def score(self, model: nn.Module) -> float:
        assert isinstance(model, Student)
        return student_accuracy(model, self.validation)


class DistillingTrainee(EventTrainee):
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
            unit=self.recipe.distillation.replacement_unit,
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
                raise UserError(f"class {dataset.classes[label]!r} has no static image", where="data", mend=NO_TEACHER)

    def draw(self, labels: np.ndarray, seed: int) -> np.ndarray:
        """One uint8 image `[C, h, w]` of the same class for each label, uniformly."""
        shares = np.random.default_rng(seed).random(len(labels))
        places = (shares * self.counts[labels]).astype(np.int64)
        return self.images[self.order[self.starts[labels] + places]]


def _branch(output: StudentOutput) -> Branch:
    return Branch(logits=output.logits, features=output.features)
