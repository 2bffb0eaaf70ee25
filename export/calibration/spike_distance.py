"""Distance of an integer layer from the float layer: the criterion of the scale search."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.export.network.spike_trace import SpikeTrace


@dataclass(frozen=True)
class Target:
    """Output of a float layer, which the integer layer should reproduce.

    Attributes:
        signal: spikes `[N, T, ...]`, or voltages `[N, T, K]` in the graph's units.
        voltages: whether `signal` is voltages.
        units: chip units of voltage for one unit of the graph, at scale 1.
    """

    signal: np.ndarray
    voltages: bool
    units: float


@dataclass(frozen=True)
class Distance:
    """Distance of an output from its target.

    Attributes:
        value: `spike_distance`; for voltages, the root mean square of the difference over that of the target.
        per_sample: contributions `[N]` of the samples, whose sum is `value` (for voltages its square).
    """

    value: float
    per_sample: np.ndarray

    def beats(self, other: Distance, errors: float, share: float = 1.0) -> bool:
        """Whether this distance is smaller than `other`.

        Args:
            other: the distance to compare with, on the same samples.
            errors: number of standard errors of the paired difference by which it must be smaller.
            share: fraction of `other` that it must be below.
        """
        ahead = other.per_sample - self.per_sample
        noise = float(np.std(ahead, ddof=1)) / np.sqrt(len(ahead)) if len(ahead) > 1 else 0.0
        return self.value < share * other.value and float(ahead.mean()) > errors * noise


def distance(trace: SpikeTrace, target: Target, scale: float) -> Distance:
    """Distance of the output of an integer layer from its target. Bias neurons at the end are excluded.

    Args:
        trace: output of the integer layer.
        target: output of the float layer.
        scale: scale of the integer layer, chip units per unit of the graph.
    """
    neurons = int(np.prod(target.signal.shape[2:]))
    if not target.voltages:
        flat = trace.spikes.reshape(*trace.spikes.shape[:2], -1)[..., :neurons]
        shares = _ahead(flat, target.signal) / max(int(np.count_nonzero(target.signal)), 1)
        return Distance(float(shares.sum()), shares)
    assert trace.membrane is not None
    off = trace.membrane[..., :neurons] / (target.units * scale) - target.signal
    shares = np.square(off).mean(axis=(1, 2)) / len(off) / max(float(np.square(target.signal).mean()), 1e-30)
    return Distance(float(np.sqrt(shares.sum())), shares)


def spike_distance(given: np.ndarray, target: np.ndarray) -> float:
    """Distance of two spike trains, per spike of the target.

    For each neuron, the absolute difference of the two cumulative spike counts, averaged over time; summed over neurons
    and samples. A spike that is k of T steps late adds k/T; a missing or additional spike adds the fraction of the
    sample that follows it.

    Args:
        given: spikes `[N, T, ...]` of 0 and 1.
        target: spikes of the same shape.

    Returns:
        The distance, 0 for equal spikes.
    """
    return float(_ahead(given, target).sum()) / max(int(np.count_nonzero(target)), 1)


def _ahead(given: np.ndarray, target: np.ndarray) -> np.ndarray:
    sums, steps = np.zeros(len(given)), given.shape[1]
    for row, (one, other) in enumerate(zip(given, target, strict=True)):  # counts need more room than spikes
        off = one.reshape(steps, -1).astype(np.int32) - other.reshape(steps, -1)
        sums[row] = float(np.abs(np.cumsum(off, axis=0, dtype=np.int32)).sum()) / steps
    return sums
