"""Runs a network on frames in the reference, in Lava or in both, and says what came out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.errors import CheckFailedError, UserError
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.spike_trace import SpikeTrace, joined
from spikeport.pipeline.cli.accuracy_lines import answer_lines
from spikeport.pipeline.cli.console import table
from spikeport.pipeline.cli.trace_totals import Tally

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """`result` for machines, `lines` for people, `trace` where it was kept, `failure` where a check answered no, or
    where not all samples are done. The functions below take as `rows` which of a larger set the samples are, where they
    were drawn: the trace, what Lava has finished and a divergence name them by these numbers."""

    result: dict[str, Any]
    lines: list[str]
    trace: SpikeTrace | None
    failure: UserError | None = None


def in_reference(
    network: IntegerNetwork,
    frames: Any,
    labels: np.ndarray | None,
    *,
    keep: bool,
    per_step: bool,
    memory_bytes: int | None,
    device: str,
    progress: Progress,
    rows: np.ndarray | None = None,
) -> Simulated:
    """The integer reference, chunk by chunk; without `keep` the spikes of a chunk are forgotten after counting, with
    `per_step` the trace that is kept has the counts of every step."""
    from spikeport.export.backends.reference.simulate import iter_simulate

    tally, kept = Tally(network, labels), []
    for part, trace in iter_simulate(network, frames, per_step=per_step, memory_bytes=memory_bytes, device=device):
        tally.add(part, trace)
        kept += [trace] if keep else []
        progress(part.stop, len(frames))
    return _describe("reference", frames, tally, joined(kept) if kept else None, rows)


def in_lava(
    network: IntegerNetwork,
    frames: Any,
    labels: np.ndarray | None,
    *,
    workers: int | None,
    timeout_s: float,
    progress: Progress,
    rows: np.ndarray | None = None,
) -> Simulated:
    """Lava; when time is up, what is done is told and kept. Raises as `export.backends.lava.driver.simulate`."""
    from spikeport.export.backends.lava.driver import LavaTimeout, simulate

    tally, late = Tally(network, labels), None
    try:
        trace = simulate(network, frames, workers=workers, timeout_s=timeout_s, progress=progress)
        done = np.arange(len(trace.spikes))
    except LavaTimeout as error:
        late, trace, done = error, error.trace, error.done
    tally.add(done, trace)
    done = done if rows is None else rows[done]
    described = _describe(trace.backend, frames, tally, trace, done if late else rows, whole=late is None)
    return _unfinished(described, done, late) if late else described


def in_both(
    network: IntegerNetwork,
    frames: Any,
    labels: np.ndarray | None,
    case_folder: Path,
    *,
    rows: np.ndarray | None = None,
    workers: int | None,
    timeout_s: float,
    progress: Progress,
) -> Simulated:
    """Reference and Lava, every layer compared; where they part, a case is kept in `case_folder`."""
    from spikeport.export.backends.divergence import lines, reference_against_lava

    found = reference_against_lava(
        network, frames, rows=rows, case_folder=case_folder, workers=workers, timeout_s=timeout_s, progress=progress
    )
    tally, equal = Tally(network, labels), found.equivalence
    tally.add(found.done, found.lava)
    done = found.done if rows is None else rows[found.done]
    described = _describe(
        found.lava.backend, frames, tally, found.lava, done if found.late else rows, whole=not found.late
    )
    described.result["reference_vs_lava"] = equal.as_dict()
    described.result["case"] = None if found.case is None else str(found.case)
    described.lines.append(
        f"reference against Lava: {equal.mismatches} mismatches in {equal.spikes_compared:,} spikes of {equal.samples} "
        f"samples, layers {', '.join(equal.layers)}"
    )
    if equal.first_divergence is not None:
        described.lines.extend(lines(equal.first_divergence, found.case))
        hint = "report the case: it is a bug in Spikeport, or Lava is not version 0.10.0"
        failure = CheckFailedError("spikes differ", hint=hint)
        return Simulated(result=described.result, lines=described.lines, trace=described.trace, failure=failure)
    return _unfinished(described, done, found.late) if found.late else described


def _describe(
    backend: str,
    frames: Any,
    tally: Tally,
    trace: SpikeTrace | None,
    rows: np.ndarray | None = None,
    *,
    whole: bool = True,
) -> Simulated:
    result = {"backend": backend, "steps": int(frames.shape[1]), **tally.result()}
    lines = [
        f"{backend}: {result['samples']} samples of {result['steps']} steps, {result['output_spikes']:,} output spikes"
    ]
    read = "" if result["readout"] == "spikes" else f" ({result['readout']} read-out)"
    lines += answer_lines(tally.accuracy(), result["samples"], result["silent"], read, whole=whole)
    if "layers" in result:
        lines += table(("layer", "spikes/sample", "synops/sample"), [tuple(row.values()) for row in result["layers"]])
    return Simulated(result=result, lines=lines, trace=trace and replace(trace, rows=rows))


def _unfinished(described: Simulated, done: np.ndarray, late: Exception) -> Simulated:
    described.result["unfinished"] = str(late)
    described.result["samples_done"] = done.tolist()
    described.lines.append(f"note: {late}")
    failure = UserError(
        f"Lava ran out of time: {len(done)} samples are done",
        hint="give a longer --timeout or fewer --samples; what is done is shown above, and kept where --out is given",
    )
    return Simulated(result=described.result, lines=described.lines, trace=described.trace, failure=failure)
