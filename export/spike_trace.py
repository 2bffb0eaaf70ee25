"""What a simulation gives back, and the file it is kept in."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from export.files import write_npz


@dataclass(frozen=True, kw_only=True)
class LayerCounts:
    """Exact integer counts, each `[N, L]` int64: one row per sample, one column per layer.

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

    `counts`: what the reference counted, None from Lava. `layer_spikes`: every layer's spikes `[N, T, *shape]` uint8,
    where they were asked for.
    """

    backend: str
    spikes: np.ndarray
    counts: LayerCounts | None = None
    layer_spikes: tuple[np.ndarray, ...] | None = None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes `spikes` and, where known, the counts as a .npz without pickles."""
        counts = {} if self.counts is None else vars(self.counts)
        write_npz(path, spikes=self.spikes, **counts)
