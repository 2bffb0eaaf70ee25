"""Measured joules of a GPU or of the processors: counter reads, idle subtracted, nothing clamped."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

LEAST_WINDOW_S = 10.0  # the counter refreshes every 20 to 100 ms and an A100 samples power a quarter of the time
LEAST_REPEATS = 32


@dataclass(frozen=True, kw_only=True)
class Counter:
    """What zeus reads: indices of GPUs and of CPU packages (None: all there are). `scope`: what that covers."""

    gpus: list[int] | None
    cpus: list[int] | None
    scope: str

    def joules_in(self, window: Any) -> float:
        """What a zeus measurement says of these."""
        parts = (window.gpu_energy, window.cpu_energy, window.dram_energy)
        return float(sum(sum(part.values()) for part in parts if part))


GPU = Counter(gpus=[0], cpus=[], scope="board with its memory, without host")  # NVML
CPU = Counter(gpus=[], cpus=None, scope="all processor packages, whatever runs on them, and memory where it is counted")


@dataclass(frozen=True, kw_only=True)
class Joules:
    """Energy of one inference. `total_mj` and `dynamic_mj` are None unless `status` is measured.

    `dynamic_mj`, total less idle, may be negative: idle power varies between windows, and clamping would hide it.
    """

    status: Literal["measured", "window too short"]
    idle_w: float
    inferences: int
    seconds: float
    total_mj: float | None = None
    dynamic_mj: float | None = None


def joules_per_inference(*, counter_mj: float, seconds: float, idle_w: float, inferences: int) -> Joules:
    """One window's counter difference as energy per inference: total = delta / n, dynamic = (delta - idle t) / n.

    A difference of 0 means that the counter did not refresh within the window, not that no energy flowed.
    """
    if counter_mj == 0:
        return Joules(status="window too short", idle_w=idle_w, inferences=inferences, seconds=seconds)
    return Joules(
        status="measured",
        idle_w=idle_w,
        inferences=inferences,
        seconds=seconds,
        total_mj=counter_mj / inferences,
        dynamic_mj=(counter_mj - idle_w * seconds * 1e3) / inferences,
    )


def why_no_counter() -> str:
    """Why GPU joules cannot be measured here; empty where they can."""
    if reason := _why_no_zeus():
        return reason
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return "this onnxruntime cannot use a GPU (pip install onnxruntime-gpu)"
    return "" if _found("get_gpus") else "no GPU whose energy counter can be read"


def why_no_cpu_counter() -> str:
    """Why the processors' joules cannot be measured here; empty where they can."""
    return _why_no_zeus() or ("" if _found("get_cpus") else "no RAPL counter that may be read (it takes root's rights)")


def measure_joules(
    run: Callable[[], None], inferences_per_run: int, counter: Counter, *, window_s: float = LEAST_WINDOW_S
) -> Joules:
    """Idle window, then repeats of `run` (which returns when its work is done), both at least `window_s` long, read
    from `counter` through zeus."""
    from zeus.monitor import ZeusMonitor

    window_s = max(window_s, LEAST_WINDOW_S)
    monitor = ZeusMonitor(gpu_indices=counter.gpus, cpu_indices=counter.cpus)
    for _ in range(LEAST_REPEATS):  # clocks and caches settle
        run()
    monitor.begin_window("idle", sync_execution=False)
    time.sleep(window_s)
    idle = monitor.end_window("idle", sync_execution=False)
    repeats, start = 0, time.perf_counter()
    monitor.begin_window("run", sync_execution=False)
    while repeats < LEAST_REPEATS or time.perf_counter() - start < window_s:
        run()
        repeats += 1
    busy = monitor.end_window("run", sync_execution=False)
    return joules_per_inference(
        counter_mj=counter.joules_in(busy) * 1e3,
        seconds=busy.time,
        idle_w=counter.joules_in(idle) / idle.time,
        inferences=repeats * inferences_per_run,
    )


def _why_no_zeus() -> str:
    found = importlib.util.find_spec("zeus")
    return "" if found else "zeus is not installed (pip install 'spikeport[energy]')"


def _found(getter: str) -> bool:
    """Whether zeus finds such a device."""
    # zeus's vendor layers print about libraries they miss, which would spoil `--json`.
    with contextlib.redirect_stdout(io.StringIO()):
        import zeus.device

        try:
            return len(getattr(zeus.device, getter)()) > 0
        except Exception:  # no driver, no library, no permission: each vendor layer raises its own kind
            return False
