"""Rows of a comparison that both of its pages contain: energies by device, and paired changes."""

from __future__ import annotations

from typing import Literal, TypedDict

from spikeport.pipeline.report.comparison.compare_json import ComparedRun, Comparison, EnergyRatios
from spikeport.pipeline.report.comparison.per_sample import ChangedValue
from spikeport.pipeline.report.content.energy_rows import DeviceEnergy, device
from spikeport.pipeline.report.content.equality_json import Equality


class DeviceRow(TypedDict):
    """Energy of one run on one device.

    Attributes:
        run: the run.
        estimate: its energy; None where the run has none on this device.
        why_not: why `estimate` is None.
        ratios: ratios to the first run; None for the first run itself.
        why_no_ratio: why a known energy has no ratio; empty where each has one.
    """

    run: ComparedRun
    estimate: DeviceEnergy | None
    why_not: str
    ratios: EnergyRatios | None
    why_no_ratio: str


class DeviceView(TypedDict):
    """Energies of all runs on one device.

    Attributes:
        hardware: id of the device.
        name: its name.
        rows: one row a run.
        known: whether a run has a known energy.
        scopes: what the known energies contain.
        missing: why no energy is known.
    """

    hardware: str
    name: str
    rows: list[DeviceRow]
    known: bool
    scopes: list[str]
    missing: str


class ChangeRow(TypedDict):
    """Paired change of one quantity.

    Attributes:
        name: the quantity, with its unit.
        n: number of recordings.
        difference: difference of the means.
        ratio: ratio of the means.
        why: why there is no change; empty where there is one.
    """

    name: str
    n: int | None
    difference: ChangedValue
    ratio: ChangedValue
    why: str


class RunChanges(TypedDict):
    """Paired changes of one run.

    Attributes:
        run: the run.
        rows: changes of each quantity.
        why: why no quantity has a change, if the reason is the same for all; there are no rows then.
    """

    run: ComparedRun
    rows: list[ChangeRow]
    why: str


def checks_of(run: ComparedRun) -> dict[str, Equality]:
    """The comparisons of spikes of one run by their key in report.json."""
    return run["equivalence"]["comparisons"]


def unknown_in_all(runs: list[ComparedRun], part: Literal["accuracy", "equivalence"], key: str) -> str:
    """Why no run has an entry; empty where a run has it.

    Args:
        runs: the runs.
        part: the part of report.json.
        key: the entry of this part.
    """
    if part == "accuracy":
        reasons = [run["accuracy"][key].get("reason") for run in runs]
    else:
        reasons = [checks_of(run)[key].get("reason") for run in runs]
    known = [reason for reason in reasons if reason]
    return "; ".join(dict.fromkeys(known)) if len(known) == len(reasons) else ""


def devices(comparison: Comparison) -> list[DeviceView]:
    """Energies of all runs by device, for each device in an energy estimate of a run."""
    named: dict[str, str] = {}
    for run in comparison["runs"]:
        for row in run["energy"] if isinstance(run["energy"], list) else []:
            named.setdefault(row["hardware"], row.get("name") or row["hardware"])
    return [_device(comparison, hardware, name) for hardware, name in named.items()]


def _device(comparison: Comparison, hardware: str, name: str) -> DeviceView:
    rows: list[DeviceRow] = []
    for run, against in zip(comparison["runs"], [None, *comparison["against_first"]], strict=True):
        estimate, why_not = None, ""
        if isinstance(run["energy"], list):
            found = next((row for row in run["energy"] if row["hardware"] == hardware), None)
            estimate = device(found) if found else None
            why_not = "" if found else "no estimate for this device"
        else:
            why_not = run["energy"]["reason"]
        ratios = (
            next((entry for entry in against["energy"] if entry["hardware"] == hardware), None) if against else None
        )
        reasons = []
        if ratios and estimate:
            pairs = ((ratios["dynamic"], estimate["dynamic"]), (ratios["total"], estimate["total"]))
            reasons = [ratio["reason"] for ratio, known in pairs if known and ratio["nominal"] is None]
        rows.append(
            {
                "run": run,
                "estimate": estimate,
                "why_not": why_not,
                "ratios": ratios,
                "why_no_ratio": "; ".join(dict.fromkeys(reasons)),
            }
        )
    known = [row["estimate"] for row in rows if row["estimate"] and row["estimate"]["headline"]]
    return {
        "hardware": hardware,
        "name": name,
        "rows": rows,
        "known": bool(known),
        "scopes": list(dict.fromkeys(estimate["scope"] for estimate in known)),
        "missing": "; ".join(dict.fromkeys(why_unknown(row) for row in rows)),
    }


def changes(comparison: Comparison) -> list[RunChanges]:
    """Paired changes per recording of each run but the first; energies in µJ.

    A device without dynamic energy in both runs has no row.
    """
    on_devices, found = devices(comparison), list[RunChanges]()
    for number, against in enumerate(comparison["against_first"], start=1):
        activity = against["activity"]
        named = [("Spikes", activity["spikes_per_sample"]), ("Synaptic operations", activity["synops_per_sample"])]
        for each in on_devices:
            first, other = each["rows"][0], each["rows"][number]
            if other["ratios"] and any(row["estimate"] and row["estimate"]["dynamic"] for row in (first, other)):
                named.append((f"Dynamic energy on {each['name']}, µJ", other["ratios"]["paired_dynamic_uj"]))
        rows: list[ChangeRow] = [
            {"name": name, **change, "why": change["difference"].get("reason", "")} for name, change in named
        ]
        reasons = {row["why"] for row in rows}
        why = reasons.pop() if len(reasons) == 1 else ""
        found.append({"run": comparison["runs"][number], "rows": [] if why else rows, "why": why})
    return found


def why_unknown(row: DeviceRow) -> str:
    """Why a row of `devices` has no energy."""
    estimate = row["estimate"]
    if estimate is None:
        return row["why_not"]
    unknown = estimate["missing"]
    return f"no published energy for {unknown}" if unknown else "no published energy per operation"
