"""The table of teachers, and building one by name: ours, a torch module, an ONNX file, another run's student."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from spikeport.errors import UserError
from spikeport.pipeline.models.teachers.base import Teacher
from spikeport.pipeline.models.teachers.cnn import resnet, small_cnn, vgg11
from spikeport.pipeline.models.teachers.external import find_factory, onnx_teacher, torch_teacher
from spikeport.pipeline.models.teachers.pretrained import load_pretrained
from spikeport.pipeline.models.teachers.spiking import RUN, spiking_teacher
from spikeport.pipeline.models.weight_memory import check_weights_fit
from spikeport.pipeline.run.sections.networks import Teacher as TeacherRecipe

Shape = tuple[int, int, int]
WHERE = "teacher.network"
ONNX = "onnx:"
EVENT_CHANNELS = 2  # polarities


@dataclass(frozen=True)
class TeacherKind:
    """A line of the table."""

    build: Callable[[TeacherRecipe, Shape, int], Teacher]
    what: str


TEACHERS: dict[str, TeacherKind] = {
    "cnn-small": TeacherKind(small_cnn, "three convolutions and one dense layer"),
    "vgg11": TeacherKind(vgg11, "eight convolutions"),
    "resnet18": TeacherKind(resnet, "four stages of two residual blocks"),
    "resnet19": TeacherKind(resnet, "three wide stages of residual blocks, two dense layers"),
    "resnet20": TeacherKind(resnet, "three narrow stages of three residual blocks"),
}

FROM_ELSEWHERE: dict[str, str] = {
    "package.module:factory": "the torch module that factory(input_shape, classes) makes",
    "onnx:FILE": "an ONNX file from images to logits; its weights stay",
    "run:FOLDER": "the spiking student of another run, which sees events; its weights stay",
}


def build_teacher(recipe: TeacherRecipe, input_shape: Shape, classes: int, *, with_weights: bool = True) -> Teacher:
    """The teacher that `recipe` names, fresh weights from torch's global generator, or those of `recipe.weights`.

    `input_shape`: (3, H, W), H and W those of the frames. `with_weights=False`: without reading weights, because others
    are loaded next. Raises UserError.
    """
    _check_name(recipe)
    channels, height, width = input_shape
    shape = (channels, *teacher_sides(recipe, (height, width)))
    if recipe.network.startswith(RUN):
        spiking = spiking_teacher(recipe, (EVENT_CHANNELS, height, width), classes)
        if with_weights:
            load_pretrained(spiking.student, spiking.weights)
        return spiking
    if recipe.network.startswith(ONNX):
        return onnx_teacher(recipe, shape, classes)
    teacher = _builder(recipe)(recipe, shape, classes)
    if with_weights and recipe.weights:
        load_pretrained(teacher, recipe.weights, prefixes=teacher.prefixes, fresh_head=recipe.epochs > 0)
    return teacher


def _builder(recipe: TeacherRecipe) -> Callable[[TeacherRecipe, Shape, int], Teacher]:
    return torch_teacher if ":" in recipe.network else TEACHERS[recipe.network].build


def teacher_sides(recipe: TeacherRecipe, frame: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the images that the teacher is built for; others it resizes itself."""
    return (recipe.size, recipe.size) if recipe.size else frame


def check_teacher(recipe: TeacherRecipe, frame: tuple[int, int] | None = None) -> None:
    """What is wrong with a teacher, said before training starts: its name, a missing file, epochs that cannot be, and
    (`frame` given: the frames' height and width) a size that does not fit. Raises UserError.
    """
    _check_name(recipe)
    kind, _, path = recipe.network.partition(":")
    frozen = recipe.network.startswith((ONNX, RUN))
    if frozen and recipe.epochs:
        raise UserError(
            f"{recipe.network} is not trained, and teacher.epochs is {recipe.epochs}",
            where=WHERE,
            hint="set teacher.epochs = 0",
        )
    if frozen and recipe.weights:
        raise UserError(f"{recipe.network} brings its own weights", where=WHERE, hint="leave teacher.weights out")
    for file in (recipe.weights, path if frozen else ""):
        if file and not Path(file).exists():
            raise UserError(
                "there is no such file or folder",
                where=file,
                hint="correct teacher.weights or teacher.network (a relative path counts from where the command runs)",
            )
    if kind in TEACHERS and frame is not None:
        with torch.device("meta"):
            teacher = _builder(recipe)(recipe, (3, *teacher_sides(recipe, frame)), 2)
        check_weights_fit(teacher, "teacher", "lower teacher.width or teacher.size")
    elif not frozen and kind not in TEACHERS:
        find_factory(recipe.network)


def _check_name(recipe: TeacherRecipe) -> None:
    if ":" not in recipe.network and recipe.network not in TEACHERS:
        raise UserError(
            f"{recipe.network!r} is no teacher network",
            where=WHERE,
            hint="use one of " + ", ".join([*TEACHERS, *FROM_ELSEWHERE]),
        )


def list_teachers() -> list[dict[str, Any]]:
    """The table as rows: name, what, and whether it is trained here."""
    ours = [{"name": name, "what": kind.what, "trained": True} for name, kind in TEACHERS.items()]
    return ours + [
        {"name": name, "what": what, "trained": name.startswith("package")} for name, what in FROM_ELSEWHERE.items()
    ]
