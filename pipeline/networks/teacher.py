"""What every teacher offers, whatever it is made of: logits, and where it has them, feature maps and an embedding."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

PLAIN_MEAN, PLAIN_STD = (0.5, 0.5, 0.5), (1.0, 1.0, 1.0)


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
    """A network in three parts: `features` (images to maps), `pool` (maps to embedding), `head` (embedding to logits).

    Images come as `[B, 3, H, W]` float in 0..1 and are normalised inside: `(images - mean) / std` per channel.
    """

    sees: ClassVar[Literal["images", "events"]] = "images"
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        features: nn.Module,
        pool: nn.Module,
        head: nn.Module,
        *,
        mean: tuple[float, ...] = PLAIN_MEAN,
        std: tuple[float, ...] = PLAIN_STD,
    ) -> None:
        super().__init__()
        self.features, self.pool, self.head = features, pool, head
        # Not saved: they come from the recipe.
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits `[B, K]`, in the module's own mode and with a gradient: what trains the teacher."""
        return self.look(images).logits

    def look(self, images: Tensor) -> TeacherOutput:
        """All parts, as `forward` computes them."""
        maps = self.features((images - self.mean) / self.std)
        embedding = self.pool(maps)
        return TeacherOutput(self.head(embedding), maps, embedding)

    def observe(self, images: Tensor) -> TeacherOutput:
        """All parts, without a gradient and in eval mode whatever mode the module is in: no buffer moves."""
        with torch.no_grad(), _in_eval_mode(self):
            return self.look(images)

    def classify(self, embedding: Tensor) -> Tensor:
        """The head on any embedding `[..., D]`, frozen: a gradient reaches the embedding and never the head."""
        frozen = {name: tensor.detach() for name, tensor in self.head.state_dict(keep_vars=True).items()}
        with _in_eval_mode(self.head):
            return functional_call(self.head, frozen, (embedding,))

    @property
    def head_weight(self) -> Tensor | None:
        """`[K, D]` of a linear head, without a gradient; None for any other."""
        return self.head.weight.detach() if isinstance(self.head, nn.Linear) else None


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
