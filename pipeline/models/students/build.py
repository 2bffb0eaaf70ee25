"""The table of students, and building one by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from spikeport.errors import UserError
from spikeport.pipeline.models.students.base import (
    POOL,
    Student,
    StudentOutput,
    StudentPrediction,
    predict_spikes,
    run_student,
)
from spikeport.pipeline.models.students.conv import conv_student, vgg_student
from spikeport.pipeline.models.students.dense import mlp_student, recurrent_student
from spikeport.pipeline.models.students.residual import resnet_student
from spikeport.pipeline.models.weight_memory import check_weights_fit
from spikeport.pipeline.run.recipe import Student as StudentRecipe

__all__ = [
    "POOL",
    "STUDENTS",
    "Student",
    "StudentKind",
    "StudentOutput",
    "StudentPrediction",
    "build_student",
    "check_student",
    "list_students",
    "predict_spikes",
    "run_student",
]


@dataclass(frozen=True)
class StudentKind:
    """A line of the table. `options`: the fields of [student] that it reads, beside those of its cells.

    `not_for_netx`: why the chip's format cannot hold it; empty where it can.
    """

    build: Callable[..., Student]
    what: str
    options: tuple[str, ...]
    not_for_netx: str = ""

    @property
    def for_netx(self) -> bool:
        return not self.not_for_netx


_NO_LOOP = "its cells would be snnTorch's RSynaptic, whose reset is not the chip's"
_BRANCH = "a shortcut is a branch, and netx holds chains of layers"

STUDENTS: dict[str, StudentKind] = {
    "conv": StudentKind(
        conv_student,
        "convolution blocks that halve the frame by stride or average pool",
        ("channels", "kernel", "downsample", "hidden", "alpha"),
    ),
    "vgg-snn": StudentKind(vgg_student, "eight convolutions and four average pools", ("width", "alpha")),
    "mlp": StudentKind(mlp_student, "dense layers on the flattened frame", ("layers", "alpha")),
    "recurrent": StudentKind(
        recurrent_student,
        "recurrent dense layers on what convolutions, or the frame itself, give",
        ("channels", "kernel", "downsample", "layers"),
    ),
    "resnet18-snn": StudentKind(resnet_student, "four stages of two residual blocks", ("width",), _BRANCH),
    "resnet19-snn": StudentKind(resnet_student, "three stages of residual blocks, two dense", ("width",), _BRANCH),
    "resnet20-snn": StudentKind(resnet_student, "three narrow stages of three blocks", ("width",), _BRANCH),
}


def build_student(
    recipe: StudentRecipe,
    input_shape: tuple[int, ...],
    classes: int,
    *,
    shared_head: bool = False,
    norm: bool = True,
) -> Student:
    """The student that `recipe` names, with fresh weights from torch's global generator.

    `input_shape`: (C, H, W) of a frame. `norm=False`: as it is once batch norm is folded. Raises UserError.
    """
    return student_kind(recipe).build(recipe, input_shape, classes, shared_head=shared_head, norm=norm)


def student_kind(recipe: StudentRecipe) -> StudentKind:
    """The table's line for `recipe.network`. Raises UserError listing the choices, or where it has no slow currents."""
    if recipe.network not in STUDENTS:
        raise UserError(
            f"{recipe.network!r} is no student network",
            where="student.network",
            hint="use one of " + ", ".join(STUDENTS),
        )
    kind = STUDENTS[recipe.network]
    if recipe.alpha and "alpha" not in kind.options:
        raise UserError(
            f"a {recipe.network} has no slow currents",
            where="student.alpha",
            cause=_NO_LOOP if recipe.network == "recurrent" else "they are for students of plain chains",
            hint="set it to 0, or use one of "
            + ", ".join(name for name in STUDENTS if "alpha" in STUDENTS[name].options),
        )
    return kind


def check_student(recipe: StudentRecipe, input_shape: tuple[int, ...], *, for_netx: bool) -> StudentKind:
    """What is wrong with a student, said before training starts: its name, frames that do not fit, and with `for_netx`
    whether it can go to the chip at all. Takes no memory. Raises UserError.
    """
    kind = student_kind(recipe)
    if for_netx and not kind.for_netx:
        runs = [name for name, other in STUDENTS.items() if other.for_netx]
        raise UserError(
            f"a {recipe.network} is not for netx",
            where="student.network",
            cause=kind.not_for_netx,
            hint=f"train it in float with spikeport train, or use one of {', '.join(runs)}",
        )
    with torch.device("meta"):
        student = kind.build(recipe, input_shape, 2, shared_head=True)
    check_weights_fit(student, "student", "lower student.channels, layers, hidden, kernel or width")
    return kind


def list_students() -> list[dict[str, Any]]:
    """The table as rows: name, what, options, for_netx, why not."""
    return [
        {
            "name": name,
            "what": kind.what,
            "options": list(kind.options),
            "for_netx": kind.for_netx,
            "why_not": kind.not_for_netx or None,
        }
        for name, kind in STUDENTS.items()
    ]
