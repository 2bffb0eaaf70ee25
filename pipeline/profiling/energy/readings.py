"""What surrounds the energy of the cores in an estimate: live operation, the board, and the range over constants."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.hardware_profiles.board import board_overhead_uj, has_board
from spikeport.hardware_profiles.constants import Constant
from spikeport.hardware_profiles.profile import HardwareProfile, known
from spikeport.pipeline.profiling.counts import Activity
from spikeport.pipeline.profiling.energy.estimate_parts import BusiestCore
from spikeport.pipeline.profiling.energy.latency import Latency
from spikeport.pipeline.profiling.energy.placement import Placement
from spikeport.pipeline.profiling.energy.terms import PJ_PER_UJ
from spikeport.values import Interval

NO_STEP = "the duration of a time step is not known (--dt, or data.step_us in a recipe)"


@dataclass(frozen=True, kw_only=True)
class Live:
    """Operation at the pace of the sensor: one recording in each T dt. Arrays are `[3, N]`.

    Attributes:
        energy_pj: dynamic energy, and static power for the longer of T dt and the time of the inference.
        duty: time of the inference over T dt; above 1 the chip cannot keep up.
    """

    energy_pj: np.ndarray
    duty: np.ndarray


def live(
    dynamic_pj: np.ndarray | None, static_mw: np.ndarray | None, time: Latency, period_us: float | None
) -> Live | None:
    """Energy of an inference where the chip waits for the events of the next recording.

    Args:
        dynamic_pj: `[3, N]`; None where it is unknown.
        static_mw: `[3]` power of the chips in use; None where it is unknown.
        time: time of each inference.
        period_us: T dt in µs; None where dt is unknown.

    Returns:
        None where a factor is unknown.
    """
    if dynamic_pj is None or static_mw is None or time.time_us is None or not period_us:
        return None
    on_us = np.maximum(time.time_us, period_us)
    return Live(energy_pj=dynamic_pj + static_mw[:, None] * on_us * 1e3, duty=time.time_us / period_us)


def board_pj(
    profile: HardwareProfile,
    activity: Activity,
    dynamic_pj: np.ndarray | None,
    time: Latency,
    placement: Placement | None,
) -> np.ndarray | None:
    """Expected board reading: dynamic energy of the cores and the fixed costs of `hardware_profiles.board`.

    Args:
        profile: the device.
        activity: the counts.
        dynamic_pj: `[3, N]`; None where it is unknown.
        time: time of each inference.
        placement: cores of the layers; None where they are unknown.

    Returns:
        `[3, N]` pJ; None where a factor is unknown, or the profile has no costs of a board.
    """
    if dynamic_pj is None or time.time_us is None or placement is None or not has_board(profile):
        return None
    return dynamic_pj + board_overhead_uj(profile, activity.steps, time.time_us, placement.chips) * PJ_PER_UJ


def board_constants(profile: HardwareProfile) -> list[tuple[str, Constant]]:
    """The constants of the expected board reading, by name."""
    overhead = profile.overhead
    named = {
        "overhead per step": overhead.per_step_uj,
        "overhead per inference": overhead.per_inference_uj,
        "overhead of the host": overhead.host_mw,
        "time of a board's step": overhead.board_step_us,
        "reset_chip": profile.constant("reset_chip"),
    }
    return [(name, constant) for name, entry in named.items() if (constant := known(entry)) is not None]


def busiest_core(profile: HardwareProfile, activity: Activity, placement: Placement | None) -> BusiestCore | None:
    """Work of the busiest core in an inference, mean over samples.

    At least: the work of each layer is even over its cores. At most: all operations of a layer are on one of its cores,
    and as many neurons as a core holds.

    Args:
        profile: the device.
        activity: the counts.
        placement: cores of the layers; None where they are unknown.
    """
    if placement is None:
        return None
    layers, cores = activity.layers, placement.cores
    most = known(profile.limits.neurons_per_core)
    held = most.interval[2] if most else float("inf")
    synops = [float(layer.synops.mean()) for layer in layers]
    even = [count / number for count, number in zip(synops, cores, strict=True)]
    updates = [-(-layer.neurons // number) * layer.steps for layer, number in zip(layers, cores, strict=True)]
    full = [
        layer.updates if number == 1 else min(layer.neurons, held) * layer.steps
        for layer, number in zip(layers, cores, strict=True)
    ]
    return BusiestCore(
        synops=Interval(low=max(even), nominal=max(even), high=max(synops)),
        synops_layer=layers[int(np.argmax(even))].name,
        synops_in_all=sum(synops),
        updates=Interval(low=max(updates), nominal=max(updates), high=max(full)),
        updates_layer=layers[int(np.argmax(updates))].name,
        updates_in_all=sum(layer.updates for layer in layers),
    )
