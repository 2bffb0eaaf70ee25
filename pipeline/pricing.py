"""Counts of a trace, and what they cost on each device: what the stage `profile` and the verb of that name have in
common."""

from __future__ import annotations

from typing import Any

from export.integer_network import IntegerNetwork
from export.spike_trace import SpikeTrace
from hardware_profiles.profile import load_profile
from pipeline.profiling.counts import Activity, count_activity
from pipeline.profiling.energy import EnergyAccount, account
from pipeline.profiling.placement import place
from pipeline.profiling.sensitivity import sensitivity


def priced(network: IntegerNetwork, trace: SpikeTrace, hardware: tuple[str, ...]) -> dict[str, Any]:
    """{"layers": counts, "energy": a row for each of `hardware` (ids or files), "ann_macs": of the ANN twin}."""
    activity = count_activity(network, trace)
    return {
        "layers": [layer.row() for layer in activity.layers],
        "energy": [_row(found) for found in accounts(network, activity, hardware)],
        "ann_macs": activity.ann_macs,
    }


def accounts(network: IntegerNetwork, activity: Activity, hardware: tuple[str, ...]) -> list[EnergyAccount]:
    """What `network` spent on each of `hardware`, placed there by the public limits."""
    profiles = [load_profile(name) for name in hardware]
    return [account(profile, activity, placement=place(network, profile)) for profile in profiles]


def _row(found: EnergyAccount) -> dict[str, Any]:
    return found.row() | {"sensitivity": sensitivity(found.profile, found.activity, found.placement)}
