"""Rows of an ANN on a GPU, modeled: the cost of starting its kernels, and a roofline for their work."""

from __future__ import annotations

from collections.abc import Sequence

from spikeport.errors import UserError
from spikeport.hardware_profiles.gpu import Precision
from spikeport.hardware_profiles.launch_bound import GpuEstimate, LaunchConstants, Triple, gpu_estimate
from spikeport.hardware_profiles.measured_gpu import constants_of
from spikeport.hardware_profiles.profile import HardwareProfile, known, load_profile
from spikeport.pipeline.profiling.baseline.rows import MODELED, BaselineRow, CurvePoint, make_row
from spikeport.pipeline.profiling.gpu_work import NetworkWork
from spikeport.values import IntervalJson

NO_GPU = "none"
BATCHES = tuple(2**power for power in range(11))  # 1 to 1,024
NEAR_LEAST = 1.05  # the best batch is the smallest whose energy is within this factor of the least
DRAWN = (1, 8, 32, 128)  # the batches that are timed on the CPU
PRECISIONS: tuple[Precision, ...] = ("fp32", "tf32", "fp16", "int8")
BEST = "the smallest batch of 1, 2, 4 to 1,024 within 5 % of the least energy"


def baseline_gpu(name: str) -> HardwareProfile | None:
    """The profile of the GPU of a baseline.

    Args:
        name: id or file of a GPU profile; `none` for no GPU.

    Raises:
        UserError: the profile does not exist or is not that of a GPU.
    """
    if name == NO_GPU:
        return None
    profile = load_profile(name)
    if profile.gpu is None:
        raise UserError(f"{profile.device.id} is not a GPU profile", where="profile.baseline_gpu",
                        hint="use a100 or h100, or none for no GPU")  # fmt: skip
    return profile


def modeled_rows(gpu: HardwareProfile, work: NetworkWork, period_us: float | None = None) -> list[BaselineRow]:
    """Time and energy of a network on a GPU by `hardware_profiles.launch_bound`, at batch 1 and the best batch.

    There are rows for each precision with a published peak. FP32 and TF32 are two precisions: frameworks differ in
    which of them they use for float32 values. The row of FP32 at batch 1 contains the times of other batch sizes.

    Args:
        gpu: profile of the GPU.
        work: what it does for the network.
        period_us: time from one recording to the next, µs, for the live energy; None where it is not known.

    Raises:
        UserError: the profile gives no power.
    """
    part, constants = gpu.gpu, constants_of(gpu.device.id)
    precisions: list[Precision] = [precision for precision in PRECISIONS if part and part.peak(precision)]
    rows: list[BaselineRow] = []
    for precision in precisions:
        estimates = {batch: gpu_estimate(gpu, work.at(batch, precision), constants) for batch in BATCHES}
        best = best_batch(list(estimates.values()))
        named = "FP32 without TF32" if precision == "fp32" and "tf32" in precisions else precision.upper()
        for batch in dict.fromkeys((1, best)):
            row = _row(gpu, f"{gpu.device.name}, {named}", work, precision, estimates[batch], period_us, constants)
            rows.append({**row, "scope": f"{row['scope']}; {BEST}"} if batch != 1 else row)
        if precision == precisions[0]:
            first = next(row for row in rows if row["batch"] == 1)
            first["curve"] = [_point(estimates[batch]) for batch in sorted({*DRAWN, best})]
    return rows


def best_batch(estimates: Sequence[GpuEstimate]) -> int:
    """The smallest batch whose nominal energy of an inference is within 5 % of the least.

    Args:
        estimates: one for each batch size, in ascending order.
    """
    least = min(estimate.total_uj[1] for estimate in estimates)
    return next(estimate.batch for estimate in estimates if estimate.total_uj[1] <= NEAR_LEAST * least)


def full_throughput_uj(gpu: HardwareProfile, precision: Precision, macs: float) -> float:
    """Energy in µJ at full throughput and full power, 2 MACs P_max / peak.

    It is no bound, since a board may reach its peak below its maximum power, and small networks are far above it.

    Args:
        gpu: profile of the GPU.
        precision: precision of the operations.
        macs: multiply-accumulates.

    Raises:
        UserError: the profile has no peak for this precision, or no power.
    """
    part = gpu.gpu
    power, peak = (known(part.p_max_w), part.peak(precision)) if part else (None, None)
    if power is None or power.value is None or not peak:
        raise UserError(f"{gpu.device.id} gives no peak for {precision}", hint="choose a GPU profile that has it")
    return 2 * macs * power.value / (peak * 1e6)


def _row(
    gpu: HardwareProfile,
    device: str,
    work: NetworkWork,
    precision: Precision,
    estimate: GpuEstimate,
    period_us: float | None,
    constants: LaunchConstants,
) -> BaselineRow:
    macs, batch = work.macs, estimate.batch
    left_out = f", without {', '.join(macs.uncounted)}" if macs.uncounted else ""
    row = make_row(
        device,
        batch,
        latency_us=_interval(estimate.time_us),
        latency_basis=MODELED,
        energy_uj=_interval(estimate.dynamic_uj),
        energy_basis=MODELED,
        scope=f"{macs.total:,} MACs{left_out} in {work.kernels} kernels; the board with its memory, without host",
        us_per_inference=estimate.time_us[1] / batch,
        total_uj=_interval(estimate.total_uj),
        live_uj=None if period_us is None else _interval(estimate.live_uj(batch * period_us)),
        floor_uj=full_throughput_uj(gpu, precision, macs.total),
        macs=macs.total,
        kernels=work.kernels,
        profile={"file": gpu.file, "sha256": gpu.sha256},
    )
    return {**row, "fitted_to": {"file": constants.file, "sha256": constants.sha256}} if constants.file else row


def _point(estimate: GpuEstimate) -> CurvePoint:
    return {
        "batch": estimate.batch,
        "latency_us": _interval(estimate.time_us),
        "us_per_inference": estimate.time_us[1] / estimate.batch,
        "repeats": 0,
        "energy_uj": _interval(estimate.dynamic_uj),
    }


def _interval(ends: Triple) -> IntervalJson:
    low, nominal, high = ends
    return {"low": low, "nominal": nominal, "high": high}
