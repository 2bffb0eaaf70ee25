"""One run's energy on a device over another's, or why there is no such ratio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikeport.pipeline.report.content.energy_rows import device

KINDS = ("dynamic", "total")
RATIO = (
    "from this run's low over the first's high to its high over the first's low. Both are priced with the same "
    "constants, which can only move together, so the interval is wider than it must be"
)


def energy_ratios(
    row: dict[str, Any] | None, first: dict[str, Any] | None, names: tuple[str, str]
) -> dict[str, dict[str, Any]]:
    """For each of KINDS {low, nominal, high} of `row` over `first`, or {nominal: None, reason}.

    Both are `energy` rows of report.json of one device, None where a run was not priced on it; `names` are the runs'.
    Rows of different basis, scope, missing prices or version of the profile make no ratio.
    """
    found = {}
    for kind in KINDS:
        if reason := why_apart(row, first, names, kind):
            found[kind] = _none(reason)
        else:
            assert row is not None
            assert first is not None
            found[kind] = ratio(device(row)[kind], device(first)[kind])
    return found


def why_apart(row: dict[str, Any] | None, first: dict[str, Any] | None, names: tuple[str, str], kind: str) -> str:
    """What keeps the energies of this kind from being held against each other; empty where nothing does."""
    if row is None or first is None:
        absent = [name for name, known in zip(names, (row, first), strict=True) if known is None]
        return f"{' and '.join(absent)} not priced on this device"
    here, there = device(row), device(first)
    if here["headline"] and there["headline"] and (reason := _unlike(row, first)):
        return reason
    unknown = [name for name, entry in zip(names, (here, there), strict=True) if entry[kind] is None]
    return f"unknown for {' and '.join(unknown)}" if unknown else ""


def ratio(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, Any]:
    """`one` over `other`, energies {low, nominal, high}: {low, nominal, high}, or {nominal: None, reason} where
    `other` may be zero or `one` below it."""
    if other["low"] <= 0 or one["low"] < 0:
        return _none("an interval reaches zero")
    return {
        "low": one["low"] / other["high"],
        "nominal": one["nominal"] / other["nominal"],
        "high": one["high"] / other["low"],
    }


def _unlike(row: dict[str, Any], first: dict[str, Any]) -> str:
    """What keeps two rows with known energies from making a ratio; empty where nothing does."""
    for key in ("basis", "scope"):
        if row.get(key) != first.get(key):
            return f"rows of different {key} make no ratio: {row.get(key)}, and {first.get(key)}"
    if set(row.get("unknown_terms") or ()) != set(first.get("unknown_terms") or ()):
        return "rows that lack different prices make no ratio"
    if (row.get("profile") or {}).get("sha256") != (first.get("profile") or {}).get("sha256"):
        return "the two runs were priced with different versions of the profile"
    return ""


def _none(reason: str) -> dict[str, Any]:
    return {"nominal": None, "reason": reason}
