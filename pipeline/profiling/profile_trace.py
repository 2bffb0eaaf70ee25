"""Counts of a spike trace and its energy on each device, for runs, files and the Python API."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.readout import SILENT
from spikeport.export.network.spike_trace import SpikeTrace
from spikeport.hardware_profiles.profile import HardwareProfile, load_profile
from spikeport.json_values import JsonValue
from spikeport.pipeline.profiling.counts import Activity, LayerMeansJson, count_activity
from spikeport.pipeline.profiling.energy.estimate import EnergyEstimate
from spikeport.pipeline.profiling.energy.placement import place
from spikeport.pipeline.profiling.energy.sample_energies import SampleEnergies, sample_energies
from spikeport.pipeline.profiling.energy.sensitivity import sensitivity
from spikeport.pipeline.profiling.energy.summarize import summarize


@dataclass(frozen=True, kw_only=True)
class TraceProfile(JsonValue):
    """Counts of a trace and its energy on each device.

    Attributes:
        samples: number of samples.
        silent: samples without an output spike.
        layers: counts of each layer.
        energy: an estimate for each device.
        ann_macs: multiply-accumulates of an ANN of the same shape, one dense pass.
    """

    samples: int
    silent: int
    layers: tuple[LayerMeansJson, ...]
    energy: tuple[EnergyEstimate, ...]
    ann_macs: int


def estimate_energy(
    network: IntegerNetwork,
    trace: SpikeTrace,
    hardware: str | os.PathLike[str] | HardwareProfile,
    *,
    active_rule: str | None = None,
    frames: Any = None,
    dt_s: float | None = None,
) -> EnergyEstimate:
    """The energy of one inference on one device: counted operations times published energies per operation.

    Args:
        network: the network that was simulated.
        trace: its spike trace, with counts.
        hardware: id of a profile, path of a profile file, or a loaded profile.
        active_rule: the rule for active neuron updates; None for the profile's own.
        frames: `[N, T, ...]`, the input of `trace`; needed only where the network takes input values other than 1.
        dt_s: duration of a time step in s, for the energy in live operation; None where it is unknown.

    Raises:
        UserError: the trace has no counts or belongs to another network; the profile is unknown or that of a GPU.
    """
    profile = hardware if isinstance(hardware, HardwareProfile) else load_profile(hardware)
    activity = count_activity(network, trace, frames)
    placement = place(network, profile)
    return _estimate(
        sample_energies(profile, activity, placement=placement, active_rule=active_rule, dt_s=dt_s), active_rule
    )


def profile_trace(
    network: IntegerNetwork,
    trace: SpikeTrace,
    hardware: tuple[str, ...],
    active_rule: str | None = None,
    frames: Any = None,
    dt_s: float | None = None,
) -> TraceProfile:
    """Counts of a spike trace and its energy on each device.

    Args:
        network: the network that was simulated.
        trace: its spike trace, with counts.
        hardware: ids or files of profiles.
        active_rule: the rule for active neuron updates; None for each profile's own.
        frames: `[N, T, ...]`, the input of `trace`; needed only where the network takes input values other than 1.
        dt_s: duration of a time step in s, for the energy in live operation; None where it is unknown.

    Raises:
        UserError: as in `estimate_energy`.
    """
    activity = count_activity(network, trace, frames)
    classes = network.readout.classes(trace.spikes, trace.levels)
    return TraceProfile(
        samples=len(classes),
        silent=int(np.count_nonzero(classes == SILENT)),
        layers=tuple(layer.means() for layer in activity.layers),
        energy=tuple(
            _estimate(found, active_rule)
            for found in sample_energies_on(network, activity, hardware, active_rule, dt_s)
        ),
        ann_macs=activity.ann_macs,
    )


def sample_energies_on(
    network: IntegerNetwork,
    activity: Activity,
    hardware: tuple[str, ...],
    active_rule: str | None = None,
    dt_s: float | None = None,
) -> list[SampleEnergies]:
    """Energies of each sample on each device, with the network placed by the public limits.

    Args:
        network: the network.
        activity: its counts.
        hardware: ids or files of profiles.
        active_rule: the rule for active neuron updates; None for each profile's own.
        dt_s: duration of a time step in s; None where it is unknown.

    Raises:
        UserError: a profile is unknown or that of a GPU.
    """
    return [
        sample_energies(profile, activity, placement=place(network, profile), active_rule=active_rule, dt_s=dt_s)
        for profile in map(load_profile, hardware)
    ]


def _estimate(found: SampleEnergies, active_rule: str | None) -> EnergyEstimate:
    dt_s = found.period_us / found.activity.steps / 1e6 if found.period_us else None
    return summarize(found, sensitivity(found.profile, found.activity, found.placement, active_rule, dt_s))
