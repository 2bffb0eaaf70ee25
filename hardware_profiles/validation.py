"""Validates hardware profiles: compares estimates from their constants with published measurements."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from spikeport.hardware_profiles.board import board_overhead_uj
from spikeport.hardware_profiles.constants import line
from spikeport.hardware_profiles.launch_bound import GpuWork, gpu_estimate
from spikeport.hardware_profiles.profile import HardwareProfile, known, list_profiles, load_profile
from spikeport.hardware_profiles.published import Published
from spikeport.json_values import JsonValue

MICRO = {"mJ": 1e3, "uJ": 1.0, "mW": 1e3, "uW": 1.0}  # published units in µJ or µW
WITHIN, OUTSIDE = "within", "outside"


@dataclass(frozen=True, kw_only=True)
class PublishedCheck(JsonValue):
    """A published result of a device and the estimate from its constants.

    Attributes:
        hardware: id of the profile.
        id: id of the published result within the profile.
        workload: what ran on the device.
        quantity: what was measured.
        unit: unit of `published`, `low` and `high`.
        published: the published value; None if only the workload is published.
        low: smallest estimate over the published points; None without an estimate.
        nominal: the estimate of a GPU by nominal constants; None for other devices.
        high: largest estimate.
        board_low: smallest expected board reading: `low` and the fixed costs of a board; None where it is unknown.
        board_high: largest expected board reading.
        low_off: (low - published) / published.
        high_off: (high - published) / published.
        tolerance: largest error that counts as within, as a fraction of `published`.
        role: independent, source_of_an_end or in_sample: what the row is evidence for, see `Published.role`.
        quantity_kind: total, slope or time.
        rates: (low, high) firing rates, as fractions of all neurons and steps, at which the estimate equals the
            published value; for results whose spike counts are not published.
        result: "within", "outside", a sentence on the firing rates, or the reason why there is no estimate.
        estimated_by: id of the profile whose constants were used; "" for the profile itself.
        source: the publication.
        note: remarks of the profile.
    """

    hardware: str
    id: str
    workload: str
    quantity: str
    unit: str
    published: float | None
    low: float | None = None
    nominal: float | None = None
    high: float | None = None
    board_low: float | None = None
    board_high: float | None = None
    low_off: float | None = None
    high_off: float | None = None
    tolerance: float | None
    role: str = "independent"
    quantity_kind: str = "total"
    rates: tuple[float, float] | None = None
    result: str = ""
    estimated_by: str
    source: str
    note: str

    @property
    def worst_off(self) -> float:
        """Larger magnitude of `low_off` and `high_off`; 0 without an estimate."""
        return max(abs(self.low_off or 0.0), abs(self.high_off or 0.0))


def check_rows(profile: HardwareProfile) -> list[PublishedCheck]:
    """One row for each published result of a profile, with an estimate if the counts are published.

    Args:
        profile: the hardware profile.
    """
    return [_check(profile, entry) for entry in profile.published]


def validate_rows() -> list[PublishedCheck]:
    """`check_rows` of all devices of Spikeport."""
    return [row for name in list_profiles() for row in check_rows(load_profile(name))]


def estimate(profile: HardwareProfile, entry: Published) -> tuple[float, float]:
    """Estimates a published quantity from nominal constants.

    Energy is synops * e_synop + updates * e_neuron. Power is static + clock * per MHz + synops/s * e_synop.

    Args:
        profile: the profile with the constants.
        entry: the published result.

    Returns:
        (low, high) in the unit of the result: over all published points, from all updates inactive to all active. If
        only the network is published, from no spikes to all neurons firing in every step.
    """
    points = entry.synops or ((0.0,), entry.synops_if_all_fire)
    synops = [math.prod(factors) for factors in points]
    pj_per_synop = profile.energy_per_operation("synop").interval[1]
    fixed = _fixed_micro(profile, entry)
    scale = MICRO[entry.unit]
    return (
        (min(synops) * pj_per_synop / 1e6 + fixed[0]) / scale,
        (max(synops) * pj_per_synop / 1e6 + fixed[1]) / scale,
    )


def _check(profile: HardwareProfile, entry: Published) -> PublishedCheck:
    row = PublishedCheck(
        hardware=profile.device.id,
        id=entry.id,
        workload=entry.workload,
        quantity=entry.quantity,
        unit=entry.unit,
        published=entry.value,
        tolerance=entry.tolerance,
        role=entry.role,
        quantity_kind=entry.quantity_kind,
        estimated_by=entry.estimated_by,
        source=entry.source,
        note=entry.note,
    )
    if not entry.usable:
        return replace(row, result="no check: kept as a warning")
    if profile.gpu is not None:
        return _check_of_gpu(profile, entry, row)
    if entry.step_synops_if_all_fire and entry.value:
        return _check_of_step(profile, entry, entry.value, row)
    counted = bool(entry.synops) and entry.tolerance is not None
    if not entry.value or not (counted or entry.synops_if_all_fire):
        return replace(row, result="no estimate: its counts are not published")
    profile = load_profile(entry.estimated_by) if entry.estimated_by else profile
    low, high = estimate(profile, entry)
    row = replace(row, low=low, high=high, low_off=low / entry.value - 1, high_off=high / entry.value - 1)
    if entry.steps is not None:
        fixed = board_overhead_uj(profile, entry.steps, np.zeros((3, 1)), chips=1)[:, 0] / MICRO[entry.unit]
        row = replace(row, board_low=low + float(fixed[0]), board_high=high + float(fixed[2]))
    if entry.tolerance is None or not entry.synops:
        rates, result = _bracket(profile, entry, entry.value, low, high)
        return replace(row, rates=rates, result=result)
    return replace(row, result=WITHIN if row.worst_off <= entry.tolerance else OUTSIDE)


def _check_of_gpu(profile: HardwareProfile, entry: Published, row: PublishedCheck) -> PublishedCheck:
    """The row with the estimate of the launch-bound model."""
    if entry.macs is None or entry.kernels is None or not entry.value:
        return replace(row, result="no estimate: its network is not published")
    work = GpuWork(
        macs=entry.macs,
        kernels=entry.kernels,
        batch=entry.batch,
        weight_bytes=entry.weight_bytes,
        value_bytes=entry.value_bytes,
        precision=entry.precision,
    )
    found = gpu_estimate(profile, work)
    low, nominal, high = (
        found.time_us if entry.unit == "us" else tuple(energy / MICRO[entry.unit] for energy in found.total_uj)
    )
    return replace(
        row,
        low=low,
        nominal=nominal,
        high=high,
        low_off=low / entry.value - 1,
        high_off=high / entry.value - 1,
        result=_beside(entry.value, low, high),
    )


def _check_of_step(profile: HardwareProfile, entry: Published, value: float, row: PublishedCheck) -> PublishedCheck:
    """The row with the time of a step in the busiest core: operations, neuron updates and the barrier of one tile."""
    times = profile.latency.t_synop_ns, profile.latency.t_neuron_active_ns, profile.latency.t_neuron_inactive_ns
    synop, active, inactive = (constant.interval[1] if constant else 0.0 for constant in times)
    barrier = profile.latency.barrier_ns
    fixed_ns = line(barrier.value, 1) if barrier and barrier.value else 0.0
    all_fire_us = math.prod(entry.step_synops_if_all_fire) * synop / 1e3
    low, high = (each * entry.step_neurons / 1e3 + fixed_ns / 1e3 for each in (inactive, active))
    rate = entry.typical_rate or 0.0
    typical = high + rate * all_fire_us
    rates = (value - high) / all_fire_us, (value - low) / all_fire_us
    result = f"{number(typical)} {entry.unit} at a firing rate of {rate:g}: {value / typical:.1f} times too fast"
    if entry.reason:
        result += f", since {entry.reason}"
    if rates[0] <= 1:
        result += f"; met where neurons fire in {_rates(rates)} of all steps"
    low_off, high_off = low / value - 1, (high + all_fire_us) / value - 1
    return replace(
        row, low=low, high=high + all_fire_us, low_off=low_off, high_off=high_off, rates=rates, result=result
    )


def _beside(value: float, low: float, high: float) -> str:
    """Where a measured value lies against an interval that no source promises to hold it."""
    if value > high:
        return f"low by {100 * (1 - high / value):.2g} % at least"
    return WITHIN if value >= low else f"high by {100 * (low / value - 1):.2g} % at least"


def _bracket(
    profile: HardwareProfile, entry: Published, value: float, low: float, high: float
) -> tuple[tuple[float, float] | None, str]:
    """Firing rates that explain `value`, and a sentence; (None, reason) if no firing rate does."""
    if value > high:
        return None, f"low by {value / high:.1f} times at least: no firing rate explains it"
    if value < low:
        return None, f"high by {low / value:.1f} times at least: silence alone would cost more"
    at_one = math.prod(entry.synops_if_all_fire) * profile.energy_per_operation("synop").interval[1] / 1e6
    inactive, active = _fixed_micro(profile, entry)
    measured = value * MICRO[entry.unit]
    rates = (max(0.0, (measured - active) / at_one), max(0.0, (measured - inactive) / at_one))
    return rates, f"met where neurons fire in {_rates(rates)} of all steps"


def _fixed_micro(profile: HardwareProfile, entry: Published) -> tuple[float, float]:
    """Part that does not depend on spikes, µJ or µW: (all updates inactive, all active), or twice the idle power."""
    if entry.unit in ("mW", "uW"):
        per_chip, per_mhz = known(profile.static.per_chip_mw), known(profile.static.per_mhz_mw)
        idle_mw = per_chip.interval[1] if per_chip else 0.0
        idle_mw += per_mhz.interval[1] * (entry.clock_mhz or 0.0) if per_mhz else 0.0
        return idle_mw * 1e3, idle_mw * 1e3
    if not entry.neuron_updates:
        return 0.0, 0.0
    updates = math.prod(entry.neuron_updates)
    inactive, active = (profile.energy_per_operation(op).interval[1] for op in ("neuron_inactive", "neuron_active"))
    return updates * inactive / 1e6, updates * active / 1e6


def _rates(rates: tuple[float, float]) -> str:
    low, high = (f"{100 * rate:.1f}" for rate in rates)
    return f"{low} %" if low == high else f"{low} to {high} %"


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
