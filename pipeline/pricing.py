"""Counts of a trace, and what they cost on each device: what the stage `profile` and the verb of that name have in
common."""

from __future__ import annotations

from typing import Any

from export.integer_network import IntegerNetwork
from export.spike_trace import SpikeTrace
from hardware_profiles.profile import HardwareProfile, load_profile
from pipeline.profiling.counts import Activity, count_activity
from pipeline.profiling.energy import account
from pipeline.profiling.sensitivity import sensitivity

DEFAULT_HARDWARE = ("loihi1", "loihi2", "cmos45-fp32")


def priced(network: IntegerNetwork, trace: SpikeTrace, hardware: tuple[str, ...]) -> dict[str, Any]:
    """{"layers": counts, "energy": a row for each of `hardware` (ids or files), "ann_macs": of the ANN twin}."""
    activity = count_activity(network, trace)
    return {
        "layers": [layer.row() for layer in activity.layers],
        "energy": [_row(load_profile(name), activity) for name in hardware],
        "ann_macs": activity.ann_macs,
    }


def _row(profile: HardwareProfile, activity: Activity) -> dict[str, Any]:
    return account(profile, activity).row() | {"sensitivity": sensitivity(profile, activity)}
