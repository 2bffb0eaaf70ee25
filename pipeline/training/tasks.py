"""What is trained on what: the teacher on images, students on recordings and images under a plan of terms."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.export.network.accuracy import compare_with_labels
from spikeport.export.network.readout import classify
from spikeport.pipeline.data.dataset import Dataset, StaticImages
from spikeport.pipeline.data.event_synthesis.cached_views import CachedViews, EventSynthesizer
from spikeport.pipeline.data.images.affine import random_affine
from spikeport.pipeline.data.images.resize import resize_to
from spikeport.pipeline.distillation.losses.base import Sizes, StepInputs
from spikeport.pipeline.distillation.methods import MethodSpec
from spikeport.pipeline.distillation.objective import Objective, uses_teacher
from spikeport.pipeline.distillation.streams import NO_TEACHER, Clip, Streams, joined, observe
from spikeport.pipeline.models.sizes import student_sizes, teacher_sizes
from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.models.students.inference import run_student
from spikeport.pipeline.models.teachers.base import Teacher
from spikeport.pipeline.models.teachers.build import build_teacher
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.sections.training import PLACEMENT_KEYS
from spikeport.pipeline.run.seeding import derived_seed
from spikeport.pipeline.training.evaluate import teacher_accuracy
from spikeport.pipeline.training.task import TrainingTask

# Purposes that seeds are derived from: another word would draw other numbers.
_SYNTHETIC_ROWS, _AFFINE_SEED = "bridged", "warp"
HELD_OUT_SHARE = 10  # without paired images of the validation recordings, every tenth image validates the teacher


def identity_of(recipe: Recipe, dataset: Dataset, *sections: str) -> dict[str, object]:
    values = recipe.model_dump(mode="json", include={"seed", *sections})
    if "training" in values:  # where it runs may change between a kill and the resume
        values["training"] = {key: value for key, value in values["training"].items() if key not in PLACEMENT_KEYS}
    return {"recipe": values, "data": dataset.fingerprint}


class TeacherTask(TrainingTask):
    model: Teacher

    def __init__(self, recipe: Recipe, dataset: Dataset) -> None:
        height, width = dataset.test.frames.shape[3:]
        size = int(height), int(width)
        training, validation = teacher_images(dataset, recipe.seed)
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
            ema_decay=recipe.teacher.ema_decay,
        )
        self.images, self.labels = training.images, torch.from_numpy(training.labels)
        self.validation, self.size, self.affine = validation, size, recipe.teacher.affine

    def loss(self, rows: Tensor, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        images = torch.from_numpy(resize_to(self.images[rows.numpy()], *self.size)).to(self.device)
        images = random_affine(images, self.affine, self.generator(_AFFINE_SEED, self.current_epoch, index))
        return nn.functional.cross_entropy(self.model(images), self.labels[rows].to(self.device)), {}

    def score(self, model: nn.Module) -> float:
        training = model.training
        accuracy = teacher_accuracy(model, self.validation, self.size)
        model.train(training)
        return accuracy


def teacher_images(dataset: Dataset, seed: int) -> tuple[StaticImages, StaticImages]:
    """Images that train the teacher, and those that choose its epoch: paired with validation recordings, or a tenth."""
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


def check_losses(recipe: Recipe, dataset: Dataset, spec: MethodSpec, student: Student, teacher: Teacher | None) -> None:
    """Raises UserError where a term cannot act on these networks, which need not be trained yet."""
    sizes = _sizes(recipe, dataset, student, teacher if uses_teacher(spec) else None)
    with torch.random.fork_rng(devices=[]):
        Objective(spec, sizes).check(sizes)


class StudentTask(TrainingTask):
    """A student under a plan's terms: what it sees of the recordings, of static images, and of what the teacher says.

    Rows are recordings here; a synthetic stream adds `synthesis.images_per_recording` images for each.
    """

    model: Student

    def __init__(
        self,
        recipe: Recipe,
        dataset: Dataset,
        student: Student,
        spec: MethodSpec,
        *,
        teacher: Teacher | None = None,
        synthesizer: EventSynthesizer | CachedViews | None = None,
        stage: str,
        epochs: int,
        lr: float,
        weight_decay: float,
        warmup_epochs: int,
        sections: tuple[str, ...],
        samples: int | None = None,
        batch: int | None = None,
    ) -> None:
        super().__init__(
            student,
            stage=stage,
            samples=samples or len(dataset.train.labels),
            batch=batch or recipe.training.batch,
            epochs=epochs,
            lr=lr,
            weight_decay=weight_decay,
            warmup_epochs=warmup_epochs,
            seed=recipe.seed,
            identity=identity_of(recipe, dataset, *sections),
            ema_decay=recipe.training.ema_decay,
        )
        if not uses_teacher(spec):
            teacher = None
        elif teacher is None:
            raise UserError(f"{stage} needs a teacher", where="distillation.method", hint=NO_TEACHER)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(recipe.seed, "objective"))
            self.objective = Objective(spec, _sizes(recipe, dataset, student, teacher))
        self.recipe, self.validation = recipe, dataset.validation
        self.streams = Streams(recipe, dataset, synthesizer)
        # In a tuple, so that it is no part of what is trained and saved.
        self._teacher = (None if teacher is None else teacher.eval(),)

    def loss(self, rows: Tensor, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        loss = self.objective(self.step(rows, index))
        return loss.total, loss.parts

    def step(self, rows: Tensor, index: int) -> StepInputs:
        """What the objective sees of these rows."""
        progress = self.progress_at(index)
        return observe(
            self.model,
            self.clips(rows, index, progress),
            self.objective,
            self._teacher[0],
            progress,
            self.draws(index, "terms"),
        )

    def clips(self, rows: Tensor, index: int, progress: float) -> dict[str, Clip]:
        """The streams' inputs for these rows."""
        clips = {"event": self.events(rows, index, progress)}
        if "hybrid" in self.objective.streams:
            clips["hybrid"] = self.streams.hybrid(clips["event"], progress, lambda what: self.draws(index, what))
        if "synthetic" in self.objective.streams:
            count = max(1, round(self.recipe.synthesis.images_per_recording * len(rows)))
            clips["synthetic"] = self.synthetic(
                self.some(count, len(self.streams.static.labels), index, _SYNTHETIC_ROWS), index
            )
        return clips

    def events(self, rows: Tensor, index: int, progress: float) -> Clip:
        """These recordings."""
        images = self.objective.needs_teacher("event", progress)
        return self.streams.events(rows, lambda what: self.draws(index, what), self.device, images=images)

    def synthetic(self, rows: Tensor, index: int) -> Clip:
        """These static images, as events."""
        return self.streams.synthetic(rows, lambda what: self.draws(index, what), self.device)

    def draws(self, index: int, what: str) -> torch.Generator:
        """The generator of one purpose of batch `index` of this epoch."""
        return self.generator(what, self.current_epoch, index)

    def some(self, count: int, of: int, index: int, what: str) -> Tensor:
        """`count` row numbers below `of`, drawn with replacement."""
        return torch.randint(of, (count,), generator=self.draws(index, what))

    def score(self, model: nn.Module) -> float | None:
        assert isinstance(model, Student)
        if not len(self.validation.labels):
            return None
        seen = run_student(model, self.validation.frames)
        answers = compare_with_labels(self.validation.labels, classify(seen.spikes))
        self.silent, self.signs = answers.silent_count, {"rates": seen.rates}
        return float(np.mean(answers.correct))


class PretrainTask(StudentTask):
    """Pretraining on synthetic events of static images: rows are images here. `recordings` of each batch are real
    ones, beside the image that they were made from; they count as one image each."""

    recordings = 0

    def draws(self, index: int, what: str) -> torch.Generator:
        # Other numbers than those of the stage "pretrain". A part of the derived seed: keep the text as it is.
        return super().draws(index, f"{what}, camera" if self.stage == "simulator" else what)

    def clips(self, rows: Tensor, index: int, progress: float) -> dict[str, Clip]:
        images, known = self.synthetic(rows, index), len(self.streams.labels)
        if not self.recordings or not known:
            return {"synthetic": images}
        drawn = self.some(-(-self.recordings // self.parts), known, index, "recordings")
        real = self.streams.events(drawn, lambda what: self.draws(index, what), self.device, images=True)
        return {"synthetic": joined(images, real)}


class QatTask(PretrainTask):
    """The same for tuning: each row stands for an image drawn at random."""

    def synthetic(self, rows: Tensor, index: int) -> Clip:
        return super().synthetic(self.some(len(rows), len(self.streams.static.labels), index, _SYNTHETIC_ROWS), index)


def _sizes(recipe: Recipe, dataset: Dataset, student: Student, teacher: Teacher | None) -> Sizes:
    steps, *shape = dataset.test.frames.shape[1:]
    seen = student_sizes(student, tuple(shape))
    known = None
    if teacher is not None:
        known = teacher_sizes(teacher, (3 if teacher.input_kind == "images" else shape[0], shape[1], shape[2]))
    return Sizes(
        steps=steps,
        classes=len(dataset.classes),
        v_threshold=recipe.student.v_threshold,
        student_map=seen.maps,
        student_embedding=seen.embedding,
        teacher_map=known.maps if known else None,
        teacher_embedding=known.embedding if known else None,
    )
