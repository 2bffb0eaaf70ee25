"""Ratios of the energies of two runs on one device, or the reason why there is none."""

from __future__ import annotations

from typing import Literal, TypedDict

from spikeport.pipeline.report.comparison.compare_json import Ratio
from spikeport.pipeline.report.content.energy_json import EnergyRow
from spikeport.pipeline.report.content.energy_rows import device
from spikeport.values import IntervalJson

Kind = Literal["dynamic", "total"]
KINDS: tuple[Kind, ...] = ("dynamic", "total")
RATIO = (
    "this run's low over the first's high, to its high over the first's low. Both use the same constants, which can "
    "only change together, so the interval is wider than necessary"
)


class Ratios(TypedDict):
    """Ratios of the dynamic and of the total energy."""

    dynamic: Ratio
    total: Ratio


def energy_ratios(row: EnergyRow | None, first: EnergyRow | None, names: tuple[str, str]) -> Ratios:
    """Ratios of the energies of two runs on one device.

    Rows of different basis, scope, unknown terms or version of the profile have no ratio.

    Args:
        row: the run's energy; None where it has none on this device.
        first: the first run's energy.
        names: labels of both runs.
    """
    return {"dynamic": _ratio(row, first, names, "dynamic"), "total": _ratio(row, first, names, "total")}


def _ratio(row: EnergyRow | None, first: EnergyRow | None, names: tuple[str, str], kind: Kind) -> Ratio:
    if reason := why_apart(row, first, names, kind):
        return _none(reason)
    assert row is not None
    assert first is not None
    mine, its = device(row)[kind], device(first)[kind]
    assert mine is not None
    assert its is not None
    return ratio(mine, its)


def why_apart(row: EnergyRow | None, first: EnergyRow | None, names: tuple[str, str], kind: Kind) -> str:
    """Why two energies are not comparable; empty where they are.

    Args:
        row: the run's energy; None where it has none on this device.
        first: the first run's energy.
        names: labels of both runs.
        kind: the energy to compare.
    """
    if row is None or first is None:
        absent = [name for name, known in zip(names, (row, first), strict=True) if known is None]
        verb = "has" if len(absent) == 1 else "have"
        return f"{' and '.join(absent)} {verb} no estimate for this device"
    here, there = device(row), device(first)
    if here["headline"] and there["headline"] and (reason := _unlike(row, first)):
        return reason
    unknown = [name for name, entry in zip(names, (here, there), strict=True) if entry[kind] is None]
    return f"unknown for {' and '.join(unknown)}" if unknown else ""


def ratio(one: IntervalJson, other: IntervalJson) -> Ratio:
    """The interval of `one` over `other`.

    Args:
        one: an energy, µJ.
        other: an energy, µJ.

    Returns:
        The ratio; without a nominal value, with the reason, where `other` may be zero or `one` negative.
    """
    if other["low"] <= 0 or one["low"] < 0:
        return _none("an interval reaches zero")
    return {
        "low": one["low"] / other["high"],
        "nominal": one["nominal"] / other["nominal"],
        "high": one["high"] / other["low"],
    }


def _unlike(row: EnergyRow, first: EnergyRow) -> str:
    """Why two rows with known energies have no ratio; empty where they have one."""
    if row["basis"] != first["basis"]:
        return f"rows of different basis have no ratio: {row['basis']}, and {first['basis']}"
    if row["scope"] != first["scope"]:
        return f"rows of different scope have no ratio: {row['scope']}, and {first['scope']}"
    if set(row.get("unknown_terms") or ()) != set(first.get("unknown_terms") or ()):
        return "rows with different unknown terms have no ratio"
    if _digest(row) != _digest(first):
        return "the two runs used different versions of the profile"
    return ""


def _digest(row: EnergyRow) -> str | None:
    profile = row.get("profile")
    return None if profile is None else profile["sha256"]


def _none(reason: str) -> Ratio:
    return {"nominal": None, "reason": reason}
