"""How far synthetic events are from recordings, in the layers of a student."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from spikeport.pipeline.data.event_synthesis.energy_coefficient import energy_coefficient
from spikeport.pipeline.data.frames.packed import PackedFrames
from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.run.gap import LayerGap

THIRDS = 3  # parts of a recording whose rates are kept apart
FEWEST = 4  # recordings of each kind that a gap is estimated from


def domain_gap(
    student: Student, recordings: np.ndarray | PackedFrames, synthetic: np.ndarray, batch: int = 50
) -> tuple[LayerGap, ...]:
    """The energy coefficient of inhomogeneity between recordings and synthetic events, layer by layer.

    It compares firing rates by channel and third of the recording, see `energy_coefficient`. No labels are used.

    Args:
        student: the student, in any mode.
        recordings: `[N, T, C, H, W]`.
        synthetic: `[M, T, C, H, W]`.
        batch: recordings of one forward pass.

    Returns:
        A gap for each layer of neurons; empty with fewer than 4 recordings or synthetic ones.
    """
    if min(len(recordings), len(synthetic)) < FEWEST:
        return ()
    real, made = (_rates(student, frames, batch) for frames in (recordings, synthetic))
    return tuple(
        LayerGap(
            layer=name,
            gap=energy_coefficient(real[name], made[name]),
            among_recordings=energy_coefficient(real[name][::2], real[name][1::2]),
        )
        for name in real
    )


def _rates(student: Student, frames: np.ndarray | PackedFrames, batch: int) -> Mapping[str, np.ndarray]:
    """Firing rates `[N, thirds x channels]` of each layer of neurons."""
    device, training = next(student.parameters()).device, student.training
    student.eval()
    found: list[list[Tensor]] = []
    with torch.no_grad():
        for at in range(0, len(frames), batch):
            output = student(torch.from_numpy(frames[at : at + batch]).to(device).transpose(0, 1))
            found.append([_by_channel(spikes).cpu() for spikes in output.layer_spikes])
    student.train(training)
    return {
        name: torch.cat([part[row] for part in found]).numpy().astype(np.float64)
        for row, name in enumerate(student.layer_names())
    }


def _by_channel(spikes: Tensor) -> Tensor:
    """`[T, B, C, ...]` to rates `[B, thirds x C]`."""
    channels = spikes.float().flatten(3).mean(3) if spikes.ndim > 3 else spikes.float()
    parts = channels.tensor_split(min(THIRDS, len(channels)))
    return torch.cat([part.mean(0) for part in parts], dim=1)
