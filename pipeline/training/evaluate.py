"""Accuracy of networks: students by their output spikes, teachers by their logits."""

from __future__ import annotations

from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn

from spikeport.export.network.accuracy import Correctness, compare_with_labels
from spikeport.export.network.readout import SILENT, classify
from spikeport.pipeline.data.dataset import EventSplit, StaticImages
from spikeport.pipeline.data.frames.packed import PackedFrames
from spikeport.pipeline.data.images.resize import resize_to
from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.models.students.inference import predict_spikes
from spikeport.pipeline.models.teachers.base import Teacher

BATCH = 256


def student_answers(student: Student, split: EventSplit) -> Correctness:
    """Which recordings of a split the student classifies correctly, by its output spikes.

    Args:
        student: the student.
        split: recordings with labels.
    """
    return compare_with_labels(split.labels, classify(predict_spikes(student, split.frames)))


def student_accuracy(student: Student, split: EventSplit) -> float:
    """Accuracy of a student, 0 to 1. A recording without an output spike counts as wrong.

    Args:
        student: the student.
        split: recordings with labels.
    """
    return float(np.mean(student_answers(student, split).correct))


def correct_share(counts: Tensor, labels: Tensor) -> Tensor:
    """Share of samples that output spikes classify correctly, by the rule of `classify`; silent ones are wrong.

    Args:
        counts: `[T, B, K]`, output spikes up to each step.
        labels: int64 `[B]`.

    Returns:
        A float32 scalar without gradient.
    """
    with torch.no_grad():
        sums, steps = counts.double().sum(0), len(counts)
        # The weights of `classify`, T^2 - t, in terms of the sums: a spike in step t is in T - t of them.
        scores = sums + (steps * steps - steps) * counts[-1].double()
        return ((scores.argmax(1) == labels) & scores.any(1)).float().mean()


def teacher_logits(teacher: nn.Module, images: np.ndarray, size: tuple[int, int]) -> Tensor:
    """Logits of a teacher in eval mode, without gradient.

    Args:
        teacher: the teacher.
        images: uint8 `[B, C, h, w]`.
        size: (height, width) that the images are resized to.

    Returns:
        `[B, K]`.
    """
    device = next(chain(teacher.parameters(), teacher.buffers())).device
    teacher.eval()
    with torch.no_grad():
        parts = [
            teacher(torch.from_numpy(resize_to(part, *size)).to(device))
            for part in np.array_split(images, max(1, -(-len(images) // BATCH)))
        ]
    return torch.cat(parts)


def spiking_teacher_logits(teacher: Teacher, frames: np.ndarray | PackedFrames) -> Tensor:
    """Spike counts of a spiking teacher after the last step.

    Args:
        teacher: the teacher.
        frames: `[B, T, 2, H, W]`.

    Returns:
        `[B, K]`.
    """
    device = next(teacher.parameters()).device
    parts = [
        teacher.predict(torch.from_numpy(frames[at : at + BATCH]).to(device).transpose(0, 1).float()).logits[-1]
        for at in range(0, max(1, len(frames)), BATCH)  # no recording makes an empty batch
    ]
    return torch.cat(parts)


def spiking_teacher_classes(teacher: Teacher, frames: np.ndarray | PackedFrames) -> np.ndarray:
    """Classes of a spiking teacher: the largest spike count, the first of equal ones, or SILENT without a spike.

    Args:
        teacher: the teacher.
        frames: `[B, T, 2, H, W]`.

    Returns:
        int64 `[B]`.
    """
    counts = spiking_teacher_logits(teacher, frames)
    return torch.where(counts.any(1), counts.argmax(1), SILENT).cpu().numpy()


def teacher_accuracy(teacher: nn.Module, images: StaticImages, size: tuple[int, int]) -> float:
    """Accuracy of a teacher, 0 to 1.

    Args:
        teacher: the teacher.
        images: images with labels.
        size: (height, width) that the images are resized to.
    """
    predicted = teacher_logits(teacher, images.images, size).argmax(1).cpu().numpy()
    return float(np.mean(predicted == images.labels))
