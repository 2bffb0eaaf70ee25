"""Largest sums and states of a layer on given frames, to compare with the bits that the chip has for them.

The reference wraps currents and saturates voltages as netx does, without reporting it. Here the same dynamics run in
int64 and record the input sum of each neuron, the current before it wraps and the voltage before it saturates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.export.network.fixed_point import (
    STATE_LIMIT,
    STATE_SHIFT,
    decay,
    saturate_voltage,
    wrap_accumulator,
    wrap_current,
)
from spikeport.export.network.integer_network import IntegerLayer

CHUNK_STATES = 1 << 22  # int64 sums of one chunk, over all steps: 32 MB


@dataclass(frozen=True, kw_only=True)
class StatePeaks:
    """Largest values of one layer.

    Attributes:
        accumulated: largest absolute input sum of a neuron in one time step, in weight steps.
        current: largest |u| in the chip's units; the limit is 2^23.
        voltage: largest |v| in the chip's units; the limit is 2^23.
        wraps: number of (neuron, time step) pairs in which u wrapped.
        saturations: number of (neuron, time step) pairs in which v was clipped.
    """

    accumulated: int = 0
    current: int = 0
    voltage: int = 0
    wraps: int = 0
    saturations: int = 0

    def joined(self, other: StatePeaks) -> StatePeaks:
        """The values for both sets of samples: maxima of the peaks, sums of the numbers.

        Args:
            other: the values of other samples of the same network.
        """
        largest = {key: max(getattr(self, key), getattr(other, key)) for key in ("accumulated", "current", "voltage")}
        sums = {key: getattr(self, key) + getattr(other, key) for key in ("wraps", "saturations")}
        return StatePeaks(**largest, **sums)


def state_peaks(layer: IntegerLayer, frames: np.ndarray) -> StatePeaks:
    """Runs one layer in int64 and records its peaks.

    Args:
        layer: the layer.
        frames: its input spikes or counts, `[N, T, *input_shape]`.
    """
    peaks = StatePeaks()
    samples, steps = frames.shape[:2]
    chunk = max(1, CHUNK_STATES // (layer.neurons * max(steps, 1)))
    for start in range(0, samples, chunk):
        peaks = peaks.joined(_peaks(layer, frames[start : start + chunk]))
    return peaks


def _peaks(layer: IntegerLayer, frames: np.ndarray) -> StatePeaks:
    batch, steps = frames.shape[:2]
    sums = _sums(layer, frames)
    recurrence = None if layer.weight_rec is None else layer.weight_rec.astype(np.int64).T
    own = np.zeros((steps, batch, layer.neurons), dtype=np.int64) if recurrence is not None else None
    recurrent_delays = np.zeros(layer.neurons, dtype=int) if layer.delay is None or own is None else np.broadcast_to(
        layer.delay[:, 0], layer.neurons)  # fmt: skip
    i_decay, v_decay = np.asarray(layer.i_decay, dtype=np.int64), np.asarray(layer.v_decay, dtype=np.int64)
    threshold, bias = np.asarray(layer.vth_mant, dtype=np.int64) << STATE_SHIFT, layer.bias_map << STATE_SHIFT
    u = v = np.zeros((batch, *layer.output_shape), dtype=np.int64)
    peaks = StatePeaks()
    for t in range(steps):
        a, pushed = sums[:, t], bias
        if recurrence is not None and own is not None:
            for delay in np.unique(recurrent_delays):
                if t - 1 - delay >= 0:
                    a = a + np.where(recurrent_delays == delay, own[t - 1 - delay] @ recurrence, 0)
        if layer.kind == "input":
            a, pushed = np.zeros_like(a), bias + (a << STATE_SHIFT)
        raw = decay(u, i_decay) + (a << STATE_SHIFT)
        u = wrap_current(raw)
        full = decay(v, v_decay) + u + pushed
        v = saturate_voltage(full)
        fired = v > threshold
        v = np.where(fired, 0, v)
        if own is not None:
            own[t] = fired
        peaks = peaks.joined(
            StatePeaks(
                accumulated=int(np.abs(a).max(initial=0)),
                current=int(np.abs(raw).max(initial=0)),
                voltage=int(np.abs(full).max(initial=0)),
                wraps=int(np.count_nonzero(u != raw)),
                saturations=int(np.count_nonzero(np.abs(full) >= STATE_LIMIT)),
            )
        )
    return peaks


def _sums(layer: IntegerLayer, frames: np.ndarray) -> np.ndarray:
    """Input sums of each neuron at each time step, int64 `[N, T, *output_shape]`, without recurrent spikes.

    float64 is exact for integers up to 2^53, far above the sums of any legal layer.
    """
    import torch
    import torch.nn.functional as functional

    batch, steps = frames.shape[:2]
    if layer.kind == "input":
        return int(layer.weight[0]) * frames.astype(np.int64)
    arriving = torch.as_tensor(np.ascontiguousarray(frames)).double()
    weight = torch.as_tensor(layer.weight.astype(np.float64))
    if layer.kind == "conv":
        geometry = (layer.stride, layer.padding, layer.dilation, layer.groups)
        brought = functional.conv2d(arriving.flatten(0, 1), weight, None, *geometry).unflatten(0, (batch, steps))
        return wrap_accumulator(brought.long().numpy())
    flat = arriving.flatten(2)
    if layer.delay is None:
        return (flat @ weight.T).long().numpy()
    delays = np.broadcast_to(layer.delay, layer.weight.shape)
    brought = torch.zeros(batch, steps, len(weight), dtype=torch.float64)
    for delay in np.unique(delays):
        waiting = min(int(delay), steps)
        brought[:, waiting:] += flat[:, : steps - waiting] @ (weight * torch.as_tensor(delays == delay)).T
    return brought.long().numpy()
