"""Runs two backends on the same frames and compares every layer; keeps the first divergence as a case."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.errors import CannotWriteError, UserError
from spikeport.export.backends.base import Backend, SimulationTimeout
from spikeport.export.backends.compare import SpikeComparison, compare_traces, merge
from spikeport.export.backends.divergence_case import write_case
from spikeport.export.backends.table import backend_of
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.spike_trace import SpikeTrace, joined
from spikeport.notes import warning
from spikeport.progress import Progress

CHUNK_BYTES = 1 << 28  # spikes of all layers that one backend returns at once


@dataclass(frozen=True, kw_only=True)
class BackendComparison:
    """Result of running two backends on the same frames.

    Attributes:
        comparison: spikes that differ, over the samples `done`.
        trace: output spikes and membranes of the second backend for these samples.
        done: indices of the samples that both finished, int64, ascending.
        case: folder with the first divergence, for `replay`; None if the backends agree or no folder was given.
        timeout: the error of the backend that ran out of time; None if all samples are done.
    """

    comparison: SpikeComparison
    trace: SpikeTrace
    done: np.ndarray
    case: Path | None
    timeout: SimulationTimeout | None


def compare_backends(
    network: IntegerNetwork,
    frames: Any,
    backends: tuple[str | Backend, str | Backend] = ("reference", "lava"),
    *,
    sample_numbers: np.ndarray | None = None,
    case_folder: Path | None = None,
    timeout_s: float | None = None,
    progress: Progress | None = None,
) -> BackendComparison:
    """Runs both backends, the slower one second, and compares every layer, and the membrane if it is the read-out.

    Args:
        network: the network to run.
        frames: `[N, T, *input_shape]`, see `Backend.simulate`.
        backends: two backends, each a name for `backend_of` or the backend itself. When the second one runs out of
            time, the samples that it finished are compared.
        sample_numbers: int64 `[N]`, the samples' numbers in a larger set. Divergences and cases use these numbers.
        case_folder: where the first sample that differs is kept, together with all that `replay` needs.
        timeout_s: seconds for all samples of the second backend; None: its own limit, for each chunk of samples.
        progress: called with (samples done, samples in all) by the second backend.

    Raises:
        SimulationTimeout: the second backend finished no sample in time.
        UserError: a backend cannot execute the network, or the frames are not legal inputs.
        MissingDependencyError: a backend is not installed.
    """
    first, second = (backend_of(backend) for backend in backends)
    for backend in (first, second):
        _refuse_faults(backend, network)
    samples, steps = frames.shape[:2]
    numbers = np.arange(samples) if sample_numbers is None else sample_numbers
    size = max(1, CHUNK_BYTES // max(1, steps * sum(layer.neurons for layer in network.layers)))
    end = None if timeout_s is None else time.monotonic() + timeout_s
    parts: list[SpikeComparison] = []
    outputs: list[SpikeTrace] = []
    done: list[np.ndarray] = []
    case: Path | None = None
    timeout: SimulationTimeout | None = None
    for start in range(0, max(samples, 1), size):
        chunk = np.asarray(frames[start : start + size])
        left = None if end is None else max(1.0, end - time.monotonic())
        of_chunk = None if progress is None else _shifted(progress, start, samples)
        try:
            trace = second.simulate(network, chunk, keep_layers=True, timeout_s=left, progress=of_chunk)
            finished = np.arange(len(chunk))
        except SimulationTimeout as error:
            timeout, trace, finished = error, error.trace, error.done
            if not len(finished) and not parts:
                raise
        if len(finished) or not parts:
            own = first.simulate(network, chunk[finished], keep_layers=True)
            found = compare_traces(network, own, trace, (first.name, second.name))
            parts.append(found)
            outputs.append(replace(trace, counts=None, step_counts=None, layer_spikes=None, layer_values=None))
            done.append(start + finished)
            if case is None and case_folder is not None and found.first_divergence is not None:
                sample = chunk[finished], numbers[start + finished]
                case = _keep_case(case_folder, network, *sample, found, (own, trace), (first, second))
        if timeout:
            break
    comparison, compared = merge(parts), np.concatenate(done)
    if (divergence := comparison.first_divergence) is not None:
        numbered = replace(divergence, sample=int(numbers[compared[divergence.sample]]))
        comparison = replace(comparison, first_divergence=numbered)
    return BackendComparison(comparison=comparison, trace=joined(outputs), done=compared, case=case, timeout=timeout)


def _refuse_faults(backend: Backend, network: IntegerNetwork) -> None:
    faults = backend.check(network)
    if faults:
        raise UserError(
            "cannot execute this network",
            where=backend.name,
            cause="; ".join(f"({index}) {fault}" for index, fault in enumerate(faults, 1)),
        )


def _keep_case(
    folder: Path,
    network: IntegerNetwork,
    frames: np.ndarray,
    numbers: np.ndarray,
    found: SpikeComparison,
    traces: Sequence[SpikeTrace],
    backends: Sequence[Backend],
) -> Path | None:
    """Writes the first divergence as a case, named by its sample's number; None if it cannot be written."""
    divergence = found.first_divergence
    assert divergence is not None
    row = slice(divergence.sample, divergence.sample + 1)
    numbered = replace(divergence, sample=int(numbers[divergence.sample]))
    try:
        return write_case(folder, network, frames[row], numbered, [_rows(trace, row) for trace in traces], backends)
    except CannotWriteError as error:  # the divergence is reported in any case
        warning(f"the case is not kept: {error}")
        return None


def _rows(trace: SpikeTrace, rows: slice) -> SpikeTrace:
    def part(array: np.ndarray | None) -> np.ndarray | None:
        return None if array is None else array[rows]

    def parts(layers: tuple[np.ndarray, ...] | None) -> tuple[np.ndarray, ...] | None:
        return None if layers is None else tuple(layer[rows] for layer in layers)

    return SpikeTrace(
        backend=trace.backend,
        spikes=trace.spikes[rows],
        layer_spikes=parts(trace.layer_spikes),
        values=part(trace.values),
        layer_values=parts(trace.layer_values),
        membrane=part(trace.membrane),
    )


def _shifted(progress: Progress, before: int, total: int) -> Progress:
    return lambda done, _: progress(before + done, total)
