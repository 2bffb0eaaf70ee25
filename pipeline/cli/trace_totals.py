"""Sums the results of a simulation in chunks: spikes, counts and accuracy."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikeport.export.network.accuracy import Correctness, compare_with_labels
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.readout import SILENT
from spikeport.export.network.spike_trace import SpikeTrace
from spikeport.pipeline.run.intervals import Accuracy, share


class TraceTotals:
    """Totals over chunks: add traces with `add`, and get the totals with `result` and `accuracy`.

    Args:
        network: the network that is simulated.
        labels: `[N]`, labels of the whole set; None where they are unknown.
    """

    def __init__(self, network: IntegerNetwork, labels: np.ndarray | None) -> None:
        self._network, self._labels = network, labels
        self._per_neuron = np.zeros(int(np.prod(network.output_shape)), dtype=np.int64)
        self._totals = {key: np.zeros(len(network.layers), dtype=np.int64) for key in ("spikes_out", "synops")}
        self._counted = self._samples = self._silent = 0
        self._answers: list[Correctness] = []

    def add(self, rows: slice | np.ndarray, trace: SpikeTrace) -> None:
        """Adds the samples of a trace.

        Args:
            rows: numbers of the samples in the whole set.
            trace: their spike trace.
        """
        self._samples += len(trace.spikes)
        self._per_neuron += trace.spikes.sum(axis=(0, 1), dtype=np.int64)
        classes = self._network.readout.classes(trace.spikes, trace.levels)
        self._silent += int(np.count_nonzero(classes == SILENT))
        if self._labels is not None:
            self._answers.append(compare_with_labels(self._labels[rows], classes))
        if trace.counts is not None:
            self._counted += len(trace.spikes)
            for key, total in self._totals.items():
                total += getattr(trace.counts, key).sum(axis=0)

    def accuracy(self) -> Accuracy | None:
        """Accuracy of the added samples, from `pipeline.run.intervals.share`; None without labels."""
        if self._labels is None:
            return None
        nothing = np.zeros(0, dtype=bool)
        return share(
            Correctness(
                correct=np.concatenate([nothing, *(each.correct for each in self._answers)]),
                silent=np.concatenate([nothing, *(each.silent for each in self._answers if each.silent is not None)]),
                unlabeled=sum(each.unlabeled for each in self._answers),
            )
        )

    def result(self) -> dict[str, Any]:
        """The totals in JSON values.

        Returns:
            `samples`, `silent` (samples without an output spike), `output_spikes`, `output_spikes_per_neuron` and
            `readout`. With labels, `labeled`, `unlabeled` and `accuracy` over the labeled samples, where silent
            samples count as wrong; without labeled samples it is None, with a `reason`. With counts, `layers`, the
            counts of each layer per sample. A sigma-delta network has `messages` and `macs` in the place of `spikes`
            and `synops`, and messages of 0 are not counted.
        """
        sent, operations = ("messages", "macs") if self._network.sends_values else ("spikes", "synops")
        found: dict[str, Any] = {
            "samples": self._samples,
            "silent": self._silent,
            f"output_{sent}": int(self._per_neuron.sum()),
            f"output_{sent}_per_neuron": self._per_neuron.tolist(),
            "readout": self._network.readout.kind,
        }
        if self._labels is not None:
            accuracy = self.accuracy()
            assert accuracy is not None
            found |= {"labeled": accuracy.get("n", 0), "unlabeled": self._samples - accuracy.get("n", 0)}
            found |= {key: accuracy[key] for key in ("reason",) if key in accuracy} | {"accuracy": accuracy["value"]}
        if self._counted:
            found["layers"] = [
                {
                    "name": layer.name,
                    f"{sent}_per_sample": self._totals["spikes_out"][index] / self._counted,
                    f"{operations}_per_sample": self._totals["synops"][index] / self._counted,
                }
                for index, layer in enumerate(self._network.layers)
            ]
        return found
