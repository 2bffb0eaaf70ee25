"""Trains the teacher on static images, and the student on events with or without it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from export.readout import classify
from hardware_profiles.errors import UserError
from pipeline.augmentation import augment
from pipeline.data.dataset import Dataset, EventSplit, StaticImages
from pipeline.data.images import resize_to, value_channel
from pipeline.distillation.objectives import Branch, Step, build_objective
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
    trainee = _StudentTrainee(recipe, dataset, teacher, method)
    fit(trainee, folder, recipe.training, progress=progress, metrics=metrics)
    return trainee.model


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


class _StudentTrainee(Trainee):
    model: Student

    def __init__(self, recipe: Recipe, dataset: Dataset, teacher: nn.Module | None, method: str) -> None:
        objective = build_objective(
            method,
            recipe.distillation,
            steps=dataset.train.frames.shape[1],
            v_threshold=recipe.student.v_threshold,
        )
        super().__init__(
            initial_student(recipe, dataset),
            stage=f"student-{method}",
            samples=len(dataset.train.labels),
            batch=recipe.training.batch,
            epochs=recipe.training.epochs,
            lr=recipe.training.lr,
            weight_decay=recipe.training.weight_decay,
            warmup_epochs=recipe.training.warmup_epochs,
            seed=recipe.seed,
            identity=_identity(recipe, dataset, "teacher", "student", "training", "augmentation", "distillation"),
        )
        self.recipe, self.dataset, self.objective = recipe, dataset, objective
        self.frames = torch.from_numpy(dataset.train.frames)
        self.labels = torch.from_numpy(dataset.train.labels)
        if objective.distils:
            if teacher is None:
                raise UserError(f"{method} needs a teacher", where="distillation.method", mend=_NO_TEACHER)
            self.pool = _StaticPool(dataset)
            self._teacher = (teacher,)  # in a tuple, so that it is no part of what is trained and saved

    def loss(self, rows: Tensor, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        place = (self.current_epoch, index)
        frames, labels = self.frames[rows].to(self.device), self.labels[rows].to(self.device)
        events = augment(
            frames.transpose(0, 1).float(), self.recipe.augmentation, self.generator("augmentation", *place)
        )
        progress = self.progress_at(index)
        if not self.objective.distils:
            return self._result(Step(event=_branch(self.model(events)), labels=labels, progress=progress))
        images = self.pool.draw(dataset_labels=self.labels[rows].numpy(), seed=self._draw_seed(place))
        rgb = resize_to(images, *events.shape[3:])
        values = torch.from_numpy(value_channel(rgb)).to(self.device)
        hybrid, replaced = sliding_replacement(
            static_clip(values, len(events)),
            events,
            progress,
            generator=self.generator("replacement", *place),
            power=self.recipe.distillation.replacement_power,
        )
        step = Step(
            hybrid=_branch(self.model(hybrid, head="static")),  # before the events: batch norm's running
            event=_branch(self.model(events)),  # statistics follow the deployed stream last
            labels=labels,
            progress=progress,
            replaced=replaced,
            teacher=self._teach(rgb) if self.objective.teacher_weight(progress) else None,
        )
        return self._result(step)

    def score(self) -> float:
        return student_accuracy(self.model, self.dataset.validation)

    def _draw_seed(self, place: tuple[int, int]) -> int:
        return derived_seed(self.seed, "pairs", *place)

    def _teach(self, rgb: np.ndarray) -> Tensor:
        teacher = self._teacher[0].to(self.device).eval()
        with torch.no_grad():
            return teacher(torch.from_numpy(rgb).to(self.device))

    def _result(self, step: Step) -> tuple[Tensor, dict[str, Tensor]]:
        loss = self.objective(step)
        return loss.total, loss.parts


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

    def draw(self, dataset_labels: np.ndarray, seed: int) -> np.ndarray:
        """One uint8 image `[C, h, w]` of the same class for each label, uniformly."""
        shares = np.random.default_rng(seed).random(len(dataset_labels))
        places = (shares * self.counts[dataset_labels]).astype(np.int64)
        return self.images[self.order[self.starts[dataset_labels] + places]]


def _branch(output: StudentOutput) -> Branch:
    return Branch(logits=output.logits, features=output.features)
