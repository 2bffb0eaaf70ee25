"""Measured joules of a GPU: counter reads, idle subtracted, nothing clamped."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

LEAST_WINDOW_S = 10.0  # the counter refreshes every 20 to 100 ms and an A100 samples power a quarter of the time
LEAST_REPEATS = 32


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
    if importlib.util.find_spec("zeus") is None:
        return "zeus is not installed (pip install 'spikeport[energy]')"
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return "this onnxruntime cannot use a GPU (pip install onnxruntime-gpu)"
    # zeus's vendor layers print about libraries they miss, which would spoil `--json`.
    with contextlib.redirect_stdout(io.StringIO()):
        from zeus.device import get_gpus

        try:
            found = len(get_gpus())
        except Exception:  # no driver, no library, no permission: each vendor layer raises its own kind
            found = 0
    return "" if found else "no GPU whose energy counter can be read"


def measure_joules(run: Callable[[], None], inferences_per_run: int, *, window_s: float = LEAST_WINDOW_S) -> Joules:
    """Idle window, then repeats of `run` (which returns when the GPU is done), both at least `window_s` long.

    Reads GPU 0's counter through zeus; it covers the board with its memory, not the host.
    """
    from zeus.monitor import ZeusMonitor

    window_s = max(window_s, LEAST_WINDOW_S)
    monitor = ZeusMonitor(gpu_indices=[0], cpu_indices=[])
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
        counter_mj=busy.gpu_energy[0] * 1e3,
        seconds=busy.time,
        idle_w=idle.gpu_energy[0] / idle.time,
        inferences=repeats * inferences_per_run,
    )
