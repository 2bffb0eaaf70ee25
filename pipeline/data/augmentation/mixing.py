"""Mixes a box of one recording, in time and space, into another, in the manner of EventMix.

`augment` mixes recordings of one class, so that labels stay true. For recordings of two classes the caller mixes the
labels: (1 - share) of the own class and share of the partner's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spikeport.pipeline.data.augmentation.draws import uniform

LARGEST = 0.5  # of a recording, so that most of it remains


@dataclass(frozen=True)
class Boxes:
    """Boxes of a batch.

    Attributes:
        starts: int64 `[B, 3]`: first time step, row and column of each box.
        ends: int64 `[B, 3]`: one past the last.
    """

    starts: Tensor
    ends: Tensor


def partners_of_class(labels: Tensor, generator: torch.Generator) -> Tensor:
    """For each sample the index of a random sample of the same class, `[B]`; its own if it is the only one.

    Args:
        labels: classes `[B]`.
        generator: random numbers, on the CPU.
    """
    labels = labels.cpu()
    shuffled = torch.randperm(len(labels), generator=generator)
    by_class = shuffled[labels[shuffled].argsort(stable=True)]
    partners = torch.empty_like(by_class)
    start = 0
    for number in labels.bincount().tolist():
        mine = by_class[start : start + number]
        partners[mine] = mine.roll(1)
        start += number
    return partners


def draw_boxes(shape: torch.Size, chosen: Tensor, generator: torch.Generator) -> Boxes:
    """Draws a random box for each chosen sample, and an empty box for each other sample.

    The share of a box is uniform up to LARGEST. Its sides, which are the same share of their axes, are then rounded.

    Args:
        shape: `[T, B, C, H, W]` of the frames.
        chosen: bool `[B]`.
        generator: random numbers, on the CPU.
    """
    batch = shape[1]
    part = (LARGEST * uniform(batch, generator)) ** (1 / 3)
    sizes = torch.tensor([shape[0], shape[3], shape[4]])
    sides = (part[:, None] * sizes).round().to(torch.int64) * chosen[:, None]
    room = sizes - sides + 1
    starts = (torch.rand(batch, 3, generator=generator) * room).to(torch.int64).minimum(room - 1)
    return Boxes(starts, starts + sides)


def mix(frames: Tensor, partners: Tensor, boxes: Boxes) -> tuple[Tensor, Tensor]:
    """Fills the box of each sample with the frames of its partner.

    Args:
        frames: `[T, B, C, H, W]`.
        partners: indices of samples `[B]`.
        boxes: a box for each sample.

    Returns:
        The frames, and the share of the volume that each box takes, `[B]`.
    """
    mixed = frames.clone(memory_format=torch.contiguous_format)
    corners = zip(partners.tolist(), boxes.starts.tolist(), boxes.ends.tolist(), strict=True)
    for sample, (partner, (t, y, x), (t_end, y_end, x_end)) in enumerate(corners):
        if t < t_end:
            mixed[t:t_end, sample, :, y:y_end, x:x_end] = frames[t:t_end, partner, :, y:y_end, x:x_end]
    steps, _, _, height, width = frames.shape
    return mixed, (boxes.ends - boxes.starts).prod(1) / (steps * height * width)
