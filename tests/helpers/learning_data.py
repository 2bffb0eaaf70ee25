"""A tiny data set and recipe for tests of training: three classes that differ in which rows are active."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from spikeport.pipeline.data.dataset import Dataset, EventSplit, StaticImages
from spikeport.pipeline.models.teachers.cnn import CnnTeacher
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.recipe_file import parse_recipe

CLASSES = ("top", "middle", "bottom")
STEPS, HEIGHT, WIDTH = 4, 9, 11


def tiny_dataset(train: int = 30, static: int = 33, *, paired_images: bool = False) -> Dataset:
    """Frames [N, 4, 2, 9, 11] and images [33, 1, 7, 8], the same in each call."""
    rng = np.random.default_rng(11)
    return Dataset(
        name="tiny",
        description="Three busy rows.",
        classes=CLASSES,
        train=_events(rng, train, "train", paired_images),
        validation=_events(rng, 15, "validation", paired_images),
        test=_events(rng, 12, "test", paired_images),
        static=_images(rng, np.arange(static) % 3, tuple(f"static-{n}" for n in range(static))),
        dt_s=0.001,
        simulated=True,
        fingerprint=f"tiny-{train}-{static}",
    )


def tiny_recipe(**sections: dict[str, Any]) -> Recipe:
    values: dict[str, Any] = {
        "seed": 5,
        "data": {"height": HEIGHT, "width": WIDTH, "steps": STEPS},
        "student": {"channels": [4, 6]},
        "teacher": {"epochs": 2, "batch": 10},
        "training": {"epochs": 4, "batch": 8, "threads": 1, "accelerator": "cpu", "ema_decay": 0.8},
        "quantization": {"epochs": 3},
    }
    for name, section in sections.items():
        values[name] = {**values.get(name, {}), **section}
    return parse_recipe(values, where="tiny")


def tiny_teacher() -> CnnTeacher:
    """Two convolutions, a stage each, with weights of torch's global generator. The first is as wide as a student's."""
    features = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 5, 3, stride=2, padding=1))
    head = nn.Linear(5 * -(-HEIGHT // 2) * -(-WIDTH // 2), len(CLASSES))
    return CnnTeacher(features, nn.Flatten(), head, stages=(1, 2))


class Bright:
    """A synthesizer: the bright pixels of an image in both polarities of every step."""

    def render(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return (images.amax(1) > 0.5).float()[None, :, None].expand(STEPS, -1, 2, -1, -1)


def _events(rng: np.random.Generator, count: int, name: str, paired_images: bool) -> EventSplit:
    labels = np.arange(count) % 3
    frames = (rng.random((count, STEPS, 2, HEIGHT, WIDTH)) < 0.1).astype(np.uint8)
    for sample, label in enumerate(labels):
        frames[sample, :, :, 3 * label : 3 * label + 2] |= rng.random((STEPS, 2, 2, WIDTH)) < 0.6
    keys = tuple(f"{name}-{n}" for n in range(count))
    return EventSplit(
        frames=frames, labels=labels, keys=keys, paired_images=_images(rng, labels, keys) if paired_images else None
    )


def _images(rng: np.random.Generator, labels: np.ndarray, keys: tuple[str, ...]) -> StaticImages:
    images = rng.integers(0, 90, (len(labels), 1, 7, 8)).astype(np.uint8)
    for sample, label in enumerate(labels):
        images[sample, :, 2 * label : 2 * label + 2] += 150
    return StaticImages(images=images, labels=labels, keys=keys)
