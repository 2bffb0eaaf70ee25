"""Adds up what simulations of a set, chunk by chunk, say: spikes, counts and how many samples were read right."""

from __future__ import annotations

from typing import Any

import numpy as np

from export.integer_network import IntegerNetwork
from export.spike_trace import SpikeTrace


class Tally:
    """Feed it traces with `add`; `result()` gives the totals. `labels`: `[N]` of the whole set, or None."""

    def __init__(self, network: IntegerNetwork, labels: np.ndarray | None) -> None:
        self._network, self._labels = network, labels
        self._per_neuron = np.zeros(int(np.prod(network.output_shape)), dtype=np.int64)
        self._totals = {key: np.zeros(len(network.layers), dtype=np.int64) for key in ("spikes_out", "synops")}
        self._counted = self._right = self._samples = 0

    def add(self, rows: slice | np.ndarray, trace: SpikeTrace) -> None:
        """`trace` holds the samples `rows` of the set."""
        self._samples += len(trace.spikes)
        self._per_neuron += trace.spikes.sum(axis=(0, 1), dtype=np.int64)
        if self._labels is not None:
            classes = self._network.readout.classes(trace.spikes, trace.membrane)
            self._right += int(np.count_nonzero(classes == self._labels[rows]))
        if trace.counts is not None:
            self._counted += len(trace.spikes)
            for key, total in self._totals.items():
                total += getattr(trace.counts, key).sum(axis=0)

    def result(self) -> dict[str, Any]:
        """`samples`, `output_spikes`, `output_spikes_per_neuron`, `readout`; `accuracy` with labels; `layers` with
        counts, each per sample."""
        found: dict[str, Any] = {
            "samples": self._samples,
            "output_spikes": int(self._per_neuron.sum()),
            "output_spikes_per_neuron": self._per_neuron.tolist(),
            "readout": self._network.readout.kind,
        }
        if self._labels is not None and self._samples:
            found["accuracy"] = self._right / self._samples
        if self._counted:
            found["layers"] = [
                {
                    "name": layer.name,
                    "spikes_per_sample": self._totals["spikes_out"][index] / self._counted,
                    "synops_per_sample": self._totals["synops"][index] / self._counted,
                }
                for index, layer in enumerate(self._network.layers)
            ]
        return found
