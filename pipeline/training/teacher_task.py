"""The task that trains a teacher on static images."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from spikeport.pipeline.data.dataset import Dataset, StaticImages
from spikeport.pipeline.data.images.affine import random_affine
from spikeport.pipeline.data.images.resize import resize_to
from spikeport.pipeline.models.teachers.base import Teacher
from spikeport.pipeline.models.teachers.build import build_teacher
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.sections.networks import Teacher as TeacherRecipe
from spikeport.pipeline.run.sections.training import EPOCHS_KEYS
from spikeport.pipeline.run.seeding import derived_seed
from spikeport.pipeline.training.checkpoints import recipe_identity
from spikeport.pipeline.training.evaluate import teacher_accuracy
from spikeport.pipeline.training.first_weights import teacher_origin
from spikeport.pipeline.training.task import TRAINING_ACCURACY, TrainingTask

AFFINE_SEED = "warp"  # purpose that seeds are derived from: another word would draw other numbers
HELD_OUT_SHARE = 10  # without paired images of the validation recordings, every tenth image validates the teacher


class TeacherTask(TrainingTask):
    """Training of a teacher by cross entropy on static images, scored by its accuracy on `validation_images`.

    Args:
        recipe: the recipe.
        dataset: its static images are trained on.
    """

    model: Teacher

    def __init__(self, recipe: Recipe, dataset: Dataset) -> None:
        height, width = dataset.test.frames.shape[3:]
        size = int(height), int(width)
        training, validation = teacher_images(dataset, recipe.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(recipe.seed, "teacher"))
            model = build_teacher(_with_first_weights(recipe, dataset), (3, *size), len(dataset.classes))
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
            identity=recipe_identity(recipe, dataset, "teacher"),
            ema_decay=recipe.teacher.ema_decay,
            epochs_key=EPOCHS_KEYS["teacher"],
        )
        self.images, self.labels = training.images, torch.from_numpy(training.labels)
        self.validation, self.size, self.affine = validation, size, recipe.teacher.affine

    def loss(self, rows: Tensor, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        images = torch.from_numpy(resize_to(self.images[rows.numpy()], *self.size)).to(self.device)
        images = random_affine(images, self.affine, self.generator(AFFINE_SEED, self.current_epoch, index))
        logits, labels = self.model(images), self.labels[rows].to(self.device)
        correct = (logits.detach().argmax(1) == labels).float().mean()
        return nn.functional.cross_entropy(logits, labels), {TRAINING_ACCURACY: correct}

    def score(self, model: nn.Module) -> float:
        training = model.training
        accuracy = teacher_accuracy(model, self.validation, self.size)
        model.train(training)
        self.validated = len(self.validation.labels)
        return accuracy


def _with_first_weights(recipe: Recipe, dataset: Dataset) -> TeacherRecipe:
    """`[teacher]` with the weights of the run that it starts from, where there is one."""
    origin = teacher_origin(recipe, dataset.classes)
    return recipe.teacher if origin is None else recipe.teacher.model_copy(update={"weights": str(origin.path)})


def teacher_images(dataset: Dataset, seed: int) -> tuple[StaticImages, StaticImages]:
    """Splits the static images for the training of the teacher.

    Args:
        dataset: the data set.
        seed: seed of the split.

    Returns:
        Images for the training, and images that select the epoch: those paired with validation recordings, or a tenth.
    """
    paired_images = dataset.validation.paired_images
    return (
        _held_out(dataset.static, seed)
        if paired_images is None or not len(paired_images.labels)
        else (dataset.static, paired_images)
    )


def _held_out(images: StaticImages, seed: int) -> tuple[StaticImages, StaticImages]:
    order = np.random.default_rng(derived_seed(seed, "teacher validation")).permutation(len(images.labels))
    held = max(1, len(order) // HELD_OUT_SHARE)

    def part(rows: np.ndarray) -> StaticImages:
        keys = tuple(images.keys[row] for row in rows)
        return StaticImages(images=images.images[rows], labels=images.labels[rows], keys=keys)

    return part(np.sort(order[held:])), part(np.sort(order[:held]))
