"""Peaks of sums and states against the dynamics written out with Python's integers."""

from __future__ import annotations

import numpy as np
import pytest
from random_networks import delayed_sum, random_frames, random_network, weighted_sum

from spikeport.export.calibration.state_peaks import StatePeaks, state_peaks
from spikeport.export.network.integer_network import IntegerLayer


def peaks_by_hand(layer: IntegerLayer, samples: np.ndarray) -> StatePeaks:
    """Neuron by neuron, in Python's integers, from lava-nc's lif/models.py."""
    most, counts = {"accumulated": 0, "current": 0, "voltage": 0}, {"wraps": 0, "saturations": 0}
    i_decay, v_decay, vth = (
        np.broadcast_to(x, layer.output_shape) for x in (layer.i_decay, layer.v_decay, layer.vth_mant)
    )
    for sample in samples.astype(np.int64):
        spikes = np.zeros((len(sample), *layer.output_shape), dtype=np.int64)
        u = dict.fromkeys(np.ndindex(*layer.output_shape), 0)
        v = dict(u)
        for t, frame in enumerate(sample):
            if layer.kind == "input":
                a = int(layer.weight[0]) * frame
            else:
                a = (
                    delayed_sum(layer.weight, layer, sample, t)
                    if layer.delay is not None
                    else weighted_sum(layer, frame)
                )
            if layer.weight_rec is not None:
                a = a + delayed_sum(layer.weight_rec, layer, spikes, t - 1)
            for place in u:
                push, arrived = int(layer.bias_map[place]), int(a[place])
                if layer.kind == "input":
                    push, arrived = push + arrived, 0
                taken = abs(u[place]) * (4096 - int(i_decay[place])) >> 12
                current = (taken if u[place] > 0 else -taken) + 64 * arrived
                wrapped = current - 2**24 if current > 2**23 else current + 2**24 if current <= -(2**23) else current
                taken = abs(v[place]) * (4096 - int(v_decay[place])) >> 12
                voltage = (taken if v[place] > 0 else -taken) + wrapped + 64 * push
                for key, value in (("accumulated", arrived), ("current", current), ("voltage", voltage)):
                    most[key] = max(most[key], abs(value))
                counts["wraps"] += wrapped != current
                counts["saturations"] += abs(voltage) >= 2**23
                u[place], v[place] = wrapped, min(max(voltage, -(2**23) + 1), 2**23 - 1)
                if v[place] > 64 * int(vth[place]):
                    spikes[(t, *place)], v[place] = 1, 0
    return StatePeaks(**most, **counts)


@pytest.mark.parametrize("seed", range(25))
def test_random_layers(seed):
    rng = np.random.default_rng(seed)
    network = random_network(rng, deepest=1, rich=True)
    frames = random_frames(rng, network)
    layer = network.layers[0]
    assert state_peaks(layer, frames) == peaks_by_hand(layer, frames)


def test_wraps_and_saturations_are_counted():
    """4 inputs of 250 into a current that never decays: u grows by 64,000 a step and wraps at step 132 (8,448,000 above
    2^23), v saturates earlier and stays."""
    layer = IntegerLayer(name="d", kind="dense", weight=np.full((1, 4), 250), bias=None, i_decay=0, v_decay=0,
                         vth_mant=131071, input_shape=(4,))  # fmt: skip
    frames = np.ones((1, 133, 4), dtype=np.uint8)
    assert state_peaks(layer, frames[:, :131]).wraps == 0
    found = state_peaks(layer, frames[:, :132])
    assert (found.wraps, found.current, found.accumulated) == (1, 132 * 64000, 1000)
    assert found.saturations > 0
    assert found == peaks_by_hand(layer, frames[:, :132])


def test_chunks_change_nothing(monkeypatch):
    rng = np.random.default_rng(1)
    network = random_network(rng, deepest=1)
    frames = (rng.random((7, 5, *network.input_shape)) < 0.5).astype(np.uint8)
    whole = state_peaks(network.layers[0], frames)
    monkeypatch.setattr("spikeport.export.calibration.state_peaks.CHUNK_STATES", 1)
    assert state_peaks(network.layers[0], frames) == whole
