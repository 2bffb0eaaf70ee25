"""The streams of a training step: recordings, the hybrid stream and synthetic events, with the teacher's targets.

All random numbers come from generators that belong to (seed, purpose, epoch, batch), see `pipeline.training.task`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikeport.errors import UserError
from spikeport.pipeline.data.augmentation.augment import augment
from spikeport.pipeline.data.dataset import Dataset, StaticImages
from spikeport.pipeline.data.event_synthesis.cached_views import CachedViews, EventSynthesizer
from spikeport.pipeline.data.frames.inputs import as_input, concat_batch
from spikeport.pipeline.data.images.affine import random_affine
from spikeport.pipeline.data.images.resize import resize_to, value_channel
from spikeport.pipeline.distillation.initialize import weight_pairs
from spikeport.pipeline.distillation.losses.base import StepInputs, Stream, TeacherTargets
from spikeport.pipeline.distillation.objective import Objective
from spikeport.pipeline.distillation.replacement import sliding_replacement, static_clip
from spikeport.pipeline.models.students.base import Head, Student
from spikeport.pipeline.models.teachers.base import Teacher
from spikeport.pipeline.run.recipe import Recipe

NO_TEACHER = 'train without one: distillation.method = "baseline"'
VIEWS = ("logits", "features", "maps", "embedding")  # of a student's output, each [T, B, ...]
# Purposes that seeds are derived from: another word would draw other numbers.
_HYBRID_SEED, _SYNTHETIC_SEED, _AFFINE_SEED = "hybrid bridge", "bridge", "warp"
Draws = Callable[[str], torch.Generator]  # a fresh generator for one purpose of this batch


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A batch of one stream, input of the student and the teacher.

    Attributes:
        frames: `[T, B, 2, H, W]`.
        labels: int64 `[B]`.
        images: `[B, 3, H, W]` in 0..1, the images that belong to the frames; None where there are none.
        replaced: bool `[T, B]`, frames of a hybrid stream that are events; None for other streams.
    """

    frames: Tensor
    labels: Tensor
    images: Tensor | None = None
    replaced: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)


def concat_clips(first: Clip, second: Clip) -> Clip:
    """Concatenates two clips with images.

    Args:
        first: samples of the new clip that come first.
        second: the other samples.
    """
    assert first.images is not None
    assert second.images is not None
    return Clip(
        frames=concat_batch([first.frames, second.frames]),
        labels=torch.cat([first.labels, second.labels]),
        images=torch.cat([first.images, second.images]),
    )


class Streams:
    """Makes clips of the training recordings and of the static images.

    Args:
        recipe: the recipe.
        dataset: recordings and static images.
        synthesizer: renders events of static images; None where no stream needs it.
    """

    def __init__(self, recipe: Recipe, dataset: Dataset, synthesizer: EventSynthesizer | CachedViews | None) -> None:
        self.recipe, self.synthesizer = recipe, synthesizer
        self.frames, self.labels = dataset.train.frames, torch.from_numpy(dataset.train.labels)
        self.size = dataset.train.frames.shape[3:]
        self.paired_images = dataset.train.paired_images
        self.static = dataset.static
        self.classes = dataset.classes
        self._pool: StaticPool | None = None

    @property
    def pool(self) -> StaticPool:
        """The static images by class. Raises UserError if a class of the recordings has none."""
        if self._pool is None:
            self._pool = StaticPool(self.static, self.classes, self.labels.numpy())
        return self._pool

    def events(self, rows: Tensor, draws: Draws, device: torch.device, *, images: bool = False) -> Clip:
        """A clip of recordings, augmented.

        Args:
            rows: their row numbers `[B]`.
            draws: gives the generator for a purpose.
            device: where the clip is needed.
            images: whether the clip has images: those that the recordings were made from, or, where pairs are known by
                class only, images of the same class.
        """
        frames = torch.from_numpy(self.frames[rows.numpy()]).to(device).transpose(0, 1)  # bytes: a quarter to move
        inputs = None
        if images:
            classes = self.labels[rows].numpy()
            if self.paired_images is None:
                inputs = self._rgb(self.static.images[self.pool.draw(classes, draws("images"))], device)
            else:
                inputs = self._rgb(self.paired_images.images[rows.numpy()], device)
        labels = self.labels[rows]
        return Clip(
            frames=as_input(
                augment(
                    frames, self.recipe.augmentation, draws("augmentation"), labels, counts=self.recipe.data.counts > 0
                )
            ),
            labels=labels.to(device),
            images=inputs,
        )

    def hybrid(self, events: Clip, progress: float, draws: Draws) -> Clip:
        """The hybrid clip: static images of the same classes as `events`, replaced by sliding replacement.

        Args:
            events: the clip of the recordings.
            progress: share of the training that is over.
            draws: gives the generator for a purpose.
        """
        settings, device = self.recipe.distillation, events.frames.device
        rows = self.pool.draw(events.labels.cpu().numpy(), draws("pairs"))
        if settings.static == "synthetic":
            images, clip = self._synthesize(torch.from_numpy(rows), draws(_HYBRID_SEED), None, device)
        else:
            images = self._rgb(self.static.images[rows], device)
            clip = static_clip(value_channel(images), len(events.frames))
        unit = settings.replacement_unit
        frames, replaced = sliding_replacement(
            clip,
            events.frames,
            0.0 if unit == "never" else progress,
            generator=draws("replacement"),
            power=settings.replacement_power,
            unit="clip" if unit == "never" else unit,
        )
        return Clip(frames=frames, labels=events.labels, images=images, replaced=replaced)

    def synthetic(self, rows: Tensor, draws: Draws, device: torch.device) -> Clip:
        """A clip of synthetic events of static images.

        They are rendered anew each time, or sampled from cached views, and not augmented otherwise.

        Args:
            rows: row numbers of the images `[B]`.
            draws: gives the generator for a purpose.
            device: where the clip is needed.
        """
        images, frames = self._synthesize(rows, draws(_SYNTHETIC_SEED), draws(_AFFINE_SEED), device)
        labels = torch.from_numpy(self.static.labels[rows.numpy()]).to(device)
        return Clip(frames=frames, labels=labels, images=images)

    def _synthesize(
        self, rows: Tensor, rendering: torch.Generator, affine: torch.Generator | None, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        """The images `[B, 3, H, W]` of these rows and their events `[T, B, 2, H, W]`. No `affine`: not warped."""
        if self.synthesizer is None:
            raise UserError("no event synthesizer was given", where="distillation")
        if isinstance(self.synthesizer, CachedViews):
            return self.synthesizer.sample(rows, rendering, device)
        images = self._rgb(self.static.images[rows.numpy()], device)
        if affine is not None:
            images = random_affine(images, self.recipe.synthesis.affine, affine)
        return images, self.synthesizer.render(images, rendering)

    def _rgb(self, images: np.ndarray, device: torch.device) -> Tensor:
        return torch.from_numpy(resize_to(images, *self.size)).to(device)


class StaticPool:
    """The static images by class, from which an image of the class of each recording is drawn.

    Args:
        static: the images.
        classes: names of the classes.
        wanted: labels of the recordings.

    Raises:
        UserError: a class of the recordings has no image.
    """

    def __init__(self, static: StaticImages, classes: tuple[str, ...], wanted: np.ndarray) -> None:
        numbers = np.arange(len(classes))
        self.order = np.argsort(static.labels, kind="stable")
        self.starts = np.searchsorted(static.labels[self.order], numbers)
        self.counts = np.bincount(static.labels, minlength=len(classes))
        for label in np.unique(wanted):
            if not self.counts[label]:
                raise UserError(f"class {classes[label]!r} has no static image", where="data", hint=NO_TEACHER)

    def draw(self, labels: np.ndarray, generator: torch.Generator) -> np.ndarray:
        """Draws an image of each class uniformly, with replacement.

        Args:
            labels: classes `[B]`.
            generator: random numbers, on the CPU.

        Returns:
            Row numbers of images `[B]`.
        """
        shares = torch.rand(len(labels), generator=generator, dtype=torch.float64).numpy()
        places = (shares * self.counts[labels]).astype(np.int64)
        return self.order[self.starts[labels] + places]


def run_streams(
    student: Student,
    clips: dict[str, Clip],
    objective: Objective,
    teacher: Teacher | None,
    progress: float,
    generator: torch.Generator,
) -> StepInputs:
    """Runs student and teacher on the clips of a step.

    The hybrid stream comes first, through its own head; recordings and synthetic events follow as one batch. The
    running statistics of batch norm depend on this order. The teacher runs on the streams whose losses need it now.

    Args:
        student: the student.
        clips: a batch for each stream.
        objective: the losses.
        teacher: the teacher; None for methods without one.
        progress: share of the training that is over.
        generator: source of random numbers for the losses.

    Raises:
        UserError: a loss needs the teacher, and there is no teacher or no image.
    """
    groups: list[tuple[Head, list[str]]] = [("static", [name for name in clips if name == "hybrid"])]
    groups.append(("event", [name for name in clips if name != "hybrid"]))
    streams = {}
    for head, names in groups:
        if not names:
            continue
        output = student(concat_batch([clips[name].frames for name in names]), head=head)
        counts = [len(clips[name]) for name in names]
        views = {kind: _split(getattr(output, kind), counts) for kind in VIEWS}
        stages = [_split(each, counts) for each in output.stages or ()]
        for at, name in enumerate(names):
            clip = clips[name]
            needs_teacher = objective.needs_teacher(name, progress)
            streams[name] = Stream(
                labels=clip.labels,
                replaced=clip.replaced,
                teacher=_targets(teacher, clip, student) if needs_teacher else None,
                stages=tuple(parts[at] for parts in stages) or None,
                **{kind: parts[at] for kind, parts in views.items()},
            )
    return StepInputs(streams=streams, progress=progress, generator=generator)


def _split(values: Tensor | None, sizes: list[int]) -> Sequence[Any]:
    return [None] * len(sizes) if values is None else values.split(sizes, dim=1)


def _targets(teacher: Teacher | None, clip: Clip, student: Student) -> TeacherTargets:
    if teacher is None:
        raise UserError("this method needs a teacher", where="distillation.method", hint=NO_TEACHER)
    inputs = clip.frames if teacher.input_kind == "events" else clip.images
    if inputs is None:
        raise UserError("the data set has no images for the teacher", where="distillation.method", hint=NO_TEACHER)
    output = teacher.to(inputs.device).predict(inputs)
    return TeacherTargets(
        logits=output.logits,
        maps=output.maps,
        embedding=output.embedding,
        head=teacher.classify,
        head_weight=teacher.head_weight,
        stages=output.stages,
        tail=teacher.tail,
        weight_pairs=weight_pairs(student, teacher),
    )
