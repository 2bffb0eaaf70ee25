"""Sizes of feature maps and embeddings, found by a forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn

from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.models.teachers.base import Teacher
from spikeport.pipeline.models.teachers.spiking import EVENT_CHANNELS, SpikingTeacher
from spikeport.values import ImageShape, Shape


@dataclass(frozen=True)
class NetworkSizes:
    """Sizes that losses need to build their projections.

    Attributes:
        maps: `(C, H, W)` of the last feature maps, None without maps.
        embedding: size D of the head's input, None if it is hidden.
        stages: `(C, H, W)` of what its stages give, in order; None if they are not known.
    """

    maps: ImageShape | None
    embedding: int | None
    stages: tuple[ImageShape, ...] | None = None


def student_sizes(student: Student, input_shape: Shape) -> NetworkSizes:
    """Sizes of a student, measured on an input of zeros. The student is not changed.

    Args:
        student: the student.
        input_shape: `(C, H, W)`, or `(N,)`, of a frame.
    """
    training = student.training
    student.eval()
    with torch.no_grad():
        output = student(_zeros(student, (student.norm_steps or 1, 1, *input_shape)))
    student.train(training)
    return _sizes(output.maps, output.embedding, output.stages)


def teacher_sizes(teacher: Teacher, input_shape: ImageShape) -> NetworkSizes:
    """Sizes of a teacher, measured on an input of zeros.

    Args:
        teacher: the teacher.
        input_shape: `(3, H, W)` of its images, or of a frame if its inputs are events.
    """
    steps = teacher.student.norm_steps or 1 if isinstance(teacher, SpikingTeacher) else 1
    events = (steps, 1, EVENT_CHANNELS, *input_shape[1:])
    output = teacher.predict(_zeros(teacher, events if teacher.input_kind == "events" else (1, *input_shape)))
    return _sizes(output.maps, output.embedding, output.stages)


def _zeros(network: nn.Module, shape: tuple[int, ...]) -> Tensor:
    values = next(chain(network.parameters(), network.buffers()))
    return torch.zeros(shape, device=values.device)


def _sizes(maps: Tensor | None, embedding: Tensor | None, stages: tuple[Tensor, ...] | None) -> NetworkSizes:
    return NetworkSizes(
        None if maps is None else _shape(maps),
        None if embedding is None else embedding.shape[-1],
        None if stages is None else tuple(_shape(each) for each in stages),
    )


def _shape(maps: Tensor) -> ImageShape:
    return maps.shape[-3], maps.shape[-2], maps.shape[-1]
