"""Measures ANNs on this machine's CPU and GPU through onnxruntime, with energy where a counter is readable.

Batch 1 and the best batch are both reported, since the energy per inference of a GPU differs by a factor of up to 40
between them. The row of batch 1 contains the times of all batch sizes.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.hardware_profiles.profile import HardwareProfile
from spikeport.pipeline.profiling.baseline.energy_meter import (
    CPU,
    GPU,
    Joules,
    measure_joules,
    why_no_counter,
    why_no_cpu_counter,
)
from spikeport.pipeline.profiling.baseline.gpu_model import modeled_rows
from spikeport.pipeline.profiling.baseline.rows import MEASURED, BaselineRow, CurvePoint, make_row
from spikeport.pipeline.profiling.gpu_work import count_work
from spikeport.pipeline.profiling.percentiles import over_repeats
from spikeport.progress import Progress
from spikeport.values import Interval, IntervalJson

CUDA = "CUDAExecutionProvider"
BATCHES = (1, 8, 32, 128)
WARM_UP_RUNS = 3
LEAST_REPEATS = 5


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Time of one batch over repeats.

    Attributes:
        batch: size of the batch.
        batch_us: time of a batch, µs: median, with the 2.5 and 97.5 % quantiles.
        repeats: number of repeats.
    """

    batch: int
    batch_us: Interval
    repeats: int

    @property
    def us_per_inference(self) -> float:
        """Median time of a batch over its size, µs."""
        return self.batch_us.nominal / self.batch


@dataclass(frozen=True, kw_only=True)
class BaselineModel:
    """An ONNX model to compare the spiking network with.

    Attributes:
        name: its name in reports.
        path: its file; None where there is none, with the reason in `note`.
        note: a remark for reports.
        modeled: whether modeled rows of a GPU are reported too.
    """

    name: str
    path: Path | None
    note: str = ""
    modeled: bool = True


def baseline_rows(
    baseline_models: Sequence[BaselineModel],
    gpu: HardwareProfile | None,
    *,
    seconds: float,
    threads: int = 0,
    period_us: float | None = None,
    progress: Progress | None = None,
) -> list[BaselineRow]:
    """Times and energies of each model at batch 1 and the best batch: CPU, model of a GPU, and GPU of this machine.

    Args:
        baseline_models: the ONNX models.
        gpu: profile of the GPU that is modeled; None for none.
        seconds: time in s for the repeats of each batch size, divided among the models.
        threads: threads of onnxruntime; 0 for all cores.
        period_us: time from one recording to the next, µs, for live energies; None where it is not known.
        progress: called with batch sizes done and batch sizes in all.

    Raises:
        UserError: a model cannot be read.
    """
    reason = why_no_counter()
    rows: list[BaselineRow] = []
    there = sum(model.path is not None for model in baseline_models)
    timed = 0

    def within(done: int, total: int) -> None:
        if progress:
            progress(timed * total + done, there * total)

    for model in baseline_models:
        if model.path is None:
            rows.append(make_row("any", "any", scope="", reason=model.note, model=model.name))
            continue
        found = _cpu_rows(model.path, seconds / there, threads or _usable_cores(), within)
        found += modeled_rows(gpu, count_work(model.path), period_us) if gpu and model.modeled else []
        found += [] if reason else _gpu_rows(model.path, seconds)
        for row in found:
            scope = f"{model.note}; {row['scope']}" if model.note else row["scope"]
            rows.append({**row, "model": model.name, "scope": scope})
        timed += 1
    return [*rows, make_row("NVIDIA GPU, counter", "any", scope="board", reason=reason)] if reason else rows


def measure_timing(run: Callable[[], object], batch: int, seconds: float) -> Timing:
    """Times repeated runs after a warm-up.

    Args:
        run: the work.
        batch: size of the batch that `run` processes.
        seconds: time for the repeats, s; there are at least LEAST_REPEATS.
    """
    for _ in range(WARM_UP_RUNS):
        run()
    times_us: list[float] = []
    begun = time.perf_counter()
    while len(times_us) < LEAST_REPEATS or time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        run()
        times_us.append((time.perf_counter() - start) * 1e6)
    return Timing(batch=batch, batch_us=over_repeats(np.array(times_us)), repeats=len(times_us))


def _cpu_rows(
    path: str | os.PathLike[str], seconds: float, threads: int, progress: Progress | None
) -> list[BaselineRow]:
    import onnxruntime

    session = _session(path, "CPUExecutionProvider", threads)
    timings = []
    for done, batch in enumerate(BATCHES, start=1):
        timings.append(measure_timing(_runner(session, batch), batch, seconds))
        if progress:
            progress(done, len(BATCHES))
    device = f"{_cpu_name()}, onnxruntime {onnxruntime.__version__}, {threads} thread{'s' * (threads != 1)}"
    reason, rows, chosen = why_no_cpu_counter(), [], one_and_best(timings)
    for timing in chosen:
        scope = f"model alone, images in memory, {timing.repeats} repeats"
        found = None if reason else measure_joules(_runner(session, timing.batch), timing.batch, CPU)
        rows.append(timed_row(device, timing, scope, found, CPU.scope, reason))
    rows[0]["curve"] = curve(timings, {t.batch: row["energy_uj"] for t, row in zip(chosen, rows, strict=True)})
    return rows


def one_and_best(timings: list[Timing]) -> list[Timing]:
    """The timing of batch 1, and that of the batch with the least time per inference if it is another one.

    Args:
        timings: one for each batch size, with batch 1.
    """
    best = min(timings, key=lambda timing: timing.us_per_inference)
    return [timing for timing in timings if timing.batch == 1] + [best] * (best.batch != 1)


def curve(timings: Sequence[Timing], energy_uj: Mapping[int, IntervalJson | None]) -> list[CurvePoint]:
    """Time by batch size, as report.json contains it.

    Args:
        timings: timings of all batch sizes.
        energy_uj: energy of one inference by batch size, µJ; None where it was not measured.
    """
    return [
        {
            "batch": timing.batch,
            "latency_us": timing.batch_us.to_json(),
            "us_per_inference": timing.us_per_inference,
            "repeats": timing.repeats,
            "energy_uj": energy_uj.get(timing.batch),
        }
        for timing in timings
    ]


def _gpu_rows(path: str | os.PathLike[str], seconds: float) -> list[BaselineRow]:
    session = _session(path, CUDA, 0)
    if CUDA not in session.get_providers():  # onnxruntime falls back to the CPU if a CUDA library is missing
        reason = "onnxruntime lists CUDA and could not use it (is a library of CUDA's or cuDNN's missing?)"
        return [make_row("NVIDIA GPU, onnxruntime", "any", scope="board", reason=reason)]
    timings = [measure_timing(_runner(session, batch), batch, seconds) for batch in BATCHES]
    rows, chosen = [], one_and_best(timings)
    for timing in chosen:
        found = measure_joules(_runner(session, timing.batch), timing.batch, GPU)
        rows.append(timed_row("NVIDIA GPU 0, onnxruntime", timing, "", found, GPU.scope))
    rows[0]["curve"] = curve(timings, {t.batch: row["energy_uj"] for t, row in zip(chosen, rows, strict=True)})
    return rows


def timed_row(
    device: str, timing: Timing, scope: str, joules: Joules | None, counted: str, reason: str = ""
) -> BaselineRow:
    """A row of measured time and, where a counter was read, measured energy.

    Args:
        device: name of the device.
        timing: the measured time.
        scope: what the time covers.
        joules: the measured energy; None where there is no counter. Dynamic energy may be negative, since idle power
            varies.
        counted: what the counter covers.
        reason: why there is no counter.
    """
    row = make_row(
        device,
        timing.batch,
        latency_us=timing.batch_us.to_json(),
        latency_basis=MEASURED,
        scope=scope,
        us_per_inference=timing.us_per_inference,
        reason=reason,
    )
    if joules is None:
        return row
    dynamic, total = (None if mj is None else mj * 1e3 for mj in (joules.dynamic_mj, joules.total_mj))
    read = f"{counted}; {joules.seconds:.1f} s, idle {joules.idle_w:.1f} W subtracted"
    known = joules.status == "measured"
    row["scope"] = f"{scope}; joules: {read}" if scope else read
    row["energy_uj"] = None if dynamic is None else {"low": dynamic, "nominal": dynamic, "high": dynamic}
    row["energy_basis"] = MEASURED if known else None
    row["reason"] = "" if known else joules.status
    row["total_uj"] = total
    return row


def _session(path: str | os.PathLike[str], provider: str, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(os.fspath(path), options, providers=[provider])


def _runner(session: Any, batch: int) -> Callable[[], None]:
    """A call that runs the model once on a fixed random batch and returns when its output is in memory."""
    (given,) = session.get_inputs()
    images = np.random.default_rng(0).random((batch, *given.shape[1:]), dtype=np.float32)

    def run() -> None:
        session.run(None, {given.name: images})

    return run


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
