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
    """Which recordings of a split the student classifies right, by its output spikes."""
    return compare_with_labels(split.labels, classify(predict_spikes(student, split.frames)))


def student_accuracy(student: Student, split: EventSplit) -> float:
    """Share of the recordings of a split that the student classifies right. One without an output spike is wrong."""
    return float(np.mean(student_answers(student, split).correct))


def teacher_logits(teacher: nn.Module, images: np.ndarray, size: tuple[int, int]) -> Tensor:
    """Logits `[B, K]` of uint8 images `[B, C, h, w]`, resized to `size`, in eval mode and without gradient."""
    device = next(chain(teacher.parameters(), teacher.buffers())).device
    teacher.eval()
    with torch.no_grad():
        parts = [
            teacher(torch.from_numpy(resize_to(part, *size)).to(device))
            for part in np.array_split(images, max(1, -(-len(images) // BATCH)))
        ]
    return torch.cat(parts)


def spiking_teacher_logits(teacher: Teacher, frames: np.ndarray | PackedFrames) -> Tensor:
    """Logits `[B, K]` of a spiking teacher for recordings `[B, T, 2, H, W]`: its spike counts after the last step."""
    device = next(teacher.parameters()).device
    parts = [
        teacher.predict(torch.from_numpy(frames[at : at + BATCH]).to(device).transpose(0, 1).float()).logits[-1]
        for at in range(0, max(1, len(frames)), BATCH)  # no recording makes an empty batch
    ]
    return torch.cat(parts)


def spiking_teacher_classes(teacher: Teacher, frames: np.ndarray | PackedFrames) -> np.ndarray:
    """Classes `[B]` of a spiking teacher: the largest spike count, of equal ones the first; SILENT without a spike."""
    counts = spiking_teacher_logits(teacher, frames)
    return torch.where(counts.any(1), counts.argmax(1), SILENT).cpu().numpy()


def teacher_accuracy(teacher: nn.Module, images: StaticImages, size: tuple[int, int]) -> float:
    """Share of the images that the teacher classifies right. `size`: (height, width) that the images are resized to."""
    predicted = teacher_logits(teacher, images.images, size).argmax(1).cpu().numpy()
    return float(np.mean(predicted == images.labels))
