"""The launch-bound model of a GPU, against the formula in SI units, and against published measurements."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spikeport.errors import UserError
from spikeport.hardware_profiles.launch_bound import GpuWork, gpu_estimate
from spikeport.hardware_profiles.profile import load_profile

LOW, NOMINAL, HIGH = range(3)


def by_hand(work: GpuWork, *, peak: float, power: float, bandwidth: float) -> list[tuple[float, float, float]]:
    """(seconds of a batch, total and dynamic joules of an inference) for low, nominal and high; `peak` in operations
    a second, `power` in W, `bandwidth` in bytes a second."""
    found = []
    for call, kernel, share, busy, idle in (
        (10e-6, 2e-6, 1.0, 0.3, 0.27),
        (120e-6, 11e-6, 0.17, 0.5, 0.2),
        (1500e-6, 60e-6, 0.03, 0.6, 0.1),
    ):
        operations = 2 * work.macs * work.batch / (share * peak)
        transfer = (work.weight_bytes + work.value_bytes * work.batch) / bandwidth
        seconds = call + work.kernels * kernel + max(operations, transfer)
        found.append((seconds, busy * power * seconds / work.batch, (busy - idle) * power * seconds / work.batch))
    return found


@pytest.mark.parametrize(
    "work",
    [
        GpuWork(macs=172_800, kernels=8),
        GpuWork(macs=4.1e9, kernels=57, batch=3, weight_bytes=1e8, value_bytes=7e6),
        GpuWork(macs=1e6, kernels=5, batch=7, weight_bytes=4e9, value_bytes=3e8),  # the memory is what takes time
    ],
)
def test_time_and_energy_are_those_of_the_formula(work: GpuWork) -> None:
    found = gpu_estimate(load_profile("a100"), work)
    wanted = by_hand(work, peak=19.5e12, power=400.0, bandwidth=1555e9)
    rounding = 1e-12  # other orders of the same products
    for end in (LOW, NOMINAL, HIGH):
        seconds, total, dynamic = wanted[end]
        assert found.time_us[end] == pytest.approx(seconds * 1e6, rel=rounding)
        assert found.total_uj[end] == pytest.approx(total * 1e6, rel=rounding)
        assert found.dynamic_uj[end] == pytest.approx(dynamic * 1e6, rel=rounding)


def test_a_live_board_idles_until_the_next_batch() -> None:
    """210 µs at 200 W and 299,790 µs at 80 W for a recording of 300 ms, about 24 J; no more where it never rests."""
    estimate = gpu_estimate(load_profile("a100"), GpuWork(macs=172_800, kernels=8, batch=2))
    busy_us = estimate.time_us[NOMINAL]
    live = estimate.live_uj(300_000.0)[NOMINAL]
    assert live == pytest.approx((busy_us * 200.0 + (300_000.0 - busy_us) * 80.0) / 2, rel=1e-12)
    assert estimate.live_uj(1.0)[NOMINAL] == pytest.approx(estimate.total_uj[NOMINAL], rel=1e-12)


def test_an_idle_power_of_the_board_replaces_the_share_of_its_maximum() -> None:
    profile = load_profile("a100")
    assert profile.gpu is not None
    idle = profile.gpu.p_max_w.model_copy(update={"value": 55.0, "low": 50.0, "high": 60.0})
    own = replace(profile, gpu=profile.gpu.model_copy(update={"p_idle_w": idle}))
    assert gpu_estimate(own, GpuWork(macs=1e6, kernels=3)).idle_w == (50.0, 55.0, 60.0)


def test_what_is_no_gpu_or_lacks_a_peak_is_refused() -> None:
    with pytest.raises(UserError, match="loihi1 is not a GPU profile"):
        gpu_estimate(load_profile("loihi1"), GpuWork(macs=1, kernels=1))
    with pytest.raises(UserError, match="no peak for fp16"):
        gpu_estimate(load_profile("orin-nano"), GpuWork(macs=1, kernels=1, precision="fp16"))
