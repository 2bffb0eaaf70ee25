"""ANNs beside the spiking network: timed on this CPU, bounded on a GPU, measured in joules where a counter is.

Batch 1 and the best batch always stand side by side: a GPU's energy per inference falls forty-fold between them. What
every batch size took is the curve of batch 1's row.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from spikeport.errors import UserError
from spikeport.hardware_profiles.profile import HardwareProfile, known
from spikeport.pipeline.profiling.baseline.energy_meter import (
    CPU,
    GPU,
    Joules,
    measure_joules,
    why_no_counter,
    why_no_cpu_counter,
)
from spikeport.pipeline.profiling.macs import Macs, count_macs
from spikeport.pipeline.profiling.percentiles import over_repeats
from spikeport.values import Interval

CUDA = "CUDAExecutionProvider"
BATCHES = (1, 8, 32, 128)
WARM_UP_RUNS = 3
LEAST_REPEATS = 5
Precision = Literal["fp32", "fp16", "int8"]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Time of one batch in µs over repeats, {low, nominal, high}: 2.5 %, median, 97.5 %."""

    batch: int
    batch_us: Interval
    repeats: int

    @property
    def us_per_inference(self) -> float:
        """Median time of a batch over its size."""
        return self.batch_us.nominal / self.batch


@dataclass(frozen=True, kw_only=True)
class BaselineModel:
    """An ONNX model to hold the spiking network against; without a `path`, `note` says why there is none. `floor`:
    its GPU floor is named too."""

    name: str
    path: Path | None
    note: str = ""
    floor: bool = True


def baseline_rows(
    baseline_models: Sequence[BaselineModel],
    gpu: HardwareProfile,
    *,
    seconds: float,
    threads: int = 0,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Rows of the report's `baseline`, rival by rival: CPU at batch 1 and best batch, the GPU's formula floor, measured
    GPU joules.

    `seconds`: how long each batch size is repeated, shared by the rivals. `threads`: 0 takes every core there is.
    Rows: {model, device, batch, latency_us (of a whole batch), latency_basis, energy_uj (of one inference),
    energy_basis, scope, reason, ...}; a number is {low, nominal, high} or None with a reason. A row of batch 1 that was
    timed has the `curve` of its model and device too (see `curve`).
    """
    reason, rows = why_no_counter(), []
    there = sum(model.path is not None for model in baseline_models)
    timed = 0

    def within(done: int, total: int) -> None:
        if progress:
            progress(timed * total + done, there * total)

    for model in baseline_models:
        if model.path is None:
            rows.append(_row("any", "any", scope="", reason=model.note) | {"model": model.name})
            continue
        found = _cpu_rows(model.path, seconds / there, threads or _usable_cores(), within)
        found += floor_rows(gpu, count_macs(model.path)) if model.floor else []
        found += [] if reason else _gpu_rows(model.path, seconds)
        for row in found:
            scope = f"{model.note}; {row['scope']}" if model.note else row["scope"]
            rows.append(row | {"model": model.name, "scope": scope})
        timed += 1
    return [*rows, _row("NVIDIA GPU, counter", "any", scope="board", reason=reason)] if reason else rows


def floor_rows(gpu: HardwareProfile, macs: Macs) -> list[dict[str, Any]]:
    """The GPU's formula floor for `macs`, a row for each precision that the profile knows a peak for.

    Raises UserError where the profile is no GPU's.
    """
    if gpu.gpu is None:
        raise UserError(f"{gpu.device.id} is no GPU profile", where="profile.baseline_gpu", hint="use a100 or h100")
    return [_floor_row(gpu, precision, macs) for precision in _precisions(gpu)]


def floor_pj_per_mac(gpu: HardwareProfile, precision: Precision) -> float:
    """2 P_max / peak: what a MAC costs at full power and peak throughput. A lower bound, no estimate.

    Raises UserError where the profile has no peak for this precision.
    """
    part = gpu.gpu
    power, peak = (known(part.p_max_w), _peak(gpu, precision)) if part else (None, None)
    if power is None or power.value is None or not peak:
        raise UserError(f"{gpu.device.id} gives no peak for {precision}", hint="choose a GPU profile that has it")
    return 2 * power.value / (peak * 1e12) * 1e12


def measure_timing(run: Callable[[], object], batch: int, seconds: float) -> Timing:
    """Repeats `run` for `seconds` after a warm-up, at least five times."""
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
) -> list[dict[str, Any]]:
    import onnxruntime

    session = _session(path, "CPUExecutionProvider", threads)
    timings = []
    for done, batch in enumerate(BATCHES, start=1):
        timings.append(measure_timing(_runner(session, batch), batch, seconds))
        if progress:
            progress(done, len(BATCHES))
    device = f"{_cpu_name()}, onnxruntime {onnxruntime.__version__}, {threads} thread{'s' * (threads != 1)}"
    reason, rows = why_no_cpu_counter(), []
    for timing in one_and_best(timings):
        scope = f"model alone, images in memory, {timing.repeats} repeats"
        found = None if reason else measure_joules(_runner(session, timing.batch), timing.batch, CPU)
        rows.append(timed_row(device, timing, scope, found, CPU.scope, reason))
    rows[0]["curve"] = curve(timings, {row["batch"]: row["energy_uj"] for row in rows})
    return rows


def one_and_best(timings: list[Timing]) -> list[Timing]:
    """Batch 1, then the batch with the least time per inference, where that is another one."""
    best = min(timings, key=lambda timing: timing.us_per_inference)
    return [timing for timing in timings if timing.batch == 1] + [best] * (best.batch != 1)


def curve(timings: Sequence[Timing], energy_uj: Mapping[int, dict[str, float] | None]) -> list[dict[str, Any]]:
    """A point for each of `timings`: {batch, latency_us (of the batch), us_per_inference, repeats, energy_uj (of one
    inference, by batch; None where joules were not measured)}."""
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


def _floor_row(gpu: HardwareProfile, precision: Precision, macs: Macs) -> dict[str, Any]:
    energy_uj = floor_pj_per_mac(gpu, precision) * macs.total / 1e6
    left_out = f", without {', '.join(macs.uncounted)}" if macs.uncounted else ""
    return _row(
        f"{gpu.device.name}, {precision.upper()}",
        "any",
        energy_uj={"low": energy_uj, "nominal": energy_uj, "high": energy_uj},
        energy_basis="floor",
        scope=f"{macs.total:,} MACs{left_out} at peak throughput and full power: a lower bound, no estimate",
        reason="a formula floor has no latency",
        macs=macs.total,
        pj_per_mac=floor_pj_per_mac(gpu, precision),
        floor_us_per_inference=_floor_us(gpu, precision, macs),
        profile={"file": gpu.file, "sha256": gpu.sha256},
    )


def _floor_us(gpu: HardwareProfile, precision: Precision, macs: Macs) -> float | None:
    """2 MACs / peak, µs: one inference's share of a batch that keeps every unit busy."""
    peak = _peak(gpu, precision)
    return 2 * macs.total / (peak * 1e6) if peak else None


def _gpu_rows(path: str | os.PathLike[str], seconds: float) -> list[dict[str, Any]]:
    session = _session(path, CUDA, 0)
    if CUDA not in session.get_providers():  # where a library of CUDA's is missing, it quietly takes the CPU
        reason = "onnxruntime lists CUDA and could not use it (is a library of CUDA's or cuDNN's missing?)"
        return [_row("NVIDIA GPU, onnxruntime", "any", scope="board", reason=reason)]
    timings = [measure_timing(_runner(session, batch), batch, seconds) for batch in BATCHES]
    rows = []
    for timing in one_and_best(timings):
        found = measure_joules(_runner(session, timing.batch), timing.batch, GPU)
        rows.append(timed_row("NVIDIA GPU 0, onnxruntime", timing, "", found, GPU.scope))
    rows[0]["curve"] = curve(timings, {row["batch"]: row["energy_uj"] for row in rows})
    return rows


def timed_row(
    device: str, timing: Timing, scope: str, joules: Joules | None, counted: str, reason: str = ""
) -> dict[str, Any]:
    """A measured row. `joules`: read from a counter of what `counted` says, None for `reason`; dynamic energy stands in
    `energy_uj`, negative where idle outweighed it."""
    energy: dict[str, Any] = {"reason": reason}
    if joules is not None:
        dynamic, total = (None if mj is None else mj * 1e3 for mj in (joules.dynamic_mj, joules.total_mj))
        read = f"{counted}; {joules.seconds:.1f} s, idle {joules.idle_w:.1f} W subtracted"
        scope = f"{scope}; joules: {read}" if scope else read
        known = joules.status == "measured"
        energy = {
            "energy_uj": None if dynamic is None else {"low": dynamic, "nominal": dynamic, "high": dynamic},
            "energy_basis": "measured" if known else None,
            "reason": "" if known else joules.status,
            "total_uj": total,
        }
    return _row(
        device,
        timing.batch,
        latency_us=timing.batch_us.to_json(),
        latency_basis="measured",
        scope=scope,
        us_per_inference=timing.us_per_inference,
        **energy,
    )


def _row(
    device: str,
    batch: int | str,
    *,
    scope: str,
    latency_us: dict[str, float] | None = None,
    latency_basis: str | None = None,
    energy_uj: dict[str, float] | None = None,
    energy_basis: str | None = None,
    reason: str = "",
    **more: Any,
) -> dict[str, Any]:
    return {
        "device": device,
        "batch": batch,
        "latency_us": latency_us,
        "latency_basis": latency_basis,
        "energy_uj": energy_uj,
        "energy_basis": energy_basis,
        "scope": scope,
        "reason": reason,
        **more,
    }


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


def _precisions(gpu: HardwareProfile) -> list[Precision]:
    every: tuple[Precision, ...] = ("fp32", "fp16", "int8")
    return [precision for precision in every if _peak(gpu, precision)]


def _peak(gpu: HardwareProfile, precision: Precision) -> float | None:
    """Dense peak, tera operations per second."""
    if gpu.gpu is None:
        return None
    peaks = {"fp32": gpu.gpu.fp32_tflops, "fp16": gpu.gpu.fp16_tc_tflops, "int8": gpu.gpu.int8_tops}
    peak = known(peaks[precision])
    return None if peak is None else peak.value


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
