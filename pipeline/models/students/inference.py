"""Running a student over recordings, in eval mode."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from spikeport.pipeline.data.frames.packed import PackedFrames
from spikeport.pipeline.models.students.base import Student


@dataclass(frozen=True)
class StudentPrediction:
    """What a student answers to N recordings.

    Attributes:
        spikes: uint8 `[N, T, K]`, output spikes.
        rates: spikes per neuron and step by layer; empty without recordings.
    """

    spikes: np.ndarray
    rates: dict[str, float]


def run_student(student: Student, frames: np.ndarray | PackedFrames, batch: int = 50) -> StudentPrediction:
    """Output spikes and firing rates of recordings.

    Args:
        student: on any device, in any mode.
        frames: `[N, T, C, H, W]` or `[N, T, D]`, uint8 of 0 and 1.
        batch: recordings of one forward pass.
    """
    device = next(student.parameters()).device
    training = student.training
    student.eval()
    parts, sums, places = [], [], [0.0]
    with torch.no_grad():
        for at in range(0, max(1, len(frames)), batch):  # without recordings, one empty batch
            found = student(torch.from_numpy(frames[at : at + batch]).to(device).transpose(0, 1))
            parts.append(found.spikes.transpose(0, 1).to(torch.uint8).cpu())
            sums.append(torch.stack([layer.sum() for layer in found.layer_spikes]).double())  # 0 where none fired
            places = [layer[:, :1].numel() * len(frames) for layer in found.layer_spikes]
    student.train(training)
    fired = torch.stack(sums).sum(0).tolist()
    names = student.layer_names() if len(frames) else []
    rates = {name: count / place for name, count, place in zip(names, fired, places, strict=bool(names))}
    return StudentPrediction(torch.cat(parts).numpy(), rates)


def predict_spikes(student: Student, frames: np.ndarray | PackedFrames, batch: int = 50) -> np.ndarray:
    """Output spikes of recordings, see `run_student`.

    Args:
        student: the student.
        frames: `[N, T, C, H, W]` or `[N, T, D]`.
        batch: recordings that are computed at a time.

    Returns:
        uint8 `[N, T, K]`.
    """
    return run_student(student, frames, batch).spikes
