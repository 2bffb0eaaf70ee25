"""Counts of a trace, and what they cost on each device: what the stage `profile` and the verb of that name have in
common."""

from __future__ import annotations

from typing import Any

from export.integer_network import IntegerNetwork
from export.limits import check_limits
from export.spike_trace import SpikeTrace
from hardware_profiles.profile import HardwareProfile, known, load_profile
from pipeline.profiling.counts import Activity, count_activity
from pipeline.profiling.energy import account
from pipeline.profiling.sensitivity import sensitivity


def priced(
    network: IntegerNetwork, trace: SpikeTrace, hardware: tuple[str, ...], active_rule: str | None = None
) -> dict[str, Any]:
    """{"layers": counts, "energy": a row for each of `hardware` (ids or files), "ann_macs": of the ANN twin}.
    `active_rule`: as in `account`."""
    activity = count_activity(network, trace)
    return {
        "layers": [layer.row() for layer in activity.layers],
        "energy": [_row(load_profile(name), network, activity, active_rule) for name in hardware],
        "ann_macs": activity.ann_macs,
    }


def _row(
    profile: HardwareProfile, network: IntegerNetwork, activity: Activity, active_rule: str | None
) -> dict[str, Any]:
    more = {"sensitivity": sensitivity(profile, activity, active_rule), "placement": _placement(profile, network)}
    return account(profile, activity, active_rule=active_rule).row() | more


def _placement(profile: HardwareProfile, network: IntegerNetwork) -> dict[str, Any] | None:
    """What the network takes of the chip by its public limits; None for a device that publishes none that cut layers
    into cores."""
    limits = profile.limits
    if known(limits.neurons_per_core) is None or known(limits.cores_per_chip) is None:
        return None
    found, per_chip = check_limits(network, profile), limits.cores_per_chip
    assert per_chip is not None
    return {
        "cores": found.cores,
        "cores_per_chip": per_chip.interval[1],
        "verdict": found.verdict,
        "layers": [{"name": each.name, "cores": each.cores, "filled_by": each.closed_by} for each in found.layers],
    }
