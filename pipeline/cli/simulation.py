"""Runs a network on frames with one backend, or with two backends that are compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.errors import CheckFailedError, UserError
from spikeport.export.backends.base import Backend, SimulationTimeout
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.spike_trace import SpikeTrace, joined
from spikeport.pipeline.cli.console import DIVERGENCE_HINT
from spikeport.pipeline.cli.trace_totals import TraceTotals
from spikeport.pipeline.stages.accuracy_lines import answer_lines
from spikeport.progress import Progress
from spikeport.tables import text_table


@dataclass(frozen=True, kw_only=True)
class Job:
    """The samples to simulate.

    Attributes:
        network: the network.
        frames: `[N, T, *input_shape]`.
        labels: `[N]`; None where they are unknown.
        rows: numbers of the samples in the whole set, `[N]`; None where all samples of it are simulated.
        progress: called with samples done and samples in all.
    """

    network: IntegerNetwork
    frames: Any
    labels: np.ndarray | None
    rows: np.ndarray | None
    progress: Progress

    def numbers(self, done: np.ndarray) -> np.ndarray:
        """Numbers in the whole set of the samples `done` of this job."""
        return done if self.rows is None else self.rows[done]


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """The result of a simulation.

    Attributes:
        result: the result in JSON values.
        lines: the result as text.
        trace: the spike trace; None if it is not needed.
        failure: the error to raise after printing: spikes differ, or samples are not finished.
    """

    result: dict[str, Any]
    lines: list[str]
    trace: SpikeTrace | None
    failure: UserError | None = None


def chosen(
    names: str, *, device: str | None, memory_bytes: int | None, workers: int | None, timeout_s: float | None
) -> tuple[Backend, ...]:
    """The backends of --backend, with their options.

    Args:
        names: "both", or names of one or two backends, separated by a comma; see `backend_of`.
        device: device of the reference; None: the CPU.
        memory_bytes: memory limit of the reference; None: the default.
        workers: number of Lava processes; None: the default.
        timeout_s: time limit of Lava in seconds; None: the default.

    Raises:
        UserError: a name is unknown, there are more than two, or none of them takes an option.
    """
    from spikeport.export.backends.lava.backend import LavaBackend
    from spikeport.export.backends.reference.backend import ReferenceBackend
    from spikeport.export.backends.table import backend_of

    found: list[Backend] = []
    for name in ("reference,lava" if names == "both" else names).split(","):
        backend = backend_of(name.strip())
        if isinstance(backend, ReferenceBackend):
            backend = replace(backend, device=device or "cpu", memory_bytes=memory_bytes)
        elif isinstance(backend, LavaBackend):
            backend = replace(backend, workers=workers, timeout_s=timeout_s or backend.timeout_s)
        found.append(backend)
    if len(found) > 2:
        raise UserError(f"{len(found)} backends are given, two can be compared", where="--backend")
    for kind, options in (
        (ReferenceBackend, {"--device": device, "--memory": memory_bytes}),
        (LavaBackend, {"--workers": workers, "--timeout": timeout_s}),
    ):
        given = [word for word, value in options.items() if value is not None]
        if "--timeout" in given and len(found) > 1:
            given.remove("--timeout")  # a comparison hands it to any backend
        if given and not any(isinstance(backend, kind) for backend in found):
            name = kind().name
            raise UserError(f"{' and '.join(given)} is for backend {name} alone", where="--backend",
                            hint=f"leave it out, or name {name}")  # fmt: skip
    return tuple(found)


def in_reference(
    job: Job,
    *,
    keep: bool,
    per_step: bool,
    memory_bytes: int | None,
    device: str,
) -> Simulated:
    """Simulates with the integer reference in chunks.

    Args:
        job: the samples.
        keep: whether to keep the spike trace.
        per_step: whether the trace contains the counts of every time step.
        memory_bytes: memory limit of a chunk; None: the default.
        device: `cpu`, `cuda` or `cuda:N`.
    """
    from spikeport.export.backends.reference.simulate import iter_simulate

    totals, traces = TraceTotals(job.network, job.labels), []
    chunks = iter_simulate(job.network, job.frames, per_step=per_step, memory_bytes=memory_bytes, device=device)
    for part, trace in chunks:
        totals.add(part, trace)
        traces += [trace] if keep else []
        job.progress(part.stop, len(job.frames))
    return _describe("reference", job.frames, totals, joined(traces) if traces else None, job.rows)


def in_backend(
    job: Job,
    backend: Backend,
) -> Simulated:
    """Simulates with any backend. After a timeout, the result contains the finished samples.

    Args:
        job: the samples.
        backend: the backend.
    """
    totals, timeout = TraceTotals(job.network, job.labels), None
    try:
        trace = backend.simulate(job.network, job.frames, progress=job.progress)
        done = np.arange(len(trace.spikes))
    except SimulationTimeout as error:
        timeout, trace, done = error, error.trace, error.done
    totals.add(done, trace)
    done = job.numbers(done)
    described = _describe(
        trace.backend, job.frames, totals, trace, done if timeout else job.rows, whole=timeout is None
    )
    return _unfinished(described, done, timeout) if timeout else described


def simulate_and_compare(
    job: Job,
    backends: tuple[Backend, Backend],
    case_folder: Path,
    *,
    timeout_s: float,
) -> Simulated:
    """Simulates with two backends and compares the spikes of every layer.

    Args:
        job: the samples.
        backends: the two backends.
        case_folder: folder for the case of the first divergence.
        timeout_s: time limit of the second backend in s.
    """
    from spikeport.export.backends.compare import pair_key
    from spikeport.export.backends.compare_backends import compare_backends

    found = compare_backends(
        job.network,
        job.frames,
        backends,
        sample_numbers=job.rows,
        case_folder=case_folder,
        timeout_s=timeout_s,
        progress=job.progress,
    )
    totals, comparison, timeout = TraceTotals(job.network, job.labels), found.comparison, found.timeout
    totals.add(found.done, found.trace)
    done = job.numbers(found.done)
    described = _describe(
        found.trace.backend, job.frames, totals, found.trace, done if timeout else job.rows, whole=timeout is None
    )
    described.result[pair_key(comparison.first, comparison.second)] = comparison.to_json()
    described.result["case"] = None if found.case is None else str(found.case)
    described.lines.extend(comparison.describe())
    if not comparison.equal:
        described.lines.extend([f"replay it with: spikeport replay {found.case}"] if found.case else [])
        failure = CheckFailedError("spikes differ", hint=DIVERGENCE_HINT)
        return Simulated(result=described.result, lines=described.lines, trace=described.trace, failure=failure)
    return _unfinished(described, done, timeout) if timeout else described


def _describe(
    backend: str,
    frames: Any,
    totals: TraceTotals,
    trace: SpikeTrace | None,
    rows: np.ndarray | None = None,
    *,
    whole: bool = True,
) -> Simulated:
    result = {"backend": backend, "steps": int(frames.shape[1]), **totals.result()}
    sent = "messages" if "output_messages" in result else "spikes"
    lines = [
        f"{backend}: {result['samples']} samples of {result['steps']} steps, {result[f'output_{sent}']:,} output {sent}"
    ]
    read = "" if result["readout"] == "spikes" else f" ({result['readout']} read-out)"
    lines += answer_lines(totals.accuracy(), result["samples"], result["silent"], read, whole=whole)
    if "layers" in result:
        head = ("layer", f"{sent}/sample", "synops/sample" if sent == "spikes" else "MACs/sample")
        lines += text_table(head, [tuple(row.values()) for row in result["layers"]])
    return Simulated(result=result, lines=lines, trace=trace and replace(trace, rows=rows))


def _unfinished(described: Simulated, done: np.ndarray, late: Exception) -> Simulated:
    described.result["unfinished"] = str(late)
    described.result["samples_done"] = done.tolist()
    described.lines.append(f"note: {late}")
    failure = UserError(
        f"{described.result['backend']} ran out of time: {len(done)} samples are done",
        hint="give a longer --timeout or fewer --samples; finished samples are shown above, and saved with --out",
    )
    return Simulated(result=described.result, lines=described.lines, trace=described.trace, failure=failure)
