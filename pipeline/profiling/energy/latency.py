"""Time of one inference on a device: core time and barrier per time step, or a fixed time step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.hardware_profiles.profile import HardwareProfile, known
from spikeport.pipeline.profiling.counts import Activity, LayerActivity
from spikeport.pipeline.profiling.energy.placement import Placement


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Time of each inference.

    Attributes:
        time_us: `[3, N]` µs: low, nominal and high of each sample; None where it is unknown.
        unknown: why the time is unknown.
        assumptions: assumptions of the model, in words.
    """

    time_us: np.ndarray | None
    unknown: str = ""
    assumptions: tuple[str, ...] = ()


def latency(
    profile: HardwareProfile, activity: Activity, active: list[np.ndarray], placement: Placement | None
) -> Latency:
    """Time of each inference by the latency model of the profile.

    core_max_plus_barrier: sum over time steps of (time of the busiest core + barrier). Counts are per sample and not
    per core, so the busiest core has bounds. Low and nominal: work is even over the cores of a layer, and the busiest
    layer determines the time. High: all layers work one after another.
    fixed_step: time steps times the real-time step of the device.

    Args:
        profile: the device.
        activity: the counts.
        active: active neuron-steps of each layer, `[N]` each.
        placement: cores of the layers; None where they are unknown.
    """
    model = profile.latency
    if model.model == "core_max_plus_barrier" and any(layer.multiplies for layer in activity.layers):
        return Latency(time_us=None, unknown="the profile's times are those of spikes, not of messages with values")
    if model.model == "fixed_step":
        step = known(model.realtime_step_us)
        if step is None:
            return Latency(time_us=None, unknown="the length of a step is not in the profile")
        time = np.outer(step.interval, np.full(activity.samples, float(activity.steps)))
        return Latency(time_us=time, assumptions=(f"every step takes {step.value:g} µs, whatever happens in it",))
    if model.model != "core_max_plus_barrier":
        return Latency(time_us=None, unknown=f"the profile has no latency model ({model.model})")
    return _core_max_plus_barrier(profile, activity, active, placement)


def _core_max_plus_barrier(
    profile: HardwareProfile, activity: Activity, active: list[np.ndarray], placement: Placement | None
) -> Latency:
    model = profile.latency
    synop, on, off = (
        known(entry) for entry in (model.t_synop_ns, model.t_neuron_active_ns, model.t_neuron_inactive_ns)
    )
    curve = model.barrier_ns
    if synop is None or on is None or off is None or curve is None or curve.value is None:
        return Latency(time_us=None, unknown="the profile lacks an operation's time or the barrier's")
    if placement is None or placement.tiles is None:
        return Latency(
            time_us=None,
            unknown="the cores and tiles of the layers are not known, for want of neurons per core, cores per tile or "
            "per chip",
        )
    if placement.chips > 1:
        return Latency(
            time_us=None, unknown=f"the network takes {placement.chips} chips; their barrier is not in the profile"
        )

    def core_ns(layer: LayerActivity, works: np.ndarray, cores: int) -> np.ndarray:
        times = np.array([synop.interval, on.interval, off.interval])
        return times.T @ np.array([layer.synops, works, layer.updates - works], dtype=np.float64) / cores

    per_layer = np.array(
        [core_ns(*entry) for entry in zip(activity.layers, active, placement.cores, strict=True)]
    )  # [L, 3, N]
    busiest, in_turn = per_layer.max(axis=0), per_layer.sum(axis=0)
    work_ns = np.stack([busiest[0], busiest[1], in_turn[2]])
    barrier = [_at(curve.value, placement.tiles)] * 2 + [_at(curve.high or curve.value, placement.tiles)]
    floor = known(model.min_step_us)
    least_ns = activity.steps * 1e3 * np.array(floor.interval if floor else (0.0, 0.0, 0.0))
    time_ns = np.maximum(work_ns + activity.steps * np.array(barrier)[:, None], least_ns[:, None])
    return Latency(
        time_us=time_ns / 1e3,
        assumptions=(
            "a step lasts as long as its work (not throttled); work is even over a layer's cores and over steps "
            "(nominal), or all layers work in turn (high); spikes travel in no time",
        ),
    )


def _at(points: tuple[tuple[float, float], ...], tiles: int) -> float:
    return float(np.interp(tiles, [x for x, _ in points], [y for _, y in points]))
