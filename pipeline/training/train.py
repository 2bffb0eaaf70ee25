"""Training of teachers, translators and students, each from a recipe and a data set."""

from __future__ import annotations

from pathlib import Path

import torch

from spikeport.errors import UserError
from spikeport.pipeline.data.dataset import Dataset
from spikeport.pipeline.data.event_synthesis.cached_views import CachedViews, EventSynthesizer
from spikeport.pipeline.data.event_synthesis.motion import Motion
from spikeport.pipeline.data.event_synthesis.motion_fit import MotionFit
from spikeport.pipeline.data.event_synthesis.statistics import FEWEST
from spikeport.pipeline.data.event_synthesis.translator import Translator
from spikeport.pipeline.data.images.resize import resize_to
from spikeport.pipeline.distillation.auto_candidates import candidate_recipes
from spikeport.pipeline.distillation.initialize import initialize_from_teacher
from spikeport.pipeline.distillation.method_spec import method_spec
from spikeport.pipeline.distillation.streams import NO_TEACHER
from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.models.students.build import build_student
from spikeport.pipeline.models.teachers.base import Teacher
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.sections.training import EPOCHS_KEYS
from spikeport.pipeline.run.seeding import derived_seed
from spikeport.pipeline.training.first_weights import start_student
from spikeport.pipeline.training.fit import fit
from spikeport.pipeline.training.steps import epochs_on_recordings
from spikeport.pipeline.training.student_task import StudentTask, check_losses
from spikeport.pipeline.training.teacher_task import TeacherTask
from spikeport.pipeline.training.unpaired_task import translator_task
from spikeport.progress import NamedProgress

FITTED_IMAGES, FITTED_RECORDINGS = 32, 256  # that the motion is fitted with


def train_teacher(
    recipe: Recipe,
    dataset: Dataset,
    folder: Path,
    progress: NamedProgress | None = None,
    metrics: Path | None = None,
) -> Teacher:
    """Trains a teacher on the static images.

    Its epoch is chosen by the accuracy on the paired images of the validation recordings, or, where there are none, on
    a tenth of the images, which it is not trained on.

    Args:
        recipe: the recipe.
        dataset: the data set.
        folder: where the checkpoint is; a training that was stopped is resumed from it.
        progress: called as (steps done, steps in all, stage).
        metrics: file of the log; None: metrics.jsonl in `folder`.

    Returns:
        The teacher, `[B, 3, H, W]` in 0..1 to logits `[B, K]`, on the CPU in eval mode.

    Raises:
        UserError: there is no static image, or a loss of the recipe cannot act on these networks.
    """
    if not len(dataset.static.labels):
        raise UserError("the data set has no static images to train a teacher on", where="data", hint=NO_TEACHER)
    task = TeacherTask(recipe, dataset)
    teacher = task.model.eval()
    for each in candidate_recipes(recipe):  # a loss that cannot act fails before the teacher is trained
        for method in each.methods:
            spec = method_spec(each.distillation, method)
            check_losses(each, dataset, spec, initial_student(each, dataset, teacher), teacher)
    teacher.train()
    fit(task, folder, recipe.training, progress=progress, metrics=metrics)
    return task.model


def train_translator(
    recipe: Recipe,
    dataset: Dataset,
    folder: Path,
    progress: NamedProgress | None = None,
    metrics: Path | None = None,
) -> Translator:
    """Trains a translator from images to events on the training recordings.

    Where the image of each recording is known, it learns from these pairs, else from images of the same classes.

    Args:
        recipe: the recipe.
        dataset: the data set.
        folder: folder of the checkpoints.
        progress: called with (parts done, parts in all, what is done).
        metrics: file of the log; None: metrics.jsonl in `folder`.

    Returns:
        The translator, on the CPU in eval mode.

    Raises:
        UserError: there are no recordings, or a class of theirs has no image.
    """
    task = translator_task(recipe, dataset)
    fit(task, folder, recipe.training, progress=progress, metrics=metrics)
    return task.model


def fit_motion(
    recipe: Recipe, dataset: Dataset, folder: Path, progress: NamedProgress | None = None
) -> tuple[Motion, dict[str, float]]:
    """Fits the motion of a simulated camera to the training recordings, without their labels.

    Args:
        recipe: the recipe.
        dataset: the data set.
        folder: where the checkpoint is.
        progress: called with (generations done, generations in all, what is done).

    Returns:
        The motion, with more variety where recordings are few (`Motion.widened`), and the distance of its events from
        the recordings before that, by group of statistics, with other random numbers than those of the fit.

    Raises:
        UserError: there are too few recordings, or no images.
    """
    count, known = len(dataset.static.labels), len(dataset.train.labels)
    if not count or known < FEWEST:
        raise UserError(
            f"a motion is fitted to {FEWEST} or more training recordings and to static images; there are {known} and "
            f"{count}", where="synthesis.kind", hint='use synthesis.kind = "simulator", which needs no recording',
        )  # fmt: skip
    draws = torch.Generator().manual_seed(derived_seed(recipe.seed, "motion"))
    rows = torch.randperm(count, generator=draws)[:FITTED_IMAGES].numpy()
    frames = dataset.train.frames[torch.randperm(known, generator=draws)[:FITTED_RECORDINGS].numpy()]
    images = torch.from_numpy(resize_to(dataset.static.images[rows], *frames.shape[3:]))
    generations, checkpoint = recipe.synthesis.motion_generations, folder / "costs.json"
    fit = MotionFit(images, frames, generations, recipe.seed, progress, checkpoint)
    motion = fit.motion()
    return motion.widened(len(frames), min(frames.shape[3:])), fit.distances(motion, seed=100)


def train_student(
    recipe: Recipe,
    dataset: Dataset,
    teacher: Teacher | None,
    method: str,
    folder: Path,
    progress: NamedProgress | None = None,
    metrics: Path | None = None,
    *,
    synthesizer: EventSynthesizer | CachedViews | None = None,
    pretrained: Student | None = None,
    stage: str = "",
) -> Student:
    """Trains a student in float on the recordings.

    All methods begin with the same weights and get the same shuffles and augmentation, so that they can be compared.
    The epoch is chosen by the accuracy on the validation recordings; without any, the last one is kept.

    Args:
        recipe: the recipe.
        dataset: the data set.
        teacher: the teacher; None for methods without one.
        method: a name of `METHODS`.
        folder: where the checkpoint is.
        progress: called as (steps done, steps in all, stage).
        metrics: file of the log; None: metrics.jsonl in `folder`.
        synthesizer: renders events of static images; None for methods without synthetic events.
        pretrained: a pretrained student, which is trained for `synthesis.finetune_epochs`; None: a new one, for
            `training.epochs`; both for more epochs where `training.min_steps` takes more.

    Returns:
        The student, on the CPU in eval mode.

    Raises:
        UserError: there are no recordings, or the method needs a teacher and there is none.
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
        stage=stage or f"student-{method}",
        epochs=epochs_on_recordings(recipe, len(dataset.train.labels), pretrained=pretrained is not None),
        lr=recipe.training.lr if pretrained is None else recipe.synthesis.finetune_lr,
        weight_decay=recipe.training.weight_decay,
        warmup_epochs=recipe.training.warmup_epochs if pretrained is None else 0,
        sections=("student", "training", "augmentation", "distillation", "synthesis"),
        epochs_key=EPOCHS_KEYS["student" if pretrained is None else "pretrained student"],
    )
    fit(task, folder, recipe.training, progress=progress, metrics=metrics, score_start=pretrained is not None)
    if teacher is not None:
        teacher.to("cpu")  # it was on the student's device during training
    return task.model


def initial_student(recipe: Recipe, dataset: Dataset, teacher: Teacher | None = None) -> Student:
    """The student of a recipe and its seed before training.

    Args:
        recipe: the recipe.
        dataset: the data set.
        teacher: the teacher, whose weights `distillation.initialize` copies; None if there is none.

    Raises:
        UserError: the recipe copies weights of a teacher, and there is no teacher; or those of a run do not fit.
    """
    student = new_student(recipe, dataset)
    if recipe.distillation.initialize:
        if teacher is None:
            raise UserError(
                "the initial weights come from a teacher, and the method has none",
                where="distillation.initialize",
                hint=NO_TEACHER,
            )
        initialize_from_teacher(student, teacher)
    return student


def new_student(recipe: Recipe, dataset: Dataset) -> Student:
    """The student of a recipe with the weights of its seed, or of the run that it starts from.

    Args:
        recipe: the recipe.
        dataset: the data set.

    Raises:
        UserError: the weights of that run do not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(recipe.seed, "student"))
        student = build_student(
            recipe.student,
            dataset.train.frames.shape[2:],
            len(dataset.classes),
            shared_head=recipe.distillation.shared_head,
        )
    start_student(student, recipe, dataset.classes)
    return student
