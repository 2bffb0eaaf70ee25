"""What `spikeport hardware` shows: the devices, their constants with sources, and checks against published results."""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel

from hardware_profiles.profile import HardwareProfile, known, list_profiles, load_profile
from hardware_profiles.schema import Published, Sourced, fields_of

MICRO = {"mJ": 1e3, "uJ": 1.0, "mW": 1e3, "uW": 1.0}  # published units in µJ or µW


def list_rows() -> list[dict[str, Any]]:
    """One row per device that comes with Spikeport: id, name, kind, scope, and the terms it has no number for."""
    return [
        {
            "id": name,
            "name": profile.device.name,
            "kind": profile.device.kind,
            "scope": profile.accounting.scope,
            "unpriced": list(profile.unpriced),
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


def check_rows(profile: HardwareProfile) -> list[dict[str, Any]]:
    """The profile's published results, each recomputed from its constants where its counts are published.

    {hardware, id, workload, quantity, unit, published, low, high (the estimate), low_off, high_off (shares of the
    published value), tolerance, verdict, source, note}. Verdict: within, outside, or why there is no estimate.
    """
    return [_check(profile, entry) for entry in profile.published]


def validate_rows() -> list[dict[str, Any]]:
    """`check_rows` of every device that comes with Spikeport."""
    return [row for name in list_profiles() for row in check_rows(load_profile(name))]


def _check(profile: HardwareProfile, entry: Published) -> dict[str, Any]:
    row: dict[str, Any] = {
        "hardware": profile.device.id,
        "id": entry.id,
        "workload": entry.workload,
        "quantity": entry.quantity,
        "unit": entry.unit,
        "published": entry.value,
        "low": None,
        "high": None,
        "low_off": None,
        "high_off": None,
        "tolerance": entry.tolerance,
        "verdict": "",
        "source": entry.source,
        "note": entry.note,
    }
    if not entry.usable:
        return row | {"verdict": "no check: kept as a warning"}
    if not entry.synops or not entry.value or entry.tolerance is None:
        return row | {"verdict": "no estimate: its counts are not published"}
    low, high = estimate(profile, entry)
    low_off, high_off = low / entry.value - 1, high / entry.value - 1
    within = max(abs(low_off), abs(high_off)) <= entry.tolerance
    return row | {
        "low": low,
        "high": high,
        "low_off": low_off,
        "high_off": high_off,
        "verdict": "within" if within else "outside",
    }


def estimate(profile: HardwareProfile, entry: Published) -> tuple[float, float]:
    """The published quantity from nominal constants, in its unit: over all points, all updates inactive to active.

    Energy: synops * e_synop + updates * e_neuron. Power: static + clock * per MHz + synops/s * e_synop.
    """
    synops = [math.prod(factors) for factors in entry.synops]
    pj_per_synop = profile.price("synop").interval[1]
    fixed = [0.0, 0.0]
    if entry.unit in ("mW", "uW"):
        per_chip, per_mhz = known(profile.static.per_chip_mw), known(profile.static.per_mhz_mw)
        idle_mw = per_chip.interval[1] if per_chip else 0.0
        idle_mw += per_mhz.interval[1] * (entry.clock_mhz or 0.0) if per_mhz else 0.0
        fixed = [idle_mw * 1e3] * 2
    elif entry.neuron_updates:
        updates = math.prod(entry.neuron_updates)
        ops = ("neuron_inactive", "neuron_active")
        fixed = [updates * profile.price(op).interval[1] / 1e6 for op in ops]
    scale = MICRO[entry.unit]
    return (
        (min(synops) * pj_per_synop / 1e6 + fixed[0]) / scale,
        (max(synops) * pj_per_synop / 1e6 + fixed[1]) / scale,
    )


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
