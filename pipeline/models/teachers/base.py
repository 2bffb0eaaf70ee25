"""What every teacher offers, whatever it is made of: logits, and where it has them, feature maps and an embedding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

Sides = tuple[int, int]


@dataclass(frozen=True)
class TeacherOutput:
    """What a teacher makes of images (a leading T from one that sees events).

    `logits` `[B, K]`; `maps` `[B, C, H, W]`: its last feature maps; `embedding` `[B, D]`: what its head sees. None
    where it has no such thing.
    """

    logits: Tensor
    maps: Tensor | None = None
    embedding: Tensor | None = None


class Teacher(nn.Module):
    """The interface. A kind of teacher is a subclass with `forward_features`, and `classifier` where it has one.

    `input_kind`: "images" `[B, 3, H, W]` float in 0..1, or "events" as the student sees them, `[T, B, C, H, W]`.
    `trainable`: whether epochs mean anything to it. `prefixes`: what the keys of a weight file from elsewhere begin
    with, and what that is here.
    """

    input_kind: ClassVar[Literal["images", "events"]] = "images"
    trainable: ClassVar[bool] = True
    prefixes: ClassVar[tuple[tuple[str, str], ...]] = ()

    def forward_features(self, images: Tensor) -> TeacherOutput:
        """All parts, in the module's own mode and with a gradient."""
        raise NotImplementedError

    def classifier(self) -> nn.Module | None:
        """The module from embedding to logits, None where there is none to be seen."""
        return None

    def forward(self, images: Tensor) -> Tensor:
        """Logits alone: what trains the teacher, and what is exported."""
        return self.forward_features(images).logits

    def predict(self, images: Tensor) -> TeacherOutput:
        """All parts, without a gradient and in eval mode whatever mode the module is in: no buffer moves."""
        with torch.no_grad(), _in_eval_mode(self):
            return self.forward_features(images)

    @property
    def classify(self) -> Callable[[Tensor], Tensor] | None:
        """The classifier on any embedding `[..., D]`, frozen: a gradient reaches the embedding and never the weights.
        None where there is no classifier."""
        head = self.classifier()
        return None if head is None else partial(_frozen, head)

    @property
    def head_weight(self) -> Tensor | None:
        """`[K, D]` of a linear classifier, without a gradient; None for any other."""
        head = self.classifier()
        return head.weight.detach() if isinstance(head, nn.Linear) else None


class Preparation(nn.Module):
    """Images as a network wants them: resized to `sides` (bilinear) where they are of another size, then
    `(images - mean) / std` by channel. Nothing of it is saved with the weights."""

    mean: Tensor
    std: Tensor

    def __init__(self, sides: Sides | None, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.sides = sides
        self.register_buffer("mean", torch.tensor(mean or (0.0,)).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std or (1.0,)).view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """`[B, 3, h, w]` to `[B, 3, H, W]`."""
        found = (images.shape[-2], images.shape[-1])
        if self.sides and found != self.sides:
            smaller = found[0] > self.sides[0] or found[1] > self.sides[1]
            images = nn.functional.interpolate(images, self.sides, mode="bilinear", antialias=smaller)
        return (images - self.mean) / self.std


class CnnTeacher(Teacher):
    """Three parts in a row: `features` (images to maps), `pool` (maps to embedding), `head` (embedding to logits)."""

    # As torchvision and timm name a ResNet's parts.
    prefixes = (("fc.", "head."), ("", "features."))

    def __init__(self, features: nn.Module, pool: nn.Module, head: nn.Module, prepare: nn.Module | None = None) -> None:
        super().__init__()
        self.prepare = prepare or nn.Identity()
        self.features, self.pool, self.head = features, pool, head

    def forward_features(self, images: Tensor) -> TeacherOutput:
        maps = self.features(self.prepare(images))
        embedding = self.pool(maps)
        return TeacherOutput(self.head(embedding), maps, embedding)

    def classifier(self) -> nn.Module:
        return self.head


def _frozen(head: nn.Module, embedding: Tensor) -> Tensor:
    weights = {name: tensor.detach() for name, tensor in head.state_dict(keep_vars=True).items()}
    with _in_eval_mode(head):
        return functional_call(head, weights, (embedding,))


@contextmanager
def _in_eval_mode(module: nn.Module) -> Iterator[None]:
    training = module.training
    if training:
        module.eval()
    try:
        yield
    finally:
        if training:
            module.train()
