"""Shapes that only a forward pass tells."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn

from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.models.teachers.base import Teacher
from spikeport.pipeline.models.teachers.spiking import EVENT_CHANNELS


@dataclass(frozen=True)
class NetworkSizes:
    """`maps` (C, H, W) of the last feature maps and `embedding` D of what the head sees; None where there is none."""

    maps: tuple[int, int, int] | None
    embedding: int | None


def student_sizes(student: Student, input_shape: tuple[int, ...]) -> NetworkSizes:
    """From one silent frame of `input_shape` (C, H, W), in eval mode; nothing in the student changes."""
    training = student.training
    student.eval()
    with torch.no_grad():
        output = student(_nothing(student, (1, 1, *input_shape)))
    student.train(training)
    return _sizes(output.maps, output.embedding)


def teacher_sizes(teacher: Teacher, input_shape: tuple[int, int, int]) -> NetworkSizes:
    """From one black image of `input_shape` (3, H, W), or one silent frame as large where it sees events."""
    events = (1, 1, EVENT_CHANNELS, *input_shape[1:])
    output = teacher.predict(_nothing(teacher, events if teacher.input_kind == "events" else (1, *input_shape)))
    return _sizes(output.maps, output.embedding)


def _nothing(network: nn.Module, shape: tuple[int, ...]) -> Tensor:
    held = next(chain(network.parameters(), network.buffers()))
    return torch.zeros(shape, device=held.device)


def _sizes(maps: Tensor | None, embedding: Tensor | None) -> NetworkSizes:
    shape = None if maps is None else (maps.shape[-3], maps.shape[-2], maps.shape[-1])
    return NetworkSizes(shape, None if embedding is None else embedding.shape[-1])
