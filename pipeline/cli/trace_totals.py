"""Adds up what simulations of a set, chunk by chunk, say: spikes, counts and how many samples were read right."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikeport.export.network.accuracy import Correctness, compare_with_labels
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.readout import SILENT
from spikeport.export.network.spike_trace import SpikeTrace
from spikeport.pipeline.run.intervals import Accuracy, share


class TraceTotals:
    """Feed it traces with `add`; `result()` gives the totals. `labels`: `[N]` of the whole set, or None."""

    def __init__(self, network: IntegerNetwork, labels: np.ndarray | None) -> None:
        self._network, self._labels = network, labels
        self._per_neuron = np.zeros(int(np.prod(network.output_shape)), dtype=np.int64)
        self._totals = {key: np.zeros(len(network.layers), dtype=np.int64) for key in ("spikes_out", "synops")}
        self._counted = self._samples = self._silent = 0
        self._answers: list[Correctness] = []

    def add(self, rows: slice | np.ndarray, trace: SpikeTrace) -> None:
        """`trace` holds the samples `rows` of the set."""
        self._samples += len(trace.spikes)
        self._per_neuron += trace.spikes.sum(axis=(0, 1), dtype=np.int64)
        classes = self._network.readout.classes(trace.spikes, trace.membrane)
        self._silent += int(np.count_nonzero(classes == SILENT))
        if self._labels is not None:
            self._answers.append(compare_with_labels(self._labels[rows], classes))
        if trace.counts is not None:
            self._counted += len(trace.spikes)
            for key, total in self._totals.items():
                total += getattr(trace.counts, key).sum(axis=0)

    def accuracy(self) -> Accuracy | None:
        """As `pipeline.run.intervals.share`, of what was added; None without labels."""
        if self._labels is None:
            return None
        nothing = np.zeros(0, dtype=bool)
        return share(
            Correctness(
                correct=np.concatenate([nothing, *(each.correct for each in self._answers)]),
                silent=np.concatenate([nothing, *(each.silent for each in self._answers if each.silent is not None)]),
                unlabelled=sum(each.unlabelled for each in self._answers),
            )
        )

    def result(self) -> dict[str, Any]:
        """`samples`, `silent` (without an output spike: no answer), `output_spikes`, `output_spikes_per_neuron`,
        `readout`; with labels `labelled` and `unlabelled`, and `accuracy` over the labelled, where silent ones are
        wrong (None, and `reason`, where there are none); `layers` with counts, each per sample."""
        found: dict[str, Any] = {
            "samples": self._samples,
            "silent": self._silent,
            "output_spikes": int(self._per_neuron.sum()),
            "output_spikes_per_neuron": self._per_neuron.tolist(),
            "readout": self._network.readout.kind,
        }
        if self._labels is not None:
            accuracy = self.accuracy()
            assert accuracy is not None
            found |= {"labelled": accuracy.get("n", 0), "unlabelled": self._samples - accuracy.get("n", 0)}
            found |= {key: accuracy[key] for key in ("reason",) if key in accuracy} | {"accuracy": accuracy["value"]}
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
