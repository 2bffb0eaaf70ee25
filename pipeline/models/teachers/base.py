"""What every kind of teacher consists of: a torch module, and an entry of the table.

How to add a teacher: write a module in this folder with a subclass of `TeacherNetwork`, whose `build` returns a
`Teacher` (`CnnTeacher` for features, pool and head in a row), and add one line to `TEACHERS` in
`pipeline.models.teachers.build`.

A teacher from outside the package needs no line: `teacher.network = "package.module:factory"` names a function of
(input_shape, classes) that returns a torch module, or a `Teacher`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from spikeport.pipeline.run.sections.networks import Teacher as TeacherRecipe
from spikeport.values import ImageShape

Sides = tuple[int, int]
WHERE = "teacher.network"


@dataclass(frozen=True)
class TeacherOutput:
    """The result of one forward pass. The tensors of a teacher of events have a leading axis T.

    Attributes:
        logits: `[B, K]`.
        maps: `[B, C, H, W]`, its last feature maps, None if it has none.
        embedding: `[B, D]`, the input of its classifier, None if it has none.
        stages: `[B, C, H, W]` each, what its stages give, in order; None if they are not known.
    """

    logits: Tensor
    maps: Tensor | None = None
    embedding: Tensor | None = None
    stages: tuple[Tensor, ...] | None = None


class Teacher(nn.Module):
    """A teacher network. A subclass has `forward_features`, and `classifier` if it has a classifier.

    Attributes:
        input_kind: "images" `[B, 3, H, W]`, float in 0..1, or "events", the student's frames `[T, B, C, H, W]`.
        trainable: whether it can be trained.
        prefixes: pairs of what keys begin with in weight files of other libraries, and here.
    """

    input_kind: ClassVar[Literal["images", "events"]] = "images"
    trainable: ClassVar[bool] = True
    prefixes: ClassVar[tuple[tuple[str, str], ...]] = ()

    def forward_features(self, images: Tensor) -> TeacherOutput:
        """Computes logits, maps and embedding, in the mode of the module and with a gradient.

        Args:
            images: `[B, 3, H, W]` in 0..1, or frames `[T, B, 2, H, W]`, see `input_kind`.
        """
        raise NotImplementedError

    def classifier(self) -> nn.Module | None:
        """The module from embedding to logits, None if it has none or hides it."""
        return None

    def behind(self, stage: int) -> nn.Module | None:
        """The modules from what a stage gives to the logits, None if its stages are not known.

        Args:
            stage: place of the stage in `TeacherOutput.stages`.
        """
        return None

    def forward(self, images: Tensor) -> Tensor:
        """Computes the logits only, for training and export.

        Args:
            images: as for `forward_features`.
        """
        return self.forward_features(images).logits

    def predict(self, images: Tensor) -> TeacherOutput:
        """As `forward_features`, without a gradient and in eval mode, so that no buffer changes.

        Args:
            images: as for `forward_features`.
        """
        with torch.no_grad(), _in_eval_mode(self):
            return self.forward_features(images)

    @property
    def classify(self) -> Callable[[Tensor], Tensor] | None:
        """The frozen classifier on any embedding `[..., D]`: a gradient reaches the embedding, not the weights. None
        if there is no classifier."""
        head = self.classifier()
        return None if head is None else partial(_frozen, head)

    @property
    def tail(self) -> Callable[[int, Tensor], Tensor] | None:
        """The frozen rest of the network, from a stage and any `[N, C, H, W]` of the shape that the stage gives to
        logits `[N, K]`: a gradient reaches these maps, not the weights, and no buffer changes. None if its stages are
        not known."""
        return None if self.behind(0) is None else self._tail

    def _tail(self, stage: int, maps: Tensor) -> Tensor:
        rest = self.behind(stage)
        assert rest is not None  # as asked in `tail`
        return _frozen(rest, maps)

    @property
    def head_weight(self) -> Tensor | None:
        """Weights `[K, D]` of a linear classifier, without a gradient; None for any other."""
        head = self.classifier()
        return head.weight.detach() if isinstance(head, nn.Linear) else None


class Preparation(nn.Module):
    """Resizes images to `sides` (bilinear) if they have another size, then computes `(images - mean) / std`.

    Nothing of it is saved with the weights.

    Args:
        sides: height and width, None keeps the size.
        mean: of each channel, empty for 0.
        std: of each channel, empty for 1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, sides: Sides | None, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.sides = sides
        self.register_buffer("mean", torch.tensor(mean or (0.0,)).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std or (1.0,)).view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Resizes and normalizes images.

        Args:
            images: `[B, 3, h, w]` in 0..1.

        Returns:
            `[B, 3, H, W]`.
        """
        found = (images.shape[-2], images.shape[-1])
        if self.sides and found != self.sides:
            smaller = found[0] > self.sides[0] or found[1] > self.sides[1]
            images = nn.functional.interpolate(images, self.sides, mode="bilinear", antialias=smaller)
        return (images - self.mean) / self.std


class TeacherNetwork(ABC):
    """An entry of `TEACHERS` or `EXTERNAL_TEACHERS`.

    Attributes:
        summary: one line for the table of teachers.
        trained: whether it is trained here, or brings its weights.
    """

    summary: str
    trained: bool = True

    @abstractmethod
    def build(self, recipe: TeacherRecipe, input_shape: ImageShape, classes: int) -> Teacher:
        """The teacher with fresh weights from torch's global generator, or those that it brings.

        Args:
            recipe: `[teacher]`.
            input_shape: `(3, H, W)` of the images that it is built for.
            classes: number of classes K.

        Raises:
            UserError: it cannot be built, or not for such images.
        """

    def image_shape(self, recipe: TeacherRecipe, frame: ImageShape) -> ImageShape:
        """Shape of the images that the teacher is built for. Other images are resized to it.

        Args:
            recipe: `[teacher]`.
            frame: `(3, H, W)` with the size of the frames.

        Returns:
            `(3, size, size)` with `teacher.size`, else `frame`.
        """
        return (frame[0], recipe.size, recipe.size) if recipe.size else frame

    @abstractmethod
    def check(self, recipe: TeacherRecipe, input_shape: ImageShape | None) -> None:
        """Checks that the teacher can be built.

        Args:
            recipe: `[teacher]`.
            input_shape: `(3, H, W)` of the images; None if their size is not known yet.

        Raises:
            UserError: it cannot be built.
        """


def _frozen(head: nn.Module, embedding: Tensor) -> Tensor:
    weights = {name: tensor.detach() for name, tensor in head.state_dict(keep_vars=True).items()}
    with _in_eval_mode(head):
        return functional_call(head, weights, (embedding,))


@contextmanager
def _in_eval_mode(module: nn.Module) -> Iterator[None]:
    modes = [(each, each.training) for each in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for each, training in modes:
            each.training = training
