"""Formula floors of a GPU: the least time and energy of an ANN, from the GPU's peak throughput and power."""

from __future__ import annotations

from spikeport.errors import UserError
from spikeport.hardware_profiles.profile import HardwareProfile, known
from spikeport.hardware_profiles.schema import Precision
from spikeport.pipeline.profiling.baseline.rows import BaselineRow, make_row
from spikeport.pipeline.profiling.macs import Macs


def floor_rows(gpu: HardwareProfile, macs: Macs) -> list[BaselineRow]:
    """The formula floor of a GPU, a row for each precision with a published peak.

    Args:
        gpu: profile of the GPU.
        macs: multiply-accumulates of one inference.

    Raises:
        UserError: the profile is not that of a GPU.
    """
    if gpu.gpu is None:
        raise UserError(f"{gpu.device.id} is not a GPU profile", where="profile.baseline_gpu", hint="use a100 or h100")
    return [_floor_row(gpu, precision, macs) for precision in _precisions(gpu)]


def floor_pj_per_mac(gpu: HardwareProfile, precision: Precision) -> float:
    """Energy in pJ of one multiply-accumulate at full power and peak throughput, 2 P_max / peak: a lower bound.

    Args:
        gpu: profile of the GPU.
        precision: precision of the operation.

    Raises:
        UserError: the profile has no peak for this precision.
    """
    part = gpu.gpu
    power, peak = (known(part.p_max_w), _peak(gpu, precision)) if part else (None, None)
    if power is None or power.value is None or not peak:
        raise UserError(f"{gpu.device.id} gives no peak for {precision}", hint="choose a GPU profile that has it")
    return 2 * power.value / (peak * 1e12) * 1e12


def _floor_row(gpu: HardwareProfile, precision: Precision, macs: Macs) -> BaselineRow:
    energy_uj = floor_pj_per_mac(gpu, precision) * macs.total / 1e6
    left_out = f", without {', '.join(macs.uncounted)}" if macs.uncounted else ""
    return make_row(
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
    """Time of one inference at peak throughput, µs: 2 MACs / peak, with two operations a MAC."""
    peak = _peak(gpu, precision)
    return 2 * macs.total / (peak * 1e6) if peak else None


def _precisions(gpu: HardwareProfile) -> list[Precision]:
    every: tuple[Precision, ...] = ("fp32", "fp16", "int8")
    return [precision for precision in every if _peak(gpu, precision)]


def _peak(gpu: HardwareProfile, precision: Precision) -> float | None:
    """Peak throughput without sparsity, tera operations per second."""
    return gpu.gpu.peak(precision) if gpu.gpu else None
