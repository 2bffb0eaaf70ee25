"""Accuracy and energy of a network if it is simulated for fewer time steps."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

import numpy as np

from spikeport.export.backends.reference.simulate import iter_simulate
from spikeport.export.network.accuracy import compare_with_labels
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.readout import UNLABELED
from spikeport.export.network.spike_trace import LayerCounts, SpikeTrace
from spikeport.pipeline.profiling.counts import count_activity
from spikeport.pipeline.profiling.energy import describe
from spikeport.pipeline.profiling.energy.summarize import mean_uj
from spikeport.pipeline.profiling.profile_trace import sample_energies_on
from spikeport.pipeline.run.intervals import Accuracy, share
from spikeport.progress import Progress
from spikeport.values import IntervalJson

POINTS = 5  # most points; the last is after all time steps


class EarlyExitPoint(TypedDict):
    """Accuracy and energy after some of the time steps.

    Attributes:
        steps: number of time steps.
        accuracy: accuracy after these steps.
        dynamic_uj: dynamic energy of these steps, µJ.
    """

    steps: int
    accuracy: Accuracy
    dynamic_uj: IntervalJson


class EarlyExit(TypedDict):
    """Accuracy over time steps, as in report.json.

    Attributes:
        hardware: id of the device.
        name: name of the device.
        basis: grade of its constants, in words.
        points: accuracy and energy by number of steps.
        reason: why there are no points; then the other keys are absent.
    """

    hardware: NotRequired[str]
    name: NotRequired[str]
    basis: NotRequired[str]
    points: NotRequired[list[EarlyExitPoint]]
    reason: NotRequired[str]


def early_exit(
    network: IntegerNetwork,
    frames: Any,
    labels: np.ndarray,
    trace: SpikeTrace,
    hardware: tuple[str, ...],
    active_rule: str | None = None,
    progress: Progress | None = None,
) -> EarlyExit:
    """Accuracy and energy after fractions of the time steps, on the first device whose dynamic energy is known.

    Spikes and counts of a step do not depend on later steps, so one simulation with counts per step gives all points.

    Args:
        network: the network that was simulated.
        frames: `[N, T, ...]`, the input of `trace`.
        labels: classes `[N]`, UNLABELED where unknown.
        trace: the spike trace. Without counts per step, the network is simulated again.
        hardware: ids or files of profiles.
        active_rule: the rule for active neuron updates; None for each profile's own.
        progress: called with samples done and samples in all.
    """
    if np.all(labels == UNLABELED):
        return {"reason": f"none of {len(labels):,} samples has a label"}
    total = trace.spikes.shape[1]
    edges = sorted({-(-total * part // POINTS) for part in range(1, POINTS + 1)})
    counts = _until(network, frames, trace, edges, progress)
    points: list[EarlyExitPoint] = []
    chosen = None
    for at, steps in enumerate(edges):
        cut = SpikeTrace(
            backend=trace.backend,
            spikes=trace.spikes[:, :steps],
            counts=LayerCounts(**{key: counted[:, at] for key, counted in counts.items()}),
        )
        levels = None if trace.levels is None else trace.levels[:, :steps]
        found = sample_energies_on(network, count_activity(network, cut, frames), hardware, active_rule)
        known = [(index, energy) for index, each in enumerate(found) if (energy := mean_uj(each.dynamic_pj))]
        if not known:
            return {"reason": "no device here has a known dynamic energy"}
        index, energy_uj = known[0]
        chosen, hardware = found[index], hardware[index : index + 1]
        answers = compare_with_labels(labels, network.readout.classes(cut.spikes, levels))
        points.append({"steps": steps, "accuracy": share(answers), "dynamic_uj": energy_uj.to_json()})
    if chosen is None:
        return {"reason": "there are no time steps"}
    device = chosen.profile.device
    return {"hardware": device.id, "name": device.name, "basis": describe.basis(chosen), "points": points}


def _until(
    network: IntegerNetwork,
    frames: Any,
    trace: SpikeTrace,
    edges: list[int],
    progress: Progress | None,
) -> dict[str, np.ndarray]:
    """Counts `[N, edges, L]` of the steps before each edge."""
    samples = len(trace.spikes)
    whole = [(slice(0, samples), trace)]
    parts: dict[str, list[np.ndarray]] = {}
    for rows, part in whole if trace.step_counts else iter_simulate(network, frames, per_step=True):
        assert part.step_counts is not None
        for key, counted in part.step_counts.arrays().items():
            parts.setdefault(key, []).append(np.cumsum(counted, axis=1)[:, [edge - 1 for edge in edges]])
        if progress:
            progress(rows.stop, samples)
    return {key: np.concatenate(found) for key, found in parts.items()}
