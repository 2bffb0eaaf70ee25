"""Augments the frames of a training batch.

To add an augmentation: write one function in this folder, and add one line to AUGMENTATIONS and one key to the recipe's
section [augmentation].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spikeport.pipeline.data.augmentation.draws import symmetric_integers, uniform
from spikeport.pipeline.data.augmentation.events import add_noise, drop_counted, drop_events, jitter_time, shift_time
from spikeport.pipeline.data.augmentation.geometry import affine, flip, shift
from spikeport.pipeline.data.augmentation.mixing import draw_boxes, mix, partners_of_class
from spikeport.pipeline.run.sections.training import Augmentation

__all__ = ["AUGMENTATIONS", "augment"]


@dataclass(frozen=True)
class AugmentationStep:
    """One augmentation of the training frames.

    Attributes:
        setting: recipe key that turns it on.
        apply: (frames `[T, B, C, H, W]`, value of the key, labels `[B]`, generator) to frames.
    """

    setting: str
    apply: Callable[[Tensor, Any, Tensor | None, torch.Generator], Tensor]


def _mix(frames: Tensor, share: float, labels: Tensor | None, generator: torch.Generator) -> Tensor:
    if labels is None:
        raise ValueError("mixing recordings of one class needs the labels")
    partners = partners_of_class(labels, generator)
    chosen = uniform(len(labels), generator) < share
    return mix(frames, partners, draw_boxes(frames.shape, chosen, generator))[0]


def _flip(frames: Tensor, on: bool, labels: Tensor | None, generator: torch.Generator) -> Tensor:
    return flip(frames, uniform(frames.shape[1], generator) < 0.5)


def _rotate(frames: Tensor, degrees: float, labels: Tensor | None, generator: torch.Generator) -> Tensor:
    angles = degrees * (2 * uniform(frames.shape[1], generator) - 1)
    return affine(frames, angles, torch.ones_like(angles))


def _scale(frames: Tensor, reach: float, labels: Tensor | None, generator: torch.Generator) -> Tensor:
    scales = 1 + reach * (2 * uniform(frames.shape[1], generator) - 1)
    return affine(frames, torch.zeros_like(scales), scales)


def _shift(frames: Tensor, reach: int, labels: Tensor | None, generator: torch.Generator) -> Tensor:
    if frames.ndim == 3:  # channels are a plane of one row
        offsets = symmetric_integers(reach, (frames.shape[1], 1), generator)
        row = frames[:, :, None, None]
        return shift(row, torch.cat([torch.zeros_like(offsets), offsets], 1))[:, :, 0, 0]
    return shift(frames, symmetric_integers(reach, (frames.shape[1], 2), generator))


def _shift_time(frames: Tensor, reach: int, labels: Tensor | None, generator: torch.Generator) -> Tensor:
    return shift_time(frames, symmetric_integers(reach, (frames.shape[1],), generator))


def _jitter_time(frames: Tensor, share: float, labels: Tensor | None, generator: torch.Generator) -> Tensor:
    return jitter_time(frames, share, generator)


def _drop(frames: Tensor, share: float, labels: Tensor | None, generator: torch.Generator) -> Tensor:
    return drop_events(frames, share * uniform(frames.shape[1], generator), generator)


def _noise(frames: Tensor, share: float, labels: Tensor | None, generator: torch.Generator) -> Tensor:
    return add_noise(frames, share, generator)


AUGMENTATIONS: tuple[AugmentationStep, ...] = (
    AugmentationStep("mix", _mix),
    AugmentationStep("flip", _flip),
    AugmentationStep("rotation", _rotate),
    AugmentationStep("scale", _scale),
    AugmentationStep("shift", _shift),
    AugmentationStep("time_shift", _shift_time),
    AugmentationStep("time_jitter", _jitter_time),
    AugmentationStep("event_drop", _drop),
    AugmentationStep("noise", _noise),
)


OF_SPIKES = ("time_jitter", "noise")  # not for counts


def augment(
    frames: Tensor,
    recipe: Augmentation,
    generator: torch.Generator,
    labels: Tensor | None = None,
    *,
    counts: bool = False,
) -> Tensor:
    """Augments a batch; frames of 0 and 1 stay 0 and 1.

    Random numbers depend on the shape alone and are drawn on the CPU: the same generator gives the same frames on every
    device.

    Args:
        frames: `[T, B, C, H, W]` or `[T, B, N]`, of 0 and 1, or counts; augmentations of `PLANE` need height and width.
        recipe: the section [augmentation].
        generator: random generator on the CPU.
        labels: `[B]`, needed for `mix` alone; they do not change.
        counts: whether frames are counts; then the settings of OF_SPIKES must be off.
    """
    for augmentation in AUGMENTATIONS:
        value = getattr(recipe, augmentation.setting)
        if value and counts and augmentation.setting == "event_drop":
            frames = drop_counted(frames, value * uniform(frames.shape[1], generator), generator)
        elif value:
            frames = augmentation.apply(frames, value, labels, generator)
    return frames
