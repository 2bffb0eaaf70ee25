"""Time and energy of an ANN on a GPU, modeled: the cost of starting its kernels, and a roofline for their work.

    t(B) = t_call + kernels t_kernel + max(2 MAC B / (share of peak * peak), bytes(B) / bandwidth)
    total energy of one inference   = busy share * P_max t(B) / B
    dynamic energy of one inference = (busy share * P_max - P_idle) t(B) / B

A network of a few hundred thousand operations takes microseconds of a GPU's peak rate, and hundreds of microseconds to
start: its energy is that of waiting at the power of a busy board. Ends of the intervals are those of boards that were
measured; nominal values lie between them and are to be fitted to each board that is measured.
"""

from __future__ import annotations

from dataclasses import dataclass

from spikeport.errors import UserError
from spikeport.hardware_profiles.constants import Constant
from spikeport.hardware_profiles.gpu import Precision
from spikeport.hardware_profiles.profile import HardwareProfile, known

Triple = tuple[float, float, float]  # low, nominal, high

_FITTED = "fitted to the runs of a Quadro K4000 and a Jetson TX1 in the logs of Blouw et al., arXiv 1812.01739"
CALL_US = Constant(
    value=120.0, low=10.0, high=1500.0, status="fitted", source=_FITTED,
    note="high: 980 µs on the K4000 and 1,440 on the TX1, with TensorFlow 1. low: a captured graph, recalled. value: "
    "the geometric middle",
)  # fmt: skip
KERNEL_US = Constant(
    value=11.0, low=2.0, high=60.0, status="fitted", source=_FITTED,
    note="high: 34 µs on the K4000 and 60 on the TX1. low: a captured graph, recalled. value: the geometric middle",
)  # fmt: skip
PEAK_SHARE = Constant(
    value=0.17, low=0.03, high=1.0, status="fitted", source=_FITTED,
    note="low: 0.05 on the K4000 and 0.03 on the TX1, for small products. high: the roof. value: the geometric middle",
)  # fmt: skip
BUSY_SHARE = Constant(
    value=0.5, low=0.3, high=0.6, status="measured", source=_FITTED,
    note="power of a busy board over its maximum: 0.44 to 0.57 in 20 runs; 0.30 and 0.49 on a Jetson AGX Orin",
)  # fmt: skip
IDLE_SHARE = Constant(
    value=0.2, low=0.1, high=0.27, status="measured", source=_FITTED,
    note="power of an idle board over its maximum: K4000 14.97 of 80 W, TX1 2.65 of 10 W, AGX Orin 9.4 of 60 W",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LaunchConstants:
    """Constants of the formula, each (low, nominal, high). The defaults hold for any board, so they are wide.

    Attributes:
        call_us: time of a call without its kernels, µs.
        kernel_us: time that a kernel takes at least, µs.
        peak_share: share of the peak throughput that products reach.
        busy_share: power of the busy board over its maximum.
        idle_share: power of the idle board over its maximum, where the profile does not give it.
        file: name of the file that the constants were fitted to; empty for the defaults.
        sha256: digest of this file.
    """

    call_us: Triple = CALL_US.interval
    kernel_us: Triple = KERNEL_US.interval
    peak_share: Triple = PEAK_SHARE.interval
    busy_share: Triple = BUSY_SHARE.interval
    idle_share: Triple = IDLE_SHARE.interval
    file: str = ""
    sha256: str = ""


ANY_BOARD = LaunchConstants()


@dataclass(frozen=True, kw_only=True)
class GpuWork:
    """What a GPU does for a batch.

    Attributes:
        macs: multiply-accumulates of one inference.
        kernels: kernels that are started for a batch.
        batch: inferences of a batch.
        weight_bytes: bytes of the weights, which are read once for a batch.
        value_bytes: bytes that are read and written for each inference.
        precision: of the operations.
    """

    macs: float
    kernels: float
    batch: int = 1
    weight_bytes: float = 0.0
    value_bytes: float = 0.0
    precision: Precision = "fp32"


@dataclass(frozen=True, kw_only=True)
class GpuEstimate:
    """Time and energy of a batch on a GPU, modeled. Each is (low, nominal, high): all constants at their ends.

    Attributes:
        batch: inferences of the batch.
        time_us: time of the batch, µs.
        busy_w: power of the board meanwhile, W.
        idle_w: power of the idle board, W.
    """

    batch: int
    time_us: Triple
    busy_w: Triple
    idle_w: Triple

    @property
    def total_uj(self) -> Triple:
        """Energy of one inference, µJ, with the idle power in its time."""
        low, nominal, high = (time * busy / self.batch for time, busy in zip(self.time_us, self.busy_w, strict=True))
        return low, nominal, high

    @property
    def dynamic_uj(self) -> Triple:
        """Energy of one inference above the idle power, µJ, at least 0; the lowest with the highest idle power."""
        low, nominal, high = (
            time * max(0.0, busy - idle) / self.batch
            for time, busy, idle in zip(self.time_us, self.busy_w, self.idle_w[::-1], strict=True)
        )
        return low, nominal, high

    def live_uj(self, period_us: float) -> Triple:
        """Energy of one inference, µJ, where a batch is asked for in each period and the board idles in between.

        Args:
            period_us: time from one batch to the next, µs.
        """
        low, nominal, high = (
            (time * busy + max(0.0, period_us - time) * idle) / self.batch
            for time, busy, idle in zip(self.time_us, self.busy_w, self.idle_w, strict=True)
        )
        return low, nominal, high


def gpu_estimate(profile: HardwareProfile, work: GpuWork, constants: LaunchConstants = ANY_BOARD) -> GpuEstimate:
    """Time and power of a batch on a GPU.

    Args:
        profile: profile of the GPU.
        work: the batch.
        constants: those of any board, or those that were fitted to this one.

    Raises:
        UserError: the profile is not that of a GPU, or lacks its power or its peak at this precision.
    """
    part, name = profile.gpu, profile.device.id
    if part is None:
        raise UserError(f"{name} is not a GPU profile", hint="use a100 or h100")
    peak, power = part.peak(work.precision), known(part.p_max_w)
    if not peak or power is None:
        raise UserError(
            f"{name} gives no power, or no peak for {work.precision}", hint="choose a GPU profile that has it"
        )
    bandwidth, idle = known(part.mem_gbps), known(part.p_idle_w)
    moved_us = 0.0
    if bandwidth is not None and bandwidth.value:
        moved_us = (work.weight_bytes + work.value_bytes * work.batch) / (bandwidth.value * 1e3)
    peak_us = 2 * work.macs * work.batch / (peak * 1e6)

    def time_us(call: float, kernel: float, share: float) -> float:
        return call + work.kernels * kernel + max(peak_us / share, moved_us)

    call, kernel, share = constants.call_us, constants.kernel_us, constants.peak_share
    return GpuEstimate(
        batch=work.batch,
        time_us=(
            time_us(call[0], kernel[0], share[2]),
            time_us(call[1], kernel[1], share[1]),
            time_us(call[2], kernel[2], share[0]),
        ),
        busy_w=_scaled(constants.busy_share, power.interval[1]),
        idle_w=idle.interval if idle else _scaled(constants.idle_share, power.interval[1]),
    )


def _scaled(shares: Triple, whole: float) -> Triple:
    low, nominal, high = (share * whole for share in shares)
    return low, nominal, high
