"""What `spikeport hardware` lists and shows: the devices, and their constants with sources."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from spikeport.hardware_profiles.constants import (
    Sourced,
)
from spikeport.hardware_profiles.profile import HardwareProfile, list_profiles, load_profile
from spikeport.hardware_profiles.schema import (
    fields_of,
)


def list_rows() -> list[dict[str, Any]]:
    """One row per device that comes with Spikeport: id, name, kind, scope, and the terms it has no number for."""
    return [
        {
            "id": name,
            "name": profile.device.name,
            "kind": profile.device.kind,
            "scope": profile.accounting.scope,
            "unknown_terms": list(profile.unknown_terms),
            "source": profile.device.source,
        }
        for name in list_profiles()
        for profile in (load_profile(name),)
    ]


def show_rows(profile: HardwareProfile) -> list[dict[str, Any]]:
    """Every number of a profile: {key, value, low, high, unit, status, bound, source, locator, note}.

    Unknown ones are rows too, with value None. A curve's value is its points.
    """
    rows = [_show(f"energy.{entry.op}", "pJ", entry) for entry in profile.energy]
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
                rows.append(_show(f"{section}.{key}", _unit(key), value))
    rows += [_show(f"published.{entry.id}", entry.unit, entry) for entry in profile.published]
    return rows


def _show(key: str, unit: str, entry: Sourced) -> dict[str, Any]:
    return {
        "key": key,
        "value": getattr(entry, "value", None),
        "low": getattr(entry, "low", None),
        "high": getattr(entry, "high", None),
        "unit": unit,
        "status": entry.status,
        "bound": entry.bound,
        "source": entry.source,
        "locator": entry.locator,
        "note": entry.note,
    }


def _unit(key: str) -> str:
    """The unit a key ends with: `per_chip_mW` is in mW, `cores_per_chip` is a number."""
    known_units = ("pJ", "mW", "ns", "us", "uJ", "W", "tflops", "tops", "GBps", "bytes", "bits")
    if "bytes" in key:
        return "bytes"
    return next((unit for unit in known_units if key.endswith(f"_{unit}")), "")
