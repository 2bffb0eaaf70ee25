"""Counts of a trace, and what they cost on each device: what the stage `profile` and the verb of that name have in
common."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.readout import SILENT
from spikeport.export.network.spike_trace import SpikeTrace
from spikeport.hardware_profiles.profile import load_profile
from spikeport.pipeline.profiling.counts import Activity, count_activity
from spikeport.pipeline.profiling.energy.placement import place
from spikeport.pipeline.profiling.energy.sample_energies import SampleEnergies, sample_energies
from spikeport.pipeline.profiling.energy.sensitivity import sensitivity


def profile_trace(
    network: IntegerNetwork,
    trace: SpikeTrace,
    hardware: tuple[str, ...],
    active_rule: str | None = None,
    frames: Any = None,
) -> dict[str, Any]:
    """{"samples", "silent": those without an answer, "layers": counts, "energy": a row for each of `hardware` (ids or
    files), "ann_macs": of the ANN of the same shape}.
    `active_rule`: as in `account`; `frames`: as in `count_activity`."""
    activity = count_activity(network, trace, frames)
    classes = network.readout.classes(trace.spikes, trace.membrane)
    return {
        "samples": len(classes),
        "silent": int(np.count_nonzero(classes == SILENT)),
        "layers": [layer.row() for layer in activity.layers],
        "energy": [_row(found, active_rule) for found in sample_energies_on(network, activity, hardware, active_rule)],
        "ann_macs": activity.ann_macs,
    }


def sample_energies_on(
    network: IntegerNetwork, activity: Activity, hardware: tuple[str, ...], active_rule: str | None = None
) -> list[SampleEnergies]:
    """What `network` spent on each of `hardware`, placed there by the public limits. `active_rule`: as in `account`."""
    return [
        sample_energies(profile, activity, placement=place(network, profile), active_rule=active_rule)
        for profile in map(load_profile, hardware)
    ]


def _row(found: SampleEnergies, active_rule: str | None) -> dict[str, Any]:
    return found.row() | {"sensitivity": sensitivity(found.profile, found.activity, found.placement, active_rule)}
