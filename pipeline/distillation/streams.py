"""What a training step shows: recordings, the hybrid stream, synthetic events, and what the teacher says.

Every draw comes from a generator that is known by (seed, purpose, epoch, batch), see `spikeport.pipeline.training.fit`.
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
    """A stream before the student sees it: `frames` `[T, B, 2, H, W]`, `labels` `[B]`, and `images` `[B, 3, H, W]` that
    tell a teacher what they show (None where there are none)."""

    frames: Tensor
    labels: Tensor
    images: Tensor | None = None
    replaced: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)


def joined(first: Clip, second: Clip) -> Clip:
    """Both clips' samples in one, each with the image that tells a teacher what it shows."""
    assert first.images is not None
    assert second.images is not None
    return Clip(
        frames=concat_batch([first.frames, second.frames]),
        labels=torch.cat([first.labels, second.labels]),
        images=torch.cat([first.images, second.images]),
    )


class Streams:
    """Makes clips of the training recordings and of the static pool."""

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
        """The static images by class; raises UserError where a class of the recordings has none."""
        if self._pool is None:
            self._pool = StaticPool(self.static, self.classes, self.labels.numpy())
        return self._pool

    def events(self, rows: Tensor, draws: Draws, device: torch.device, *, images: bool = False) -> Clip:
        """The recordings of these rows, augmented; with `images`, the ones that they were made from, or, where pairs
        are known by class only, images of the same class."""
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
            frames=as_input(augment(frames, self.recipe.augmentation, draws("augmentation"), labels)),
            labels=labels.to(device),
            images=inputs,
        )

    def hybrid(self, events: Clip, progress: float, draws: Draws) -> Clip:
        """A static image of the same class beside each recording, and sliding replacement by the recording."""
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
        """The static images of these rows as events; each time others where none are kept, so that no augmentation is
        needed."""
        images, frames = self._synthesize(rows, draws(_SYNTHETIC_SEED), draws(_AFFINE_SEED), device)
        labels = torch.from_numpy(self.static.labels[rows.numpy()]).to(device)
        return Clip(frames=frames, labels=labels, images=images)

    def _synthesize(
        self, rows: Tensor, seen: torch.Generator, warps: torch.Generator | None, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        """The static images of these rows as a teacher sees them, and as events. Kept views were warped in any case."""
        if self.synthesizer is None:
            raise UserError("there is no synthesis of events from images", where="distillation")
        if isinstance(self.synthesizer, CachedViews):
            return self.synthesizer.sample(rows, seen, device)
        images = self._rgb(self.static.images[rows.numpy()], device)
        if warps is not None:
            images = random_affine(images, self.recipe.synthesis.affine, warps)
        return images, self.synthesizer.render(images, seen)

    def _rgb(self, images: np.ndarray, device: torch.device) -> Tensor:
        return torch.from_numpy(resize_to(images, *self.size)).to(device)


class StaticPool:
    """The static images by class, for drawing one of the same class for each recording."""

    def __init__(self, static: StaticImages, classes: tuple[str, ...], wanted: np.ndarray) -> None:
        numbers = np.arange(len(classes))
        self.order = np.argsort(static.labels, kind="stable")
        self.starts = np.searchsorted(static.labels[self.order], numbers)
        self.counts = np.bincount(static.labels, minlength=len(classes))
        for label in np.unique(wanted):
            if not self.counts[label]:
                raise UserError(f"class {classes[label]!r} has no static image", where="data", hint=NO_TEACHER)

    def draw(self, labels: np.ndarray, generator: torch.Generator) -> np.ndarray:
        """The row of an image of the same class for each label, uniformly."""
        shares = torch.rand(len(labels), generator=generator, dtype=torch.float64).numpy()
        places = (shares * self.counts[labels]).astype(np.int64)
        return self.order[self.starts[labels] + places]


def observe(
    student: Student,
    clips: dict[str, Clip],
    objective: Objective,
    teacher: Teacher | None,
    progress: float,
    generator: torch.Generator,
) -> StepInputs:
    """The student's streams on these clips, each under what the teacher says where a term asks for it now.

    The hybrid stream goes first, by its own head; recordings and synthetic events go together, as one batch: batch
    norm's running statistics follow in this order.
    """
    groups: list[tuple[Head, list[str]]] = [("static", [name for name in clips if name == "hybrid"])]
    groups.append(("event", [name for name in clips if name != "hybrid"]))
    streams = {}
    for head, names in groups:
        if not names:
            continue
        output = student(concat_batch([clips[name].frames for name in names]), head=head)
        views = {kind: _apart(getattr(output, kind), [len(clips[name]) for name in names]) for kind in VIEWS}
        for at, name in enumerate(names):
            clip = clips[name]
            taught = objective.needs_teacher(name, progress)
            streams[name] = Stream(
                labels=clip.labels,
                replaced=clip.replaced,
                teacher=_teach(teacher, clip) if taught else None,
                **{kind: parts[at] for kind, parts in views.items()},
            )
    return StepInputs(streams=streams, progress=progress, generator=generator)


def _apart(values: Tensor | None, sizes: list[int]) -> Sequence[Any]:
    return [None] * len(sizes) if values is None else values.split(sizes, dim=1)


def _teach(teacher: Teacher | None, clip: Clip) -> TeacherTargets:
    if teacher is None:
        raise UserError("this method needs a teacher", where="distillation.method", hint=NO_TEACHER)
    inputs = clip.frames if teacher.input_kind == "events" else clip.images
    if inputs is None:
        raise UserError("there are no images for the teacher", where="distillation.method", hint=NO_TEACHER)
    seen = teacher.to(inputs.device).predict(inputs)
    return TeacherTargets(
        logits=seen.logits,
        maps=seen.maps,
        embedding=seen.embedding,
        head=teacher.classify,
        head_weight=teacher.head_weight,
    )
