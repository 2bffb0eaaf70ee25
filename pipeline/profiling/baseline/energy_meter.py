"""Measures the energy of a GPU or of the CPUs from hardware counters, with idle energy subtracted and no clamping."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

LEAST_WINDOW_S = 10.0  # counters refresh every 20 to 100 ms, and an A100 samples its power only a quarter of the time
LEAST_REPEATS = 32


@dataclass(frozen=True, kw_only=True)
class Counter:
    """A set of energy counters that zeus reads.

    Attributes:
        gpus: indices of the GPUs; None for all.
        cpus: indices of the CPU packages; None for all.
        scope: what the counters cover, in words.
    """

    gpus: list[int] | None
    cpus: list[int] | None
    scope: str

    def joules_in(self, window: Any) -> float:
        """Energy in J of these counters in a measurement of zeus.

        Args:
            window: the measurement.
        """
        parts = (window.gpu_energy, window.cpu_energy, window.dram_energy)
        return float(sum(sum(part.values()) for part in parts if part))


GPU = Counter(gpus=[0], cpus=[], scope="board with its memory, without host")  # NVML
CPU = Counter(gpus=[], cpus=None, scope="all processor packages, whatever runs on them, and memory where it is counted")


@dataclass(frozen=True, kw_only=True)
class Joules:
    """Measured energy of one inference.

    Attributes:
        status: whether the counter changed within the window.
        idle_w: idle power, W.
        inferences: inferences in the window.
        seconds: length of the window, s.
        total_mj: energy of one inference, mJ; None unless `status` is `measured`.
        dynamic_mj: `total_mj` without idle energy, mJ; None unless `status` is `measured`. It may be negative, since
            idle power varies between windows. Clamping would hide that.
    """

    status: Literal["measured", "window too short"]
    idle_w: float
    inferences: int
    seconds: float
    total_mj: float | None = None
    dynamic_mj: float | None = None


def joules_per_inference(*, counter_mj: float, seconds: float, idle_w: float, inferences: int) -> Joules:
    """Energy per inference from the counter difference of a window.

    total = counter / inferences, dynamic = (counter - idle power * time) / inferences. A difference of 0 means that the
    counter was not refreshed within the window, and not that no energy was used.

    Args:
        counter_mj: difference of the counter between end and start of the window, mJ.
        seconds: length of the window, s.
        idle_w: idle power, W.
        inferences: inferences in the window.
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
    """Why the energy of a GPU cannot be measured on this machine; empty where it can."""
    if reason := _why_no_zeus():
        return reason
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return "this onnxruntime cannot use a GPU (pip install onnxruntime-gpu)"
    return "" if _found("get_gpus") else "no GPU whose energy counter can be read"


def why_no_cpu_counter() -> str:
    """Why the energy of the CPUs cannot be measured on this machine; empty where it can."""
    return _why_no_zeus() or ("" if _found("get_cpus") else "no RAPL counter that may be read (it takes root's rights)")


def measure_joules(
    run: Callable[[], None], inferences_per_run: int, counter: Counter, *, window_s: float = LEAST_WINDOW_S
) -> Joules:
    """Measures an idle window and then a window of repeated runs, through zeus.

    Args:
        run: the work; it returns when the work is done.
        inferences_per_run: inferences of one call of `run`.
        counter: the counters to read.
        window_s: least length of each window, s; values below LEAST_WINDOW_S are raised to it.
    """
    from zeus.monitor import ZeusMonitor  # pyright: ignore[reportMissingImports]  # an extra

    window_s = max(window_s, LEAST_WINDOW_S)
    monitor = ZeusMonitor(gpu_indices=counter.gpus, cpu_indices=counter.cpus)
    for _ in range(LEAST_REPEATS):  # warm-up of clocks and caches
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
    """Whether zeus finds a device through the function `getter`."""
    # zeus prints messages about missing libraries, which would break the output of `--json`.
    with contextlib.redirect_stdout(io.StringIO()):
        import zeus.device  # pyright: ignore[reportMissingImports]  # an extra

        try:
            return len(getattr(zeus.device, getter)()) > 0
        except Exception:  # missing driver, library or permission: each vendor has its own exception
            return False
