"""What both pages of a comparison show: what no run knows as one line, energies by device."""

from __future__ import annotations

from typing import Any

from spikeport.pipeline.report.comparison.ratios import KINDS
from spikeport.pipeline.report.content.energy_rows import device

COSTS = {"spikes_per_sample": "Spikes", "synops_per_sample": "Synaptic operations"}


def unknown_in_all(runs: list[dict[str, Any]], part: str, key: str) -> str:
    """Why no run has the entry `key` of its `accuracy` or `equivalence`; empty where one has it."""
    reasons = [run[part][key].get("reason") for run in runs]
    return "; ".join(dict.fromkeys(reasons)) if all(reasons) else ""


def devices(comparison: dict[str, Any]) -> list[dict[str, Any]]:
    """One entry per device that any run was priced on: {hardware, name, rows, known, scopes, missing}. `known`: some
    run has an energy; `scopes`: what their numbers contain; `missing`: why there is none.

    A row: `run`, `priced` (what `energy_rows.device` says, None where it was not priced), `why_not`, `ratios` to the
    first run (None for the first run itself), and `why_no_ratio` of what is known of this run.
    """
    named: dict[str, str] = {}
    for run in comparison["runs"]:
        for row in run["energy"] if isinstance(run["energy"], list) else []:
            named.setdefault(row["hardware"], row["name"] or row["hardware"])
    return [_device(comparison, hardware, name) for hardware, name in named.items()]


def _device(comparison: dict[str, Any], hardware: str, name: str) -> dict[str, Any]:
    rows = []
    for run, against in zip(comparison["runs"], [None, *comparison["against_first"]], strict=True):
        estimate = why_not = None
        if isinstance(run["energy"], dict):
            why_not = run["energy"]["reason"]
        else:
            found = next((row for row in run["energy"] if row["hardware"] == hardware), None)
            estimate = found and device(found)
            why_not = None if found else "not priced on this device"
        ratios = against and next((entry for entry in against["energy"] if entry["hardware"] == hardware), None)
        entries = [ratios[kind] for kind in KINDS if estimate and estimate[kind]] if ratios else []
        reasons = dict.fromkeys(entry["reason"] for entry in entries if entry["nominal"] is None)
        rows.append(
            {
                "run": run,
                "estimate": estimate,
                "why_not": why_not,
                "ratios": ratios,
                "why_no_ratio": "; ".join(reasons),
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


def changes(comparison: dict[str, Any]) -> list[dict[str, Any]]:
    """One entry per run but the first: {run, rows, why}, what it spends on each recording against the first.

    A row: {name, n, difference, ratio, why}, energies in µJ; a device with a dynamic energy in neither run has none.
    `why`: the reason why no row has a difference, where it is one for all; then there are no rows.
    """
    on_devices, entries = devices(comparison), []
    for number, against in enumerate(comparison["against_first"], start=1):
        rows = [{"name": name, **against["activity"][key]} for key, name in COSTS.items()]
        for each in on_devices:
            first, other = each["rows"][0], each["rows"][number]
            if other["ratios"] and any(row["estimate"] and row["estimate"]["dynamic"] for row in (first, other)):
                rows.append({"name": f"Dynamic energy on {each['name']}, µJ", **other["ratios"]["paired_dynamic_uj"]})
        for row in rows:
            row["why"] = row["difference"].get("reason") or ""
        reasons = {row["why"] for row in rows}
        why = reasons.pop() if len(reasons) == 1 else ""
        entries.append({"run": comparison["runs"][number], "rows": [] if why else rows, "why": why})
    return entries


def why_unknown(row: dict[str, Any]) -> str:
    """Why a row of `devices` has no energy."""
    estimate = row["estimate"]
    if estimate is None:
        return row["why_not"]
    return f"no price for {estimate['missing']}" if estimate["missing"] else "no published price"
