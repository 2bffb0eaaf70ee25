"""What a simulation gives back, and the file it is kept in."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spikeport.errors import UserError
from spikeport.export.network.readout import Readout
from spikeport.files import write_npz

PER_STEP = "step_"  # how the names of arrays with counts of each step begin in a file


@dataclass(frozen=True, kw_only=True)
class LayerCounts:
    """Exact integer counts, each `[N, L]` int64: one row per sample, one column per layer; `[N, T, L]` where steps are
    told apart, which sum over T to the other.

    `events_in`: nonzero inputs received. `synops`: events times exact fan-out, every synapse counted.
    `effective_synops`: the same without zero weights (NeuroBench's effective operations). `spikes_out`: spikes fired.
    `updates_active`: neuron-steps in which an event arrived, a bias is set, or the neuron fired; the others of
    `neurons * T` are inactive. Definitions: NeuroBench's, with fan-out exact at the edges.
    """

    events_in: np.ndarray
    synops: np.ndarray
    effective_synops: np.ndarray
    spikes_out: np.ndarray
    updates_active: np.ndarray


@dataclass(frozen=True, kw_only=True)
class SpikeTrace:
    """Output spikes `[N, T, K]` uint8 in logical time (layer latency removed), from `backend`.

    `counts`: what the reference counted, None from Lava; `step_counts`: of each step, where asked for.
    `layer_spikes`: every layer's spikes `[N, T, *shape]` uint8, where they were asked for. `membrane`: the last
    layer's voltages at the end of each step, `[N, T, K]` int32 in the chip's units (64ths of a weight step), where the
    network's read-out is its membrane. `rows` `[N]`: which samples of a larger set they are, where they were drawn.
    `readout`: the network's rule for classes; None: the one that fires most.
    """

    backend: str
    spikes: np.ndarray
    counts: LayerCounts | None = None
    step_counts: LayerCounts | None = None
    layer_spikes: tuple[np.ndarray, ...] | None = None
    membrane: np.ndarray | None = None
    rows: np.ndarray | None = None
    readout: Readout | None = None

    def classes(self) -> np.ndarray:
        """The class of each sample, int64 `[N]`; -1 for a sample without an output spike, which has no class."""
        return (self.readout or Readout()).classes(self.spikes, self.membrane)

    def __repr__(self) -> str:
        samples, steps, neurons = self.spikes.shape
        silent = int(np.count_nonzero(~self.spikes.any(axis=(1, 2))))
        lines = [
            f"SpikeTrace from {self.backend}: {samples:,} samples, {steps} steps, {neurons} outputs, "
            f"{int(self.spikes.sum(dtype=np.int64)):,} output spikes, {silent:,} samples without one"
        ]
        if self.counts is not None and samples:
            means = {key: getattr(self.counts, key).mean(axis=0) for key in ("spikes_out", "synops")}
            lines += [
                f"  layer {index}: {spikes:.4g} spikes, {synops:.4g} synaptic operations a sample"
                for index, (spikes, synops) in enumerate(zip(means["spikes_out"], means["synops"], strict=True))
            ]
        return "\n".join(lines)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes `spikes` and, where known, the counts as a .npz without pickles, those of steps as `step_...`."""
        counts = {} if self.counts is None else vars(self.counts)
        steps = {} if self.step_counts is None else vars(self.step_counts)
        membrane = {} if self.membrane is None else {"membrane": self.membrane}
        drawn = {} if self.rows is None else {"rows": self.rows}
        of_steps = {f"{PER_STEP}{key}": counted for key, counted in steps.items()}
        write_npz(path, backend=np.array(self.backend), spikes=self.spikes, **membrane, **drawn, **counts, **of_steps)


def load_trace(path: str | os.PathLike[str]) -> SpikeTrace:
    """The trace that `SpikeTrace.save` wrote. Raises UserError where the file is none."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = dict(archive)
        backend, spikes = str(arrays.pop("backend")), arrays.pop("spikes")
        membrane, rows = arrays.pop("membrane", None), arrays.pop("rows", None)
        steps = {key: arrays.pop(key) for key in list(arrays) if key.startswith(PER_STEP)}
        counts = LayerCounts(**arrays) if arrays else None
        of_steps = LayerCounts(**{key.removeprefix(PER_STEP): array for key, array in steps.items()}) if steps else None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise UserError("is no spike trace", where=str(path), hint="simulate again") from error
    return SpikeTrace(backend=backend, spikes=spikes, counts=counts, step_counts=of_steps, membrane=membrane, rows=rows)


def joined(parts: Sequence[SpikeTrace]) -> SpikeTrace:
    """Traces of successive samples as one, without layer spikes. Raises ValueError where there is none."""
    if not parts:
        raise ValueError("no trace to join")
    membranes = [part.membrane for part in parts if part.membrane is not None]
    return SpikeTrace(
        backend=parts[0].backend,
        spikes=np.concatenate([part.spikes for part in parts]),
        counts=_joined([part.counts for part in parts if part.counts is not None]),
        step_counts=_joined([part.step_counts for part in parts if part.step_counts is not None]),
        membrane=np.concatenate(membranes) if membranes else None,
    )


def _joined(parts: Sequence[LayerCounts]) -> LayerCounts | None:
    if not parts:
        return None
    return LayerCounts(**{key: np.concatenate([getattr(part, key) for part in parts]) for key in vars(parts[0])})
