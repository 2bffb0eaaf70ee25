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
from spikeport.pipeline.profiling.energy.estimate import ConstantEffect, Ends
from spikeport.pipeline.profiling.energy.placement import Placement
from spikeport.pipeline.profiling.energy.sample_energies import SampleEnergies, sample_energies
from spikeport.pipeline.profiling.energy.terms import PJ_PER_UJ

ConstantType = TypeVar("ConstantType", bound=Constant)
SECTIONS = ("static", "overhead", "latency", "memory")
ProfilePair = tuple[HardwareProfile, HardwareProfile]  # with a constant at its low and at its high end


def sensitivity(
    profile: HardwareProfile,
    activity: Activity,
    placement: Placement | None = None,
    active_rule: str | None = None,
) -> tuple[ConstantEffect, ...]:
    """Dynamic and total energy with one constant at its low and at its high end, for each constant with an interval.

    The choice of active neuron updates is one more entry. Limits are not varied, so the placement stays the same.

    Args:
        profile: the device.
        activity: the counts of the network.
        placement: its cores; None where they are unknown.
        active_rule: the rule for active neuron updates; None for the profile's own.

    Returns:
        The effects, the largest first, without constants that change nothing; empty where no energy is known.
    """
    nominal = sample_energies(profile, activity, placement=placement, active_rule=active_rule)
    if nominal.dynamic_pj is None and nominal.total_pj is None:
        return ()
    effects = []
    for key, (low, high), ends in _varied(profile):
        energies = [sample_energies(varied, activity, placement=placement, active_rule=active_rule) for varied in ends]
        dynamic, total = (_ends([getattr(each, name) for each in energies]) for name in ("dynamic_pj", "total_pj"))
        effects.append(ConstantEffect(constant=key, low=low, high=high, dynamic_uj=dynamic, total_uj=total))
    effects += _active_updates(nominal, nominal.neuron_bracket_pj)
    return tuple(sorted((each for each in effects if each.span_uj), key=lambda each: each.span_uj, reverse=True))


def _varied(profile: HardwareProfile) -> Iterator[tuple[str, tuple[float | None, float | None], ProfilePair]]:
    """Key and ends of each uncertain constant, and the profile with the constant at either end."""
    for index, entry in enumerate(profile.energy):
        if _uncertain(entry):
            low, _, high = entry.interval
            ends = [(*profile.energy[:index], _set(entry, end), *profile.energy[index + 1 :]) for end in (low, high)]
            first, second = (replace(profile, energy=energy) for energy in ends)
            yield f"energy.{entry.op}", (low, high), (first, second)
    for section in SECTIONS:
        part = getattr(profile, section)
        if part is None:
            continue
        names = {field.alias or name: name for name, field in type(part).model_fields.items()}
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


def _active_updates(nominal: SampleEnergies, bracket: tuple[float, float] | None) -> list[ConstantEffect]:
    """Effect of the rule for active neuron updates, which is a choice and not a constant."""
    if bracket is None or nominal.dynamic_pj is None:
        return []
    neurons = sum(float(layer.neuron_pj[1].mean()) for layer in nominal.layers)
    shifts = [(end - neurons) / PJ_PER_UJ for end in bracket]

    def shifted(energy_pj: np.ndarray | None) -> Ends | None:
        at = None if energy_pj is None else float(energy_pj[1].mean()) / PJ_PER_UJ
        return None if at is None else Ends(low=at + shifts[0], high=at + shifts[1])

    return [
        ConstantEffect(
            constant="all neuron updates inactive, or all active",
            low=None,
            high=None,
            dynamic_uj=shifted(nominal.dynamic_pj),
            total_uj=shifted(nominal.total_pj),
        )
    ]


def _uncertain(constant: Constant) -> bool:
    return constant.value is not None and constant.interval[0] != constant.interval[2]


def _set(constant: ConstantType, value: float) -> ConstantType:
    return constant.model_copy(update={"value": value, "low": None, "high": None})


def _ends(energies: list[np.ndarray | None]) -> Ends | None:
    low, high = (None if energy is None else float(energy[1].mean()) / PJ_PER_UJ for energy in energies)
    return None if low is None or high is None else Ends(low=low, high=high)
