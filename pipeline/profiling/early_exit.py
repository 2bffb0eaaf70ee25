"""Accuracy against energy within one network: what if it were read after fewer steps?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from spikeport.export.backends.reference.simulate import iter_simulate
from spikeport.export.network.accuracy import compare_with_labels
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.readout import UNLABELLED
from spikeport.export.network.spike_trace import LayerCounts, SpikeTrace
from spikeport.pipeline.profiling.counts import count_activity
from spikeport.pipeline.profiling.profile_trace import sample_energies_on
from spikeport.pipeline.run.intervals import share

POINTS = 5  # at most, the last of them after all steps


def early_exit(
    network: IntegerNetwork,
    frames: Any,
    labels: np.ndarray,
    trace: SpikeTrace,
    hardware: tuple[str, ...],
    active_rule: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """{"hardware", "name", "basis", "points"} on the first of `hardware` whose dynamic energy is known, or {"reason"}.

    A point: `steps` read, `accuracy` {value, n, silent, low, high}, `dynamic_uj` {low, nominal, high} of what was done
    until then. Spikes and counts of a step do not depend on later ones, so one simulation that tells steps apart holds
    all; it is not made where `trace` of `frames` already does.
    """
    if np.all(labels == UNLABELLED):
        return {"reason": f"none of {len(labels):,} samples has a label"}
    total = trace.spikes.shape[1]
    edges = sorted({-(-total * part // POINTS) for part in range(1, POINTS + 1)})
    counts = _until(network, frames, trace, edges, progress)
    points = []
    for at, steps in enumerate(edges):
        cut = SpikeTrace(
            backend=trace.backend,
            spikes=trace.spikes[:, :steps],
            counts=LayerCounts(**{key: counted[:, at] for key, counted in counts.items()}),
        )
        membrane = None if trace.membrane is None else trace.membrane[:, :steps]
        found = sample_energies_on(network, count_activity(network, cut, frames), hardware, active_rule)
        known = [index for index, each in enumerate(found) if each.dynamic_uj]
        if not known:
            return {"reason": "no device here has a known dynamic energy"}
        estimate, hardware = found[known[0]], hardware[known[0] : known[0] + 1]
        answers = compare_with_labels(labels, network.readout.classes(cut.spikes, membrane))
        points.append({"steps": steps, "accuracy": share(answers), "dynamic_uj": estimate.dynamic_uj})
    device = estimate.profile.device
    return {"hardware": device.id, "name": device.name, "basis": estimate.basis, "points": points}


def _until(
    network: IntegerNetwork,
    frames: Any,
    trace: SpikeTrace,
    edges: list[int],
    progress: Callable[[int, int], None] | None,
) -> dict[str, np.ndarray]:
    """Counts `[N, edges, L]` of the steps before each edge."""
    samples = len(trace.spikes)
    every = [(slice(0, samples), trace)]
    parts: dict[str, list[np.ndarray]] = {}
    for rows, part in every if trace.step_counts else iter_simulate(network, frames, per_step=True):
        assert part.step_counts is not None
        for key, counted in vars(part.step_counts).items():
            parts.setdefault(key, []).append(np.cumsum(counted, axis=1)[:, [edge - 1 for edge in edges]])
        if progress:
            progress(rows.stop, samples)
    return {key: np.concatenate(found) for key, found in parts.items()}
