"""Sensitivity of an energy to each uncertain constant, all others nominal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

import numpy as np

from spikeport.hardware_profiles.constants import Constant, Curve
from spikeport.hardware_profiles.profile import HardwareProfile
from spikeport.hardware_profiles.schema import fields_of
from spikeport.pipeline.profiling.counts import Activity
from spikeport.pipeline.profiling.energy.estimate_parts import ConstantEffect, Ends
from spikeport.pipeline.profiling.energy.placement import Placement
from spikeport.pipeline.profiling.energy.sample_energies import SampleEnergies, sample_energies
from spikeport.pipeline.profiling.energy.terms import PJ_PER_UJ

ConstantType = TypeVar("ConstantType", bound=Constant)
OVERHEAD = "overhead"
STATIC_SCALE = "static.scale"
SECTIONS = ("static", "overhead", "latency", "memory")
ProfilePair = tuple[HardwareProfile, HardwareProfile]  # with a constant at its low and at its high end


def sensitivity(
    profile: HardwareProfile,
    activity: Activity,
    placement: Placement | None = None,
    active_rule: str | None = None,
    dt_s: float | None = None,
) -> tuple[ConstantEffect, ...]:
    """Each energy with one constant at its low and at its high end, for each constant with an interval.

    The choice of active neuron updates is one more entry, and so is static power by used cores or by whole chips. Fixed
    costs of the board are one entry. Limits are not varied, so the placement stays the same.

    Args:
        profile: the device.
        activity: the counts of the network.
        placement: its cores; None where they are unknown.
        active_rule: the rule for active neuron updates; None for the profile's own.
        dt_s: duration of a time step in s; None where it is unknown.

    Returns:
        The effects, the largest first, without constants that change nothing; empty where no energy is known.
    """

    def of(varied: HardwareProfile) -> SampleEnergies:
        return sample_energies(varied, activity, placement=placement, active_rule=active_rule, dt_s=dt_s)

    nominal = of(profile)
    if nominal.dynamic_pj is None and nominal.total_pj is None:
        return ()
    effects = []
    for key, (low, high), ends in _varied(profile):
        dynamic, total, live, board = (
            _ends(list(found)) for found in zip(*(_energies(of(varied)) for varied in ends), strict=True)
        )
        effects.append(
            ConstantEffect(
                constant=key, low=low, high=high, dynamic_uj=dynamic, total_uj=total, live_uj=live, board_uj=board
            )
        )
    effects += _active_updates(nominal, nominal.neuron_bracket_pj)
    return tuple(sorted((each for each in effects if each.span_uj), key=lambda each: each.span_uj, reverse=True))


def _varied(profile: HardwareProfile) -> Iterator[tuple[str, tuple[float | None, float | None], ProfilePair]]:
    """Key and ends of each uncertain constant, and the profile with the constant at either end."""
    for index, entry in enumerate(profile.energy):
        if _uncertain(entry) and entry.op != "reset_chip":  # it is part of OVERHEAD
            low, _, high = entry.interval
            ends = [(*profile.energy[:index], _set(entry, end), *profile.energy[index + 1 :]) for end in (low, high)]
            first, second = (replace(profile, energy=energy) for energy in ends)
            yield f"energy.{entry.op}", (low, high), (first, second)
    for section in SECTIONS:
        part = getattr(profile, section)
        if part is None:
            continue
        names = {field.alias or name: name for name, field in type(part).model_fields.items()}
        if section == "overhead":  # a host without its time, or the reverse, would move nothing
            yield OVERHEAD, (None, None), _overhead_at_its_ends(profile)
            continue
        if section == "static" and profile.static.scale == "used_chips":
            by_cores = part.model_copy(update={"scale": "used_cores"})
            yield STATIC_SCALE, (None, None), (replace(profile, static=by_cores), profile)
        for key, value in fields_of(part):
            if isinstance(value, Constant) and _uncertain(value):
                low, _, high = value.interval
                changed = [part.model_copy(update={names[key]: _set(value, end)}) for end in (low, high)]
                bounds: tuple[float | None, float | None] = (low, high)
            elif isinstance(value, Curve) and value.high is not None:
                changed = [part, part.model_copy(update={names[key]: value.model_copy(update={"value": value.high})})]
                bounds = (None, None)
            else:
                continue
            first, second = (replace(profile, **{section: one}) for one in changed)
            yield f"{section}.{key}", bounds, (first, second)


def _overhead_at_its_ends(profile: HardwareProfile) -> ProfilePair:
    """The profile with all fixed costs of the board low, and high."""
    constants = {
        name: constant for name in type(profile.overhead).model_fields
        if isinstance(constant := getattr(profile.overhead, name), Constant) and _uncertain(constant)
    }  # fmt: skip
    reset = profile.constant("reset_chip")
    first, second = (
        replace(
            profile,
            overhead=profile.overhead.model_copy(
                update={name: _set(constant, constant.interval[end]) for name, constant in constants.items()}
            ),
            energy=tuple(_set(entry, entry.interval[end]) if entry is reset else entry for entry in profile.energy),
        )
        for end in (0, 2)
    )
    return first, second


def _energies(found: SampleEnergies) -> tuple[np.ndarray | None, ...]:
    """Dynamic, total and live energy and the board reading, pJ."""
    return found.dynamic_pj, found.total_pj, None if found.live is None else found.live.energy_pj, found.board_pj


def _active_updates(nominal: SampleEnergies, bracket: tuple[float, float] | None) -> list[ConstantEffect]:
    """Effect of the rule for active neuron updates, which is a choice and not a constant."""
    if bracket is None or nominal.dynamic_pj is None:
        return []
    neurons = sum(float(layer.neuron_pj[1].mean()) for layer in nominal.layers)
    shifts = [(end - neurons) / PJ_PER_UJ for end in bracket]

    def shifted(energy_pj: np.ndarray | None) -> Ends | None:
        at = None if energy_pj is None else float(energy_pj[1].mean()) / PJ_PER_UJ
        return None if at is None else Ends(low=at + shifts[0], high=at + shifts[1])

    dynamic, total, live, board = map(shifted, _energies(nominal))
    return [
        ConstantEffect(
            constant="all neuron updates inactive, or all active",
            low=None,
            high=None,
            dynamic_uj=dynamic,
            total_uj=total,
            live_uj=live,
            board_uj=board,
        )
    ]


def _uncertain(constant: Constant) -> bool:
    return constant.value is not None and constant.interval[0] != constant.interval[2]


def _set(constant: ConstantType, value: float) -> ConstantType:
    return constant.model_copy(update={"value": value, "low": None, "high": None})


def _ends(energies: list[np.ndarray | None]) -> Ends | None:
    low, high = (None if energy is None else float(energy[1].mean()) / PJ_PER_UJ for energy in energies)
    return None if low is None or high is None else Ends(low=low, high=high)
