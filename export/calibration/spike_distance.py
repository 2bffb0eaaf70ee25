"""How far an integer layer is from the float one: the criterion of the scale search."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.export.network.spike_trace import SpikeTrace


@dataclass(frozen=True)
class Wanted:
    """What a float layer gave: spikes `[N, T, ...]`, or voltages `[N, T, K]` where it is a membrane read-out. `units`:
    the chip's units of v for one of the graph's at scale 1."""

    signal: np.ndarray
    voltages: bool
    units: float


@dataclass(frozen=True)
class Distance:
    """`value`: `spike_distance`, or for voltages the root mean square of their difference over the float ones'.
    `per_sample` adds up to it (its square, for voltages)."""

    value: float
    per_sample: np.ndarray

    def beats(self, other: Distance, errors: float, share: float = 1.0) -> bool:
        """Whether this is below `share` of `other`, by more than so many standard errors of their paired difference."""
        ahead = other.per_sample - self.per_sample
        noise = float(np.std(ahead, ddof=1)) / np.sqrt(len(ahead)) if len(ahead) > 1 else 0.0
        return self.value < share * other.value and float(ahead.mean()) > errors * noise


def distance(trace: SpikeTrace, wanted: Wanted, scale: float) -> Distance:
    """The distance of a trace's output from what was wanted; a bias neuron behind its neurons is left out."""
    neurons = int(np.prod(wanted.signal.shape[2:]))
    if not wanted.voltages:
        flat = trace.spikes.reshape(*trace.spikes.shape[:2], -1)[..., :neurons]
        shares = _ahead(flat, wanted.signal) / max(int(np.count_nonzero(wanted.signal)), 1)
        return Distance(float(shares.sum()), shares)
    assert trace.membrane is not None
    off = trace.membrane[..., :neurons] / (wanted.units * scale) - wanted.signal
    shares = np.square(off).mean(axis=(1, 2)) / len(off) / max(float(np.square(wanted.signal).mean()), 1e-30)
    return Distance(float(np.sqrt(shares.sum())), shares)


def spike_distance(given: np.ndarray, wanted: np.ndarray) -> float:
    """How far spikes `[N, T, ...]` are from wanted ones, per wanted spike: for each neuron the difference of the two
    counts of spikes so far, its size averaged over the steps, summed over neurons and samples.

    A spike k steps late costs k/T, one too many or too few what is left of the recording after it. 0 if all are equal.
    """
    return float(_ahead(given, wanted).sum()) / max(int(np.count_nonzero(wanted)), 1)


def _ahead(given: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    sums, steps = np.zeros(len(given)), given.shape[1]
    for row, (one, other) in enumerate(zip(given, wanted, strict=True)):  # counts need more room than spikes
        off = one.reshape(steps, -1).astype(np.int32) - other.reshape(steps, -1)
        sums[row] = float(np.abs(np.cumsum(off, axis=0, dtype=np.int32)).sum()) / steps
    return sums
