"""Fits the constants of the launch-bound model to measurements of one GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

import numpy as np

from spikeport.errors import UserError
from spikeport.hardware_profiles.launch_bound import Triple
from spikeport.hardware_profiles.measured_gpu import FittedConstants, GpuTiming
from spikeport.hardware_profiles.profile import HardwareProfile, known

LEAST_TIMINGS = 4  # for three constants


def fit_times(timings: Sequence[GpuTiming], peak: Callable[[GpuTiming], float]) -> tuple[float, float, float]:
    """The time of a call, of a kernel and the share of the peak that fit measured times best.

    Least squares of the relative errors of t = call + kernels * kernel + (2 MAC B / peak) / share, with times that are
    not negative and a share of 1 at most. The time of the memory is left out, so networks should be bound by launches
    or operations.

    Args:
        timings: measured times; they need networks of different numbers of kernels, and batches that are bound by
            operations.
        peak: peak throughput of a timing's precision, tera operations per second.

    Returns:
        (µs of a call, µs of a kernel, share of the peak).

    Raises:
        UserError: there are too few timings.
    """
    from scipy.optimize import nnls

    if len(timings) < LEAST_TIMINGS:
        raise UserError(f"{len(timings)} timings do not determine the constants of a GPU", hint="measure more networks")
    at_peak = np.array([2 * each.macs * each.batch / (peak(each) * 1e6) for each in timings])
    # With 1 / share = 1 + slack, every unknown is a number that is not negative.
    columns = np.stack([np.ones(len(timings)), [each.kernels for each in timings], at_peak], axis=1)
    measured = np.array([each.batch_us for each in timings])
    (call, kernel, slack), _ = nnls(columns / measured[:, None], (measured - at_peak) / measured)
    return float(call), float(kernel), 1 / (1 + float(slack))


def fit_constants(
    eager: Sequence[GpuTiming], captured: Sequence[GpuTiming], gpu: HardwareProfile, idle_w: float | None
) -> FittedConstants:
    """The constants of a GPU with their ends.

    Nominal values are fitted to eager runs. Ends contain the fits to all networks but one, and the fit to kernels that
    were captured in a graph. Shares of the power are the least, the median and the largest of all runs.

    Args:
        eager: timings of eager runs.
        captured: timings of captured kernels; may be empty.
        gpu: profile of the GPU, for its peaks and its power.
        idle_w: power of the idle board, W; None where it was not measured.

    Raises:
        UserError: there are too few timings, no power was measured, or the profile gives no power.
    """
    part = gpu.gpu
    power = known(part.p_max_w) if part else None
    busy = [each.busy_w for each in (*eager, *captured) if each.busy_w is not None]
    if part is None or power is None or not busy or idle_w is None:
        raise UserError(f"{gpu.device.id}: the power of the board is not known", hint="measure it with NVML")

    def peak(timing: GpuTiming) -> float:
        found = part.peak(timing.precision)
        if not found:
            raise UserError(f"{gpu.device.id} gives no peak for {timing.precision}", hint="add it to the profile")
        return found

    names = dict.fromkeys(each.network for each in eager)
    others = [[each for each in eager if each.network != name] for name in names]
    fits = [fit_times(eager, peak), *(fit_times(some, peak) for some in others if len(some) >= LEAST_TIMINGS)]
    if len(captured) >= LEAST_TIMINGS:
        fits.append(fit_times(captured, peak))
    call, kernel, share = zip(*fits, strict=True)
    whole = power.interval[1]
    shares = [watts / whole for watts in busy]
    return FittedConstants(
        call_us=_ends(call),
        kernel_us=_ends(kernel),
        peak_share=_ends(share),
        busy_share=(min(shares), median(shares), max(shares)),
        idle_share=(idle_w / whole, idle_w / whole, idle_w / whole),
    )


def _ends(values: Sequence[float]) -> Triple:
    """Least, first and largest value."""
    return min(values), values[0], max(values)
