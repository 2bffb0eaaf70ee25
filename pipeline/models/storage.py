"""Trained networks as safetensors files, rebuilt from their recipe."""

from __future__ import annotations

import os
import shutil
from typing import Literal

import torch
from torch import nn

from spikeport.export.formats.onnx import export_onnx
from spikeport.files import atomic_path
from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.models.students.build import build_student
from spikeport.pipeline.models.teachers.base import Teacher
from spikeport.pipeline.models.teachers.build import build_teacher
from spikeport.pipeline.models.teachers.external import OnnxTeacher
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.tensor_files import load_weights, save_weights
from spikeport.values import ImageShape, Shape

Stage = Literal["float", "quantized"]


def save_student(student: Student, path: str | os.PathLike[str]) -> None:
    """Writes weights, thresholds, decays and scales, completely or not at all.

    Args:
        student: the student.
        path: the safetensors file.
    """
    save_weights(student, path)


def load_student(
    recipe: Recipe,
    input_shape: Shape,
    classes: int,
    path: str | os.PathLike[str],
    stage: Stage = "float",
) -> Student:
    """The student that `save_student` wrote, in eval mode.

    Args:
        recipe: of its run.
        input_shape: `(C, H, W)`, or `(N,)`, of a frame.
        classes: number of outputs.
        path: safetensors file.
        stage: "float" as trained, or "quantized": on the integer grid in Loihi numerics, without batch norm and static
            head.

    Raises:
        UserError: the file does not fit the recipe.
    """
    quantized = stage == "quantized"
    student = build_student(
        recipe.student,
        input_shape,
        classes,
        shared_head=quantized or recipe.distillation.shared_head,
        norm=not quantized,
    )
    load_weights(student, path)
    if quantized:
        for neurons in student.neurons():
            neurons.numerics = "loihi"
    return student.eval()


def save_teacher(teacher: nn.Module, path: str | os.PathLike[str]) -> None:
    """Writes weights and batch norm statistics, completely or not at all. An ONNX teacher has none.

    Args:
        teacher: the teacher.
        path: the safetensors file.
    """
    save_weights(teacher, path)


def load_teacher(recipe: Recipe, input_shape: ImageShape, classes: int, path: str | os.PathLike[str]) -> Teacher:
    """The teacher that `save_teacher` wrote, in eval mode and frozen.

    Args:
        recipe: of its run.
        input_shape: `(3, H, W)` with height and width of the frames.
        classes: number of classes.
        path: safetensors file.

    Raises:
        UserError: the file does not fit the recipe.
    """
    teacher = build_teacher(recipe.teacher, input_shape, classes, with_weights=False)
    load_weights(teacher, path)
    return teacher.eval().requires_grad_(False)


def export_teacher(teacher: Teacher, input_shape: ImageShape, path: str | os.PathLike[str]) -> str:
    """Writes the teacher as ONNX, atomically; of an ONNX teacher, a copy of its file.

    Args:
        teacher: any teacher.
        input_shape: `(3, H, W)` of its images.
        path: ONNX file.

    Returns:
        Why no file was written, empty if one was.

    Raises:
        UserError: torch cannot export the module.
    """
    if isinstance(teacher, OnnxTeacher):
        with atomic_path(path) as temporary:
            shutil.copyfile(teacher.path, temporary)
        return ""
    if teacher.input_kind == "events":
        return "the teacher is a spiking network"
    export_onnx(teacher, torch.zeros(1, *input_shape), path)
    return ""
