"""Simulations of a compiled network on frames: spikes, comparison of backends, energy."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikeport.errors import UserError
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.spike_trace import SpikeTrace
from spikeport.pipeline.stages.compiled_network import CompiledNetwork, integer_network
from spikeport.pipeline.stages.given_frames import checked_frames
from spikeport.progress import Progress

if TYPE_CHECKING:
    from spikeport.export.backends.base import Backend
    from spikeport.export.backends.compare import SpikeComparison
    from spikeport.hardware_profiles.profile import HardwareProfile
    from spikeport.pipeline.profiling.energy.estimate import EnergyEstimate


def simulate(
    net: CompiledNetwork | IntegerNetwork,
    frames: Any,
    *,
    backend: str | Backend = "reference",
    keep_layers: bool = False,
    timeout_s: float | None = None,
    progress: Progress | None = None,
) -> SpikeTrace:
    """Simulates a network on frames, each sample from a state of zero.

    Args:
        net: the network.
        frames: uint8 `[N, T, C, H, W]` or `[N, T, D]`, events per step; 0 and 1 unless the network takes counts.
        backend: "reference", "lava", `package.module:factory`, or a backend.
        keep_layers: whether the trace contains the spikes of every layer, else only those of the last one.
        timeout_s: time limit in seconds; None: that of the backend.
        progress: called with (samples done, samples in all).

    Returns:
        Output spikes uint8 `[N, T, K]` in logical time, and exact counts if the backend counts.

    Raises:
        UserError: the frames do not fit the network.
        MissingDependencyError: the backend is not installed.
    """
    from spikeport.export.backends.table import backend_of

    network = integer_network(net)
    trace = backend_of(backend).simulate(
        network, checked_frames(frames, network), keep_layers=keep_layers, timeout_s=timeout_s, progress=progress
    )
    return replace(trace, readout=network.readout)


def compare(
    net: CompiledNetwork | IntegerNetwork,
    frames: Any,
    *,
    backends: Sequence[str | Backend] = ("reference", "lava"),
    case_folder: str | os.PathLike[str] | None = None,
    timeout_s: float | None = None,
    progress: Progress | None = None,
) -> SpikeComparison:
    """Simulates a network with two backends and compares every layer, spike by spike.

    Args:
        net: the network.
        frames: as for `simulate`.
        backends: two names or backends; the slower one second.
        case_folder: folder for the first sample that differs, which `replay` reads; None: it is not written.
        timeout_s: time limit of the second backend in seconds; None: that of the backend.
        progress: called with (samples done, samples in all).

    Returns:
        The numbers of compared and of different spikes, and the first divergence.

    Raises:
        UserError: the frames do not fit the network, or the time limit was reached.
        MissingDependencyError: a backend is not installed.
    """
    from spikeport.export.backends.compare_backends import compare_backends

    if len(backends) != 2:
        raise UserError(f"{len(backends)} backends cannot be compared", hint="name two")
    network = integer_network(net)
    found = compare_backends(
        network,
        checked_frames(frames, network),
        (backends[0], backends[1]),
        case_folder=None if case_folder is None else Path(case_folder),
        timeout_s=timeout_s,
        progress=progress,
    )
    if found.timeout is not None:
        raise found.timeout
    return found.comparison


def estimate_energy(
    net: CompiledNetwork | IntegerNetwork,
    trace: SpikeTrace,
    hardware: str | os.PathLike[str] | HardwareProfile = "loihi1",
    *,
    active_rule: str | None = None,
    frames: Any = None,
    dt_s: float | None = None,
) -> EnergyEstimate:
    """Models the energy of one inference on a device: exact counts times published energies per operation.

    Args:
        net: the network that was simulated.
        trace: its spike trace, with counts.
        hardware: id of a profile, path of a profile file, or a loaded profile.
        active_rule: the rule for active neuron updates; None for that of the profile.
        frames: `[N, T, ...]`, the input of `trace`; needed only where the network takes input values other than 1.
        dt_s: duration of a time step in s, for the energy in live operation; None for that of `net`, if it has one.

    Returns:
        Energies as intervals in µJ, with the constants that are unknown.

    Raises:
        UserError: the trace has no counts or belongs to another network, or the profile is unknown or that of a GPU.
    """
    from spikeport.pipeline.profiling import profile_trace

    if dt_s is None:
        dt_s = getattr(net, "dt_s", None)
    return profile_trace.estimate_energy(
        integer_network(net), trace, hardware, active_rule=active_rule, frames=frames, dt_s=dt_s
    )
