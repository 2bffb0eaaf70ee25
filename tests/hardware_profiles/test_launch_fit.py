"""The fit of the launch-bound model finds the constants that times were made from, and predicts runs left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from spikeport.errors import UserError
from spikeport.hardware_profiles.launch_fit import fit_constants, fit_times
from spikeport.hardware_profiles.measured_gpu import GpuTiming
from spikeport.hardware_profiles.profile import load_profile

A100_TFLOPS = 19.5
NETWORKS = {"small": (172_800, 8), "deep": (4_000_000, 45), "wide": (100_000_000, 17)}  # MACs, kernels


def made(call: float, kernel: float, share: float, **more: object) -> list[GpuTiming]:
    """Times in µs of three networks at four batches, from known constants."""
    timings = []
    for name, (macs, kernels) in NETWORKS.items():
        for batch in (1, 8, 32, 128):
            batch_us = call + kernels * kernel + 2 * macs * batch / (share * A100_TFLOPS * 1e6)
            timings.append(
                GpuTiming.model_validate(
                    {"network": name, "mode": "eager", "precision": "fp32", "macs": macs, "kernels": kernels}
                    | {"batch": batch, "batch_us": batch_us, "busy_w": 150.0, **more}
                )
            )
    return timings


def peak(_: GpuTiming) -> float:
    return A100_TFLOPS


@pytest.mark.parametrize("constants", [(50.0, 6.0, 0.4), (7.0, 1.5, 0.03), (0.0, 4.0, 1.0), (30.0, 0.0, 0.8)])
def test_the_fit_finds_what_times_were_made_from(constants: tuple[float, float, float]) -> None:
    """Exact but for rounding, since the model is linear in them."""
    assert fit_times(made(*constants), peak) == pytest.approx(constants, rel=1e-6, abs=1e-6)


def test_no_share_is_above_the_peak_and_no_time_is_negative() -> None:
    """Times as short as if twice the peak were reached: the share is 1 at most."""
    call, kernel, share = fit_times(made(20.0, 3.0, 2.0), peak)
    assert share <= 1
    assert call >= 0
    assert kernel >= 0


def test_too_few_timings_are_refused() -> None:
    with pytest.raises(UserError, match="3 timings do not determine"):
        fit_times(made(1.0, 1.0, 1.0)[:3], peak)


def test_ends_are_those_of_captured_kernels_and_of_the_power() -> None:
    """Eager 50 µs and 6 µs, captured 7 µs and 1.5 µs; power 100 to 300 of 400 W, idle at 60 W."""
    eager = made(50.0, 6.0, 0.4)
    eager[0] = eager[0].model_copy(update={"busy_w": 100.0})
    captured = made(7.0, 1.5, 0.5, mode="graph", busy_w=300.0)
    found = fit_constants(eager, captured, load_profile("a100"), 60.0)
    assert found.call_us == pytest.approx((7.0, 50.0, 50.0), rel=1e-6)
    assert found.kernel_us == pytest.approx((1.5, 6.0, 6.0), rel=1e-6)
    assert found.peak_share == pytest.approx((0.4, 0.4, 0.5), rel=1e-6)
    assert found.busy_share == (0.25, 0.5625, 0.75)  # the middle of 11 eager runs at 150 W, one at 100, 12 at 300
    assert found.idle_share == (0.15, 0.15, 0.15)


def test_without_a_measured_power_nothing_is_fitted() -> None:
    with pytest.raises(UserError, match="the power of the board is not known"):
        fit_constants(made(50.0, 6.0, 0.4), [], load_profile("a100"), None)
    with pytest.raises(UserError, match="the power of the board is not known"):
        fit_constants(made(50.0, 6.0, 0.4, busy_w=None), [], load_profile("a100"), 60.0)


def test_each_run_of_the_k4000_is_predicted_from_the_others_to_a_quarter() -> None:
    """The published times of a Quadro K4000, 13 of them over a factor of 9: the formula holds on one board."""
    profile = load_profile("quadro-k4000")
    runs = [
        GpuTiming(
            network=row.id, mode="eager", precision="fp32", macs=row.macs or 0, kernels=row.kernels or 0,
            batch=row.batch, batch_us=row.value or 0, busy_w=None,
        )
        for row in profile.published
        if row.unit == "us"
    ]  # fmt: skip
    assert len(runs) == 13
    tflops = 1.246
    errors = [_predicted(run, [each for each in runs if each is not run], tflops) / run.batch_us - 1 for run in runs]
    assert max(map(abs, errors)) < 0.25


def _predicted(run: GpuTiming, others: Sequence[GpuTiming], tflops: float) -> float:
    call, kernel, share = fit_times(others, lambda _: tflops)
    return call + run.kernels * kernel + 2 * run.macs * run.batch / (share * tflops * 1e6)


def test_a_gpu_without_a_power_is_refused() -> None:
    loihi = load_profile("loihi1")
    with pytest.raises(UserError, match="the power of the board is not known"):
        fit_constants(made(50.0, 6.0, 0.4), [], replace(loihi), 60.0)
