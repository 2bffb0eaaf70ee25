"""What each uncertain constant does to an energy by itself: which of them a reader should argue about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from spikeport.hardware_profiles.profile import HardwareProfile
from spikeport.hardware_profiles.schema import Constant, Curve, fields_of
from spikeport.pipeline.profiling.counts import Activity
from spikeport.pipeline.profiling.energy.placement import Placement
from spikeport.pipeline.profiling.energy.sample_energies import sample_energies
from spikeport.pipeline.profiling.energy.terms import PJ_PER_UJ

SECTIONS = ("static", "overhead", "latency", "memory")
Ends = tuple[HardwareProfile, HardwareProfile]


def sensitivity(
    profile: HardwareProfile,
    activity: Activity,
    placement: Placement | None = None,
    active_rule: str | None = None,
) -> list[dict[str, Any]]:
    """For each constant with an interval, and for the choice of active updates: the dynamic and the total energy with
    it at its low and at its high end, all else nominal. Those that move an energy most come first; those that move
    none, and constants that are one number, are left out. Empty where the device has no price. No limit is varied, so
    the placement stays. `active_rule`: as in `account`.

    [{"constant" (key as in the file), "low", "high" (its ends; None for a choice or a curve), "dynamic_uj", "total_uj"
    ({"low", "high"}: means over samples, or None where unknown)}].
    """
    nominal = sample_energies(profile, activity, placement=placement, active_rule=active_rule)
    if nominal.dynamic_pj is None and nominal.total_pj is None:
        return []
    rows = []
    for key, (low, high), ends in _varied(profile):
        energies = [sample_energies(varied, activity, placement=placement, active_rule=active_rule) for varied in ends]
        dynamic, total = (_ends([getattr(each, name) for each in energies]) for name in ("dynamic_pj", "total_pj"))
        rows.append({"constant": key, "low": low, "high": high, "dynamic_uj": dynamic, "total_uj": total})
    rows += _active_updates(nominal, nominal.neuron_bracket_pj)
    return sorted((row for row in rows if _span(row)), key=_span, reverse=True)


def _varied(profile: HardwareProfile) -> Iterator[tuple[str, tuple[float | None, float | None], Ends]]:
    """Each uncertain constant's key, its ends, and the profile with it at either end."""
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


def _active_updates(nominal: Any, bracket: tuple[float, float] | None) -> list[dict[str, Any]]:
    """The one choice that no constant holds: which neuron updates count as active."""
    if bracket is None or nominal.dynamic_pj is None:
        return []
    neurons = sum(float(layer.neuron_pj[1].mean()) for layer in nominal.layers)
    shifts = [(end - neurons) / PJ_PER_UJ for end in bracket]
    moved = {}
    for key, energy in (("dynamic_uj", nominal.dynamic_pj), ("total_uj", nominal.total_pj)):
        at = None if energy is None else float(energy[1].mean()) / PJ_PER_UJ
        moved[key] = None if at is None else {"low": at + shifts[0], "high": at + shifts[1]}
    return [{"constant": "all neuron updates inactive, or all active", "low": None, "high": None, **moved}]


def _uncertain(constant: Constant) -> bool:
    return constant.value is not None and constant.interval[0] != constant.interval[2]


def _set(constant: Any, value: float) -> Any:
    return constant.model_copy(update={"value": value, "low": None, "high": None})


def _ends(energies: list[Any]) -> dict[str, float] | None:
    if any(energy is None for energy in energies):
        return None
    low, high = (float(energy[1].mean()) / PJ_PER_UJ for energy in energies)
    return {"low": low, "high": high}


def _span(row: dict[str, Any]) -> float:
    return max((abs(row[key]["high"] - row[key]["low"]) for key in ("dynamic_uj", "total_uj") if row[key]), default=0.0)
