"""Table rows of the devices of Spikeport, and of the constants of a profile with their sources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from spikeport.hardware_profiles.constants import Sourced
from spikeport.hardware_profiles.profile import HardwareProfile, list_profiles, load_profile
from spikeport.hardware_profiles.schema import fields_of
from spikeport.json_values import JsonValue


@dataclass(frozen=True, kw_only=True)
class DeviceRow(JsonValue):
    """One device in the list of profiles.

    Attributes:
        id: the id that `load_profile` takes.
        name: the device's full name.
        kind: neuromorphic, convention, gpu or cpu.
        scope: incremental (terms are added) or all_in (one constant includes all terms).
        unknown_terms: terms of the total energy without a published number.
        source: source of the description of the device.
    """

    id: str
    name: str
    kind: str
    scope: str
    unknown_terms: tuple[str, ...]
    source: str


@dataclass(frozen=True, kw_only=True)
class ConstantRow(JsonValue):
    """One number of a profile.

    Attributes:
        key: section and key, for example `energy.synop`.
        value: the nominal value, or the points of a curve; None if it is unknown.
        low: lower end of the interval; None if the source states none.
        high: upper end of the interval; None if the source states none.
        unit: unit of the three, "" for plain numbers.
        status: the number's grade, for example measured or convention.
        bound: whether the source states a minimum (min), a maximum (max) or a typical value (typ); else none.
        source: the publication.
        locator: table, figure or page, and how the number was derived.
        note: the assumption behind `low` and `high`.
    """

    key: str
    value: Any
    low: Any
    high: Any
    unit: str
    status: str
    bound: str
    source: str
    locator: str
    note: str


def list_rows() -> list[DeviceRow]:
    """One row for each device of Spikeport."""
    return [
        DeviceRow(
            id=name,
            name=profile.device.name,
            kind=profile.device.kind,
            scope=profile.accounting.scope,
            unknown_terms=profile.unknown_terms,
            source=profile.device.source,
        )
        for name in list_profiles()
        for profile in (load_profile(name),)
    ]


def show_rows(profile: HardwareProfile) -> list[ConstantRow]:
    """One row for each number of a profile, unknown ones included.

    Args:
        profile: the hardware profile.
    """
    rows = [_row(f"energy.{entry.op}", "pJ", entry) for entry in profile.energy]
    sections: tuple[tuple[str, BaseModel | None], ...] = (
        ("static", profile.static),
        ("overhead", profile.overhead),
        ("latency", profile.latency),
        ("limits", profile.limits),
        ("memory", profile.memory),
        ("gpu", profile.gpu),
    )
    for section, content in sections:
        for key, value in fields_of(content) if content else ():
            if isinstance(value, Sourced):
                rows.append(_row(f"{section}.{key}", _unit(key), value))
    rows += [_row(f"published.{entry.id}", entry.unit, entry) for entry in profile.published]
    return rows


def _row(key: str, unit: str, entry: Sourced) -> ConstantRow:
    value, low, high = (getattr(entry, name, None) for name in ("value", "low", "high"))
    return ConstantRow(
        key=key,
        value=value,
        low=low,
        high=high,
        unit=unit,
        status=entry.status,
        bound=entry.bound,
        source=entry.source,
        locator=entry.locator,
        note=entry.note,
    )


def _unit(key: str) -> str:
    """The unit that a key ends with: `per_chip_mW` is in mW, `cores_per_chip` is a plain number."""
    known_units = ("pJ", "mW", "ns", "us", "uJ", "W", "tflops", "tops", "GBps", "bytes", "bits")
    if "bytes" in key:
        return "bytes"
    return next((unit for unit in known_units if key.endswith(f"_{unit}")), "")
