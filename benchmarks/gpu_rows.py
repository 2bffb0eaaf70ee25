"""Measures five networks on a GPU and fits the launch-bound model to it, for reports on machines without one.

    python benchmarks/gpu_rows.py [--gpu ID] [--seconds 8] [--out FOLDER]

It times the teacher and the ANN of the student's shape of the recipe `digits`, and three larger MLPs, at batches of 1,
8, 32 and 128, eager and as a captured CUDA graph, and reads the board's energy counter (NVML) over each of them. It
ends within ten minutes. It writes `hardware_profiles/measured/ID.json`, which reports use from then on. Products of
float32 values run without TF32. Without a GPU, or without NVML (`pip install 'spikeport[energy]'`), it says so and
exits with 2.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Protocol

from gpu_networks import Mode, Network, networks, runner

from spikeport.errors import UserError
from spikeport.files import write_json
from spikeport.hardware_profiles.launch_fit import fit_constants
from spikeport.hardware_profiles.measured_gpu import FOLDER, Board, GpuTiming, MeasuredGpu
from spikeport.hardware_profiles.profile import PROFILES, HardwareProfile, load_profile
from spikeport.versions import about_this_run

BATCHES = (1, 8, 32, 128)
SECONDS = 8.0  # of each window: NVML's counter is refreshed every 20 to 100 ms
BUDGET_S = 540.0  # windows become shorter if the time would not suffice
WARM_UPS = 10


class Meter(Protocol):
    """The board's energy counter and its state."""

    def energy_mj(self) -> float:
        """Energy since the driver was loaded, mJ."""
        ...

    def board(self) -> Board:
        """The board and its state now."""
        ...


def measure(run: Callable[[], object], meter: Meter, seconds: float, clock: Callable[[], float]) -> tuple[float, float]:
    """Repeats a batch for some time.

    Args:
        run: the work; it returns when the GPU is done.
        meter: the energy counter.
        seconds: length of the window, s.
        clock: time in s.

    Returns:
        (median time of a run in µs, mean power in W).
    """
    for _ in range(WARM_UPS):
        run()
    times_us: list[float] = []
    energy_mj, begun = meter.energy_mj(), clock()
    while not times_us or clock() - begun < seconds:
        start = clock()
        run()
        times_us.append((clock() - start) * 1e6)
    took_s = clock() - begun
    return median(times_us), (meter.energy_mj() - energy_mj) / took_s / 1e3


def idle_power(meter: Meter, seconds: float) -> float:
    """Mean power of the board without work, W.

    Args:
        meter: the energy counter.
        seconds: length of the window, s.
    """
    energy_mj, begun = meter.energy_mj(), time.perf_counter()
    time.sleep(seconds)
    return (meter.energy_mj() - energy_mj) / (time.perf_counter() - begun) / 1e3


def window_s(left: int, spent_s: float, wanted_s: float) -> float:
    """Length of the next window, s, so that all of them end in time.

    Args:
        left: windows that are left.
        spent_s: time since the start, s.
        wanted_s: length that was asked for, s.
    """
    return max(0.5, min(wanted_s, (BUDGET_S - spent_s) / left))


class Nvml:
    """NVML's counter and state of GPU 0."""

    def __init__(self) -> None:
        import pynvml  # pyright: ignore[reportMissingModuleSource]  # of the extra `energy`

        pynvml.nvmlInit()
        self._nvml = pynvml
        self._handle = pynvml.nvmlDeviceGetHandleByIndex(0)

    def energy_mj(self) -> float:
        """Energy since the driver was loaded, mJ."""
        return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle))

    def board(self) -> Board:
        """Name, driver, clock and limit of the power."""
        nvml, handle = self._nvml, self._handle
        return Board(
            name=_text(nvml.nvmlDeviceGetName(handle)),
            driver=_text(nvml.nvmlSystemGetDriverVersion()),
            clock_mhz=float(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)),
            power_limit_w=nvml.nvmlDeviceGetPowerManagementLimit(handle) / 1e3,
            versions={"torch": version("torch"), "spikeport": version("spikeport"), "cuda": _cuda()},
            created_utc=about_this_run()["created_utc"],
        )


def profile_of(name: str) -> HardwareProfile:
    """The profile of a board by the name that its driver gives.

    Args:
        name: as `NVIDIA H200`.

    Raises:
        UserError: no profile of a GPU has its id in the name.
    """
    words = name.lower().replace("-", " ").split()
    found = [each for each in PROFILES if each in words]
    if len(found) != 1:
        raise UserError(f"no profile belongs to {name}", hint="name one with --gpu, see spikeport hardware list")
    return load_profile(found[0])


def measure_all(
    gpu: HardwareProfile,
    found: list[Network],
    meter: Meter,
    make_runner: Callable[[Network, int, Mode], Callable[[], object]],
    seconds: float,
    log: Callable[[str], None] = print,
) -> MeasuredGpu:
    """Measures networks and fits the constants.

    Args:
        gpu: profile of the GPU.
        found: the networks.
        meter: the energy counter.
        make_runner: makes the call that runs a batch.
        seconds: length of a window, s.
        log: is given one line for each measurement.

    Raises:
        UserError: the profile lacks a peak or a power.
    """
    begun, timings, board = time.perf_counter(), list[GpuTiming](), meter.board()
    modes: tuple[Mode, ...] = ("eager", "graph")
    plan: list[tuple[Mode, Network, int]] = [
        (mode, network, batch) for mode in modes for network in found for batch in BATCHES
    ]
    idle_w = idle_power(meter, window_s(len(plan) + 1, 0.0, seconds))
    for done, (mode, network, batch) in enumerate(plan):
        window = window_s(len(plan) - done, time.perf_counter() - begun, seconds)
        try:
            run = make_runner(network, batch, mode)
        except RuntimeError as error:  # torch cannot capture every network
            log(f"{network.name}, batch {batch}, {mode}: left out: {str(error).splitlines()[0]}")
            continue
        batch_us, busy_w = measure(run, meter, window, time.perf_counter)
        if (network.name, batch) == (found[-1].name, BATCHES[-1]) and mode == "eager":
            board = meter.board()  # the clock under the largest load
        timings.append(
            GpuTiming(
                network=network.name,
                mode=mode,
                precision="fp32",
                macs=network.macs,
                kernels=network.kernels,
                batch=batch,
                batch_us=batch_us,
                busy_w=busy_w,
            )
        )
        log(f"{network.name}, batch {batch}, {mode}: {batch_us:.1f} µs, {busy_w:.1f} W")
    by_mode = {mode: [each for each in timings if each.mode == mode] for mode in modes}
    constants = fit_constants(by_mode["eager"], by_mode["graph"], gpu, idle_w)
    return MeasuredGpu(gpu=gpu.device.id, board=board, idle_w=idle_w, constants=constants, timings=tuple(timings))


def main(arguments: list[str] | None = None) -> int:
    """Measures, fits and writes the file. Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gpu", metavar="ID", help="profile of this GPU [default: by the name of the board]")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="length of each window, s")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the file")
    asked = parser.parse_args(arguments)
    import torch

    if not torch.cuda.is_available():
        print("no GPU that torch can use: nothing was measured", file=sys.stderr)
        return 2
    try:
        meter = Nvml()
        gpu = load_profile(asked.gpu) if asked.gpu else profile_of(meter.board().name)
    except Exception as error:  # NVML has an exception of its own for each fault
        print(f"the energy counter or the profile of the GPU is missing: {error}", file=sys.stderr)
        return 2
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    found = networks()
    for network in found:
        network.module.cuda()
    try:
        measured = measure_all(gpu, found, meter, runner, asked.seconds)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    path = asked.out / f"{gpu.device.id}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, measured.model_dump(mode="json", by_alias=True))
    print(f"{path}: {measured.constants}")
    return 0


def _cuda() -> str:
    import torch

    return str(torch.version.cuda)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


if __name__ == "__main__":
    sys.exit(main())
