"""Time of one inference on a device: core time and barrier per time step, or a fixed time step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.hardware_profiles.constants import Constant
from spikeport.hardware_profiles.profile import HardwareProfile, known
from spikeport.hardware_profiles.schema import LatencyModel
from spikeport.pipeline.profiling.counts import Activity, LayerActivity
from spikeport.pipeline.profiling.energy.messages import Messages, count_messages
from spikeport.pipeline.profiling.energy.placement import Placement

BY_WORK = ("core_max_plus_barrier", "core_overlap_plus_barrier")  # models whose time follows from the counts


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
    profile: HardwareProfile,
    activity: Activity,
    active: list[np.ndarray],
    placement: Placement | None,
    messages: tuple[Messages, ...] | None = None,
) -> Latency:
    """Time of each inference by the latency model of the profile.

    core_max_plus_barrier: sum over time steps of (time of the busiest core + barrier). Counts are per sample and not
    per core, so the busiest core has bounds. Low and nominal: work is even over the cores of a layer, and the busiest
    layer determines the time. High: all layers work one after another.
    core_overlap_plus_barrier: as before, but a core takes messages while it updates its neurons, so that the longer of
    the two determines its time: A t_active + I t_inactive + S t_spike_out + M_sent t_message_out for the updates, and
    M_received t_message_in + synops t_synop for the messages.
    fixed_step: time steps times the real-time step of the device.

    Args:
        profile: the device.
        activity: the counts.
        active: active neuron-steps of each layer, `[N]` each.
        placement: cores of the layers; None where they are unknown.
        messages: messages of each layer; None: those of the counts and the placement.
    """
    model = profile.latency
    if model.model in BY_WORK and any(layer.multiplies for layer in activity.layers):
        return Latency(time_us=None, unknown="the profile's times are those of spikes, not of messages with values")
    if model.model == "fixed_step":
        step = known(model.realtime_step_us)
        if step is None:
            return Latency(time_us=None, unknown="the length of a step is not in the profile")
        time = np.outer(step.interval, np.full(activity.samples, float(activity.steps)))
        return Latency(time_us=time, assumptions=(f"every step takes {step.value:g} µs, whatever happens in it",))
    if model.model not in BY_WORK:
        return Latency(time_us=None, unknown=f"the profile has no latency model ({model.model})")
    counted = count_messages(activity, placement) if messages is None else messages
    return _from_work(model, activity, active, placement, counted)


def _from_work(
    model: LatencyModel,
    activity: Activity,
    active: list[np.ndarray],
    placement: Placement | None,
    messages: tuple[Messages, ...],
) -> Latency:
    times: tuple[Constant | None, ...] = (model.t_synop_ns, model.t_neuron_active_ns, model.t_neuron_inactive_ns)
    curve, overlap = model.barrier_ns, model.model == "core_overlap_plus_barrier"
    if overlap:
        times = (*times, model.t_spike_out_ns, model.t_message_out_ns, model.t_message_in_ns)
    if any(known(entry) is None for entry in times) or curve is None or curve.value is None:
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

    core_ns = _overlapping_ns if overlap else _added_ns
    per_layer = np.array(
        [
            core_ns(model, layer, works, messages[index : index + 2], placement, index)
            for index, (layer, works) in enumerate(zip(activity.layers, active, strict=True))
        ]
    )  # [L, 3, N]
    shared = "the neurons of a layer" if overlap else "a layer's cores"
    busiest, in_turn = per_layer.max(axis=0), per_layer.sum(axis=0)
    work_ns = np.stack([busiest[0], busiest[1], in_turn[2]])
    at = _below if overlap else _between
    barrier = [at(curve.value, placement.tiles)] * 2 + [at(curve.high or curve.value, placement.tiles)]
    floor = known(model.min_step_us)
    least_ns = activity.steps * 1e3 * np.array(floor.interval if floor else (0.0, 0.0, 0.0))
    time_ns = np.maximum(work_ns + activity.steps * np.array(barrier)[:, None], least_ns[:, None])
    return Latency(
        time_us=time_ns / 1e3,
        assumptions=(
            f"a step lasts as long as its work (not throttled); work is even over {shared} and over steps "
            "(nominal), or all layers work in turn (high); spikes travel in no time",
            *(("a core takes messages while it updates neurons: the longer of the two counts",) if overlap else ()),
        ),
    )


def _added_ns(
    model: LatencyModel,
    layer: LayerActivity,
    works: np.ndarray,
    _: tuple[Messages, ...],
    placement: Placement,
    index: int,
) -> np.ndarray:
    """Work of a core of a layer, `[3, N]` ns: operations and updates one after the other, even over its cores."""
    work = (
        _ns(model.t_synop_ns, layer.synops)
        + _ns(model.t_neuron_active_ns, works)
        + _ns(model.t_neuron_inactive_ns, layer.updates - works)
    )
    return work / placement.cores[index]


def _overlapping_ns(
    model: LatencyModel,
    layer: LayerActivity,
    works: np.ndarray,
    messages: tuple[Messages, ...],
    placement: Placement,
    index: int,
) -> np.ndarray:
    """Work of the fullest core of a layer, `[3, N]` ns, with messages during the updates.

    It has its neurons' share of updates and synaptic operations, and an even share of the messages that the layer's
    cores receive. A recurrent layer's messages to itself are received, not sent, which takes longer.

    Args:
        messages: messages of the layer and, where there is one, of the next.
        placement: cores of the layers.
        index: the layer's.
    """
    cores = placement.cores[index]
    share = placement.fullest[index] if placement.fullest else 1 / cores
    own, after = messages[0], messages[1:]
    sent = own.leaving + (after[0].received if after else 0.0)
    updates = (
        _ns(model.t_neuron_active_ns, works)
        + _ns(model.t_neuron_inactive_ns, layer.updates - works)
        + _ns(model.t_spike_out_ns, layer.spikes)
        + _ns(model.t_message_out_ns, sent)
    )
    synop = known(model.t_synop_conv_ns) if layer.kind == "conv" else None
    operations = _ns(synop or model.t_synop_ns, layer.synops)
    return np.maximum(share * updates, _ns(model.t_message_in_ns, own.received) / cores + share * operations)


def _ns(constant: Constant | None, counted: np.ndarray) -> np.ndarray:
    assert constant is not None  # the caller has checked
    return np.array(constant.interval)[:, None] * counted


def _below(points: tuple[tuple[float, float], ...], tiles: int) -> float:
    """The value of the last point up to `tiles`."""
    return next((y for x, y in reversed(points) if x <= tiles), points[0][1])


def _between(points: tuple[tuple[float, float], ...], tiles: int) -> float:
    return float(np.interp(tiles, [x for x, _ in points], [y for _, y in points]))
