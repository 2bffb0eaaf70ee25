"""Teachers: ordinary networks that see static images."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from hardware_profiles.errors import UserError
from pipeline.networks.teacher import Teacher
from pipeline.recipe import Teacher as TeacherRecipe

BLOCKS = 3  # each halves the image


def small_cnn(input_shape: tuple[int, int, int], classes: int, width: int = 16) -> Teacher:
    """Three blocks of conv, batch norm, ReLU and max pool, then one dense layer over all places."""
    channels, height, rest = input_shape
    if min(height, rest) < 2**BLOCKS:
        raise UserError(
            f"images of {height} x {rest} are too small for the teacher",
            where="teacher.network",
            mend=f"set data.height and data.width to at least {2**BLOCKS}",
        )
    layers: list[nn.Module] = []
    for index in range(BLOCKS):
        wider = width << index
        layers += [
            nn.Conv2d(channels, wider, 3, padding=1, bias=False),
            nn.BatchNorm2d(wider),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
        channels, height, rest = wider, height // 2, rest // 2
    return Teacher(nn.Sequential(*layers), nn.Flatten(), nn.Linear(channels * height * rest, classes))


TEACHERS: dict[str, Callable[[tuple[int, int, int], int], Teacher]] = {"cnn-small": small_cnn}


def build_teacher(recipe: TeacherRecipe, input_shape: tuple[int, int, int], classes: int) -> Teacher:
    """The teacher that `recipe` names, fresh weights from torch's global generator. Raises UserError."""
    if recipe.network not in TEACHERS:
        raise UserError(
            f"{recipe.network!r} is no teacher network",
            where="teacher.network",
            mend="use one of " + ", ".join(TEACHERS),
        )
    return TEACHERS[recipe.network](input_shape, classes)
