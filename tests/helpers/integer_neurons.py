"""Integer neurons for several tests."""

from __future__ import annotations

import numpy as np

from spikeport.pipeline.models.neurons.leaky import LoihiLeaky


def integer_neurons(drive: np.ndarray, v_decay: int, vth_mant: int) -> tuple[np.ndarray, np.ndarray]:
    """Spikes and membranes before reset for `drive` `[T, ...]` in weight units, by the specification's equations."""
    v = np.zeros(drive.shape[1:], dtype=np.int64)
    spikes, voltages = np.zeros_like(drive), np.zeros_like(drive)
    for t in range(len(drive)):
        v = np.sign(v) * ((np.abs(v) * (4096 - v_decay)) >> 12) + 64 * drive[t]
        v = np.clip(v, -(2**23) + 1, 2**23 - 1)
        voltages[t], spikes[t] = v, v > 64 * vth_mant
        v = np.where(v > 64 * vth_mant, 0, v)
    return spikes, voltages


def loihi_leaky(v_decay: int, vth_mant: int, scale: float) -> LoihiLeaky:
    return LoihiLeaky(1 - v_decay / 4096, vth_mant / scale, numerics="loihi", scale=scale)
