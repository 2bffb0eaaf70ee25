"""The result of a simulation and its file format."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spikeport.errors import UserError
from spikeport.export.network.readout import Readout
from spikeport.files import write_npz
from spikeport.tables import text_of

PER_STEP = "step_"  # prefix of the names of arrays with counts per step, in a file


@dataclass(frozen=True, kw_only=True)
class LayerCounts:
    """Exact counts of operations, int64 `[N, L]` with N samples and L layers; `[N, T, L]` if counted per step.

    The definitions are NeuroBench's, with a fan-out that is exact at the edges of convolutions.

    Attributes:
        events_in: nonzero inputs received.
        synops: synaptic operations, events times fan-out, zero weights included.
        effective_synops: synaptic operations without zero weights (NeuroBench's effective operations).
        spikes_out: spikes fired, or messages other than 0.
        updates_active: neuron updates, one per neuron and step, in which an event arrives, a bias is set or the neuron
            fires. The other updates of `neurons * T` are inactive. A sigma-delta neuron's bias alone makes no update
            active.
        updates_nonzero: the same, and in addition the updates in which the voltage before it or the current is not 0
            (of a sigma-delta neuron: its sum or residue before it). None in traces of earlier versions.
    """

    events_in: np.ndarray
    synops: np.ndarray
    effective_synops: np.ndarray
    spikes_out: np.ndarray
    updates_active: np.ndarray
    updates_nonzero: np.ndarray | None = None

    def arrays(self) -> dict[str, np.ndarray]:
        """Every count by name, without those that are None."""
        return {key: array for key, array in vars(self).items() if array is not None}


@dataclass(frozen=True, kw_only=True)
class SpikeTrace:
    """Result of a simulation of N samples over T steps.

    Attributes:
        backend: name of the backend.
        spikes: output spikes, uint8 `[N, T, K]`, in logical time (without the latency of layers).
        counts: counts per sample; None if the backend does not count (Lava).
        step_counts: counts per sample and step, if requested.
        layer_spikes: spikes of every layer, uint8 `[N, T, *shape]`, if requested.
        values: of a sigma-delta network, the values of the output messages, int32 `[N, T, K]`; `spikes` then marks the
            messages that are not 0.
        layer_values: the same of every layer, `[N, T, *shape]`, if requested.
        membrane: voltages of the last layer at the end of each step, int32 `[N, T, K]` in the chip's units (1/64 of a
            weight step), if the network is read out by its membrane.
        rows: int64 `[N]`, row numbers in the data set, if the samples were drawn from a larger one.
        readout: the network's read-out; None for the class with the most spikes.
    """

    backend: str
    spikes: np.ndarray
    counts: LayerCounts | None = None
    step_counts: LayerCounts | None = None
    layer_spikes: tuple[np.ndarray, ...] | None = None
    values: np.ndarray | None = None
    layer_values: tuple[np.ndarray, ...] | None = None
    membrane: np.ndarray | None = None
    rows: np.ndarray | None = None
    readout: Readout | None = None

    @property
    def output(self) -> np.ndarray:
        """What the last layer sends, `[N, T, K]`: values if it sends values, else spikes."""
        return self.spikes if self.values is None else self.values

    @property
    def signals(self) -> tuple[np.ndarray, ...] | None:
        """What every layer sends, `[N, T, *shape]`: values or spikes; None if it was not requested."""
        return self.layer_spikes if self.values is None else self.layer_values

    @property
    def levels(self) -> np.ndarray | None:
        """What a read-out other than of spikes takes: values or voltages `[N, T, K]`; None if there are none."""
        return self.membrane if self.values is None else self.values

    def classes(self) -> np.ndarray:
        """Predicted classes, int64 `[N]`; SILENT (-1) for samples without an output spike."""
        return (self.readout or Readout()).classes(self.spikes, self.levels)

    def __repr__(self) -> str:
        samples, steps, neurons = self.spikes.shape
        silent = int(np.count_nonzero(~self.spikes.any(axis=(1, 2))))
        sent, operations = ("spikes", "synaptic operations") if self.values is None else ("messages", "MACs")
        lines = [
            f"SpikeTrace from {self.backend}: {samples:,} samples, {steps} steps, {neurons} outputs, "
            f"{int(self.spikes.sum(dtype=np.int64)):,} output {sent}, {silent:,} samples without one"
        ]
        if self.counts is not None and samples:
            means = {key: getattr(self.counts, key).mean(axis=0) for key in ("spikes_out", "synops")}
            lines += [
                f"  layer {index}: {spikes:.4g} {sent}, {synops:.4g} {operations} a sample"
                for index, (spikes, synops) in enumerate(zip(means["spikes_out"], means["synops"], strict=True))
            ]
        return text_of(lines)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a .npz file without pickled data. Layer spikes and the read-out are not saved.

        Args:
            path: the file. Counts per step have names that begin with `step_`.
        """
        counts = {} if self.counts is None else self.counts.arrays()
        steps = {} if self.step_counts is None else self.step_counts.arrays()
        levels = {key: array for key in ("values", "membrane") if (array := getattr(self, key)) is not None}
        drawn = {} if self.rows is None else {"rows": self.rows}
        of_steps = {f"{PER_STEP}{key}": counted for key, counted in steps.items()}
        write_npz(path, backend=np.array(self.backend), spikes=self.spikes, **levels, **drawn, **counts, **of_steps)


def load_trace(path: str | os.PathLike[str]) -> SpikeTrace:
    """Reads a file of `SpikeTrace.save`.

    Args:
        path: the file.

    Raises:
        UserError: the file is missing, damaged, or not a spike trace.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = dict(archive)
        backend, spikes = str(arrays.pop("backend")), arrays.pop("spikes")
        values, membrane, rows = (arrays.pop(key, None) for key in ("values", "membrane", "rows"))
        steps = {key: arrays.pop(key) for key in list(arrays) if key.startswith(PER_STEP)}
        counts = LayerCounts(**arrays) if arrays else None
        of_steps = LayerCounts(**{key.removeprefix(PER_STEP): array for key, array in steps.items()}) if steps else None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise UserError("is not a spike trace", where=str(path), hint="simulate again") from error
    return SpikeTrace(
        backend=backend, spikes=spikes, counts=counts, step_counts=of_steps, values=values, membrane=membrane, rows=rows
    )


def joined(parts: Sequence[SpikeTrace]) -> SpikeTrace:
    """Concatenates traces of successive samples.

    Args:
        parts: traces of one backend, in order. All of them have counts and membranes, or none.

    Returns:
        One trace, without layer spikes, rows and read-out.

    Raises:
        ValueError: `parts` is empty.
    """
    if not parts:
        raise ValueError("no trace to join")
    membranes = [part.membrane for part in parts if part.membrane is not None]
    values = [part.values for part in parts if part.values is not None]
    return SpikeTrace(
        backend=parts[0].backend,
        spikes=np.concatenate([part.spikes for part in parts]),
        counts=_joined([part.counts for part in parts if part.counts is not None]),
        step_counts=_joined([part.step_counts for part in parts if part.step_counts is not None]),
        values=np.concatenate(values) if values else None,
        membrane=np.concatenate(membranes) if membranes else None,
    )


def _joined(parts: Sequence[LayerCounts]) -> LayerCounts | None:
    if not parts:
        return None
    held = [part.arrays() for part in parts]
    keys = [key for key in held[0] if all(key in part for part in held)]
    return LayerCounts(**{key: np.concatenate([part[key] for part in held]) for key in keys})
