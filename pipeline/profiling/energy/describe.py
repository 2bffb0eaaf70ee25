"""Description of energies in words: grade, scope, assumptions, what is not included, sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikeport.hardware_profiles.constants import AccessCurve, Constant, Sourced
from spikeport.hardware_profiles.profile import known
from spikeport.hardware_profiles.validation import check_rows
from spikeport.pipeline.profiling.energy.active_rule import RULES
from spikeport.pipeline.profiling.energy.one_answer import steps_to_answer
from spikeport.pipeline.profiling.energy.readings import NO_STEP, board_constants

if TYPE_CHECKING:
    from spikeport.pipeline.profiling.energy.sample_energies import SampleEnergies


def basis(energies: SampleEnergies) -> str:
    """`modeled from ... constants`, with the grades of all constants that were used; or `unknown`.

    Args:
        energies: energies of the samples.
    """
    if energies.dynamic_pj is None and energies.total_pj is None:
        return "unknown"
    grades = dict.fromkeys(constant.status.replace("_", "-") for _, constant in energies.used)
    return f"modeled from {' and '.join(grades)} constants"


def scope(energies: SampleEnergies) -> str:
    """The terms of the dynamic and of the total energy.

    Args:
        energies: energies of the samples.
    """
    if energies.profile.accounting.scope == "all_in":
        return f"all-in aggregate at {energies.profile.device.operating_point}"
    if energies.dynamic_pj is None:
        return "counts only: an operation has no published energy"
    routing = "without routing" if "routing" in energies.unknown_terms else "routing (lower bound)"
    memory = "" if energies.profile.memory is None else "addressing, memory, "
    dynamic = f"dynamic: synapse, neuron, {memory}{routing}"
    if energies.total_pj is None:
        return f"{dynamic}; no total"
    overhead = " and overhead" if energies.profile.overhead.included else ""
    return f"{dynamic}; total adds static power{overhead}"


UNITS = {
    "overhead per step": "µJ",
    "overhead per inference": "µJ",
    "overhead of the host": "mW",
    "time of a board's step": "µs",
}
GRADED = {
    "one_op": "an input event of whatever value counts as one operation",
    "by_value": "an input event counts as often as its value says",
    "mac": "an input event costs a multiply-accumulate, since it has a value",
}

SIGMA_DELTA = (
    "messages are integers with a sign, so that each operation is a multiply-accumulate; an update of a sigma-delta "
    "neuron costs what the profile states for an update of its own neurons"
)


def assumptions(energies: SampleEnergies) -> list[str]:
    """The assumptions of the estimate, with warnings and the checks against published measurements.

    Args:
        energies: energies of the samples.
    """
    accounting, stated = energies.profile.accounting, []
    if accounting.scope == "all_in":
        stated.append(
            f"warning: holds at {energies.profile.device.operating_point} only; "
            "the energy per operation contains static power, so it is wrong at any other activity"
        )
    elif energies.dynamic_pj is not None:
        if energies.profile.memory is not None:
            stated += _memory_assumptions(energies)
        elif accounting.neuron_update == "on_event":
            stated.append("a neuron is updated once for each event that it receives")
        if energies.rule_counts:
            stated.append(_rule(energies))
        stated.append(_messages(energies))
    weights = "skipped" if accounting.zero_weight == "skip" else "counted"
    stated.append(f"one operation per event and synapse, zero weights {weights}")
    if energies.activity.layers[-1].multiplies:
        stated.append(SIGMA_DELTA)
    if energies.activity.layers[0].takes_values:
        stated.append(GRADED[accounting.graded_event])
    if energies.placement is not None and energies.latency.time_us is not None:
        stated.append(str(energies.placement))
    stated += energies.latency.assumptions
    stated += _operation(energies)
    if energies.latency.unknown and accounting.scope == "incremental":
        stated.append(f"no total: {energies.latency.unknown}")
    stated += [f"{op}: {constant.note}" for op, constant in energies.used if constant.note]
    if energies.dynamic_pj is not None:
        stated += [
            f"checked on {row.workload} ({row.published:g} {row.unit} published): {row.result}"
            for row in check_rows(energies.profile)
            if row.high is not None
        ]
    return stated


def _operation(energies: SampleEnergies) -> list[str]:
    """To which operation of the chip times and energies belong, and what the ends of intervals are."""
    steps, stated = energies.activity.steps, []
    if energies.answer.time_us is not None:
        stated.append(
            f"a layer's spikes reach the next layer a step later: an answer takes {steps_to_answer(energies.activity)} "
            f"steps (latency), and recordings that are replayed without a pause give one every {steps} steps "
            "(interval, total energy)"
        )
    if energies.live is not None and energies.period_us is not None:
        busy = float(energies.live.duty[1].mean())
        stated.append(
            f"live: one recording every {energies.period_us / 1e3:g} ms, and static power all the time"
            + ("" if busy <= 1 else f"; warning: the chip needs {busy:.3g} times as long and cannot keep up")
        )
    elif energies.static_pj is not None:
        stated.append(f"no live total: {NO_STEP}")
    if energies.board_pj is not None:
        stated.append(
            "board reading: what a meter would show above the power of the idle board; the cores, host, embedded "
            "processors, input, output and reset"
        )
    if energies.dynamic_pj is not None and energies.profile.device.kind == "neuromorphic":
        stated.append(
            "low and high: all constants low, or all high, at once. They are no confidence interval; the range of "
            "nine tenths draws each constant by itself"
        )
    return stated


def unknown_overhead(energies: SampleEnergies) -> list[str]:
    """Costs of the device without a known number that its energies lack, or contain only as an interval from 0.

    Args:
        energies: energies of the samples.
    """
    profile = energies.profile
    if energies.dynamic_pj is None or profile.device.kind != "neuromorphic":
        return []
    host = known(profile.overhead.host_mw)
    around = "host, embedded processors, input and output"
    missing = ["energy of the barrier between steps"] if profile.constant("barrier") is None else []
    if host is None:
        missing.append(around)
    elif host.interval[0] != host.interval[2]:
        missing.append(f"{around} ({host.interval[0]:g} to {host.interval[2]:g} mW)")
    if profile.constant("reset_chip") is None:
        missing.append("reset between inferences")
    return missing


def sources(energies: SampleEnergies) -> list[str]:
    """Every constant that was used, in words.

    Args:
        energies: energies of the samples.
    """
    board = board_constants(energies.profile) if energies.board_pj is not None else []
    return [source(name, constant) for name, constant in (*energies.used, *board)]


def _rule(energies: SampleEnergies) -> str:
    """The rule for active updates, its effect on low and high, and the device's own rule where another was chosen."""
    own = energies.profile.accounting.active_rule
    ends = "" if energies.neuron_bracket_pj is None else "; low takes every update as inactive, high as active"
    missing = any(layer.updates_nonzero is None for layer in energies.activity.layers)
    why = "the trace lacks a count" if own == "membrane_nonzero" and missing else "asked for"
    asked = "" if energies.active_rule == own else f" ({why}; by the device's own rule {RULES[own]})"
    return f"{RULES[energies.active_rule]}{asked}{ends}"


def _messages(energies: SampleEnergies) -> str:
    """How messages are counted."""
    if energies.messages[0].reach is None:
        return "one message per event, as if its destinations shared a core; hops between tiles are not counted"
    bounded = [
        f"{layer.name} ({reach.fewest:g} to {reach.most:g} cores, {reach.mean:.3g} on average)"
        for layer, messages in zip(energies.activity.layers, energies.messages, strict=True)
        if (reach := messages.reach) and not reach.exact
    ]
    even = f"; events are even over the inputs of {', '.join(bounded)}" if bounded else ""
    return (
        "a spike is one message to each core that holds one of its targets, by the partition"
        f"{even}; hops between tiles are not counted"
    )


def _memory_assumptions(energies: SampleEnergies) -> list[str]:
    """Sizes of the buffers, and those beyond the published curve."""
    memory, stated = energies.profile.memory, []
    assert memory is not None
    stated.append(
        "each layer has buffers of exactly their size for input events, output events, weights and states; an event "
        "reads a weight and reads and writes a state per operation, a pass over all neurons reads and writes all "
        "states; a word pays its share of an access"
    )
    beyond = [
        f"{name} of {layer.name} ({size:,.0f} bytes)"
        for layer in energies.layers
        if layer.memory is not None
        for name, size in layer.memory.buffer_bytes.items()
        if size > memory.largest_bytes
    ]
    if beyond:
        stated.append(
            f"warning: no published access energy above {memory.largest_bytes:,.0f} bytes, extrapolated for "
            f"{', '.join(beyond)}: along the last segment (low: flat)"
        )
    return stated


def not_included(energies: SampleEnergies) -> list[str]:
    """Consumption of the device that the estimate does not contain.

    Args:
        energies: energies of the samples.
    """
    if energies.profile.accounting.scope == "all_in":
        return ["sensor and event encoder", "host"]
    missing = ["sensor and event encoder", "hops between tiles"]
    if energies.profile.memory is not None:
        missing += [
            "routing, static power and DRAM, threshold comparisons, delay lines",
            "addressing and memory accesses of the ANN: its number is operations only",
        ]
    elif energies.profile.device.kind == "convention":
        missing += ["memory accesses, routing and static power, which the convention ignores"]
    elif not energies.profile.overhead.included:
        board = "" if energies.board_pj is None else " (they are in the expected board reading)"
        missing += [f"host, embedded processors, input and output, and other fixed costs of a step{board}"]
    reset = energies.profile.constant("reset_chip")
    if reset is not None and reset.value is not None:
        missing.append(f"state reset between inferences ({reset.value / 1e6:g} µJ per chip: {reset.source})")
    return missing


def source(name: str, constant: Sourced) -> str:
    """A constant in words: `synop 23.6 (18.9 to 35.5) pJ, pre-silicon, stated as min: SOURCE, LOCATOR`.

    Args:
        name: key of the constant, which determines its unit.
        constant: the constant.
    """
    stated = f", stated as {constant.bound}" if constant.bound != "none" else ""
    where = f", {constant.locator}" if constant.locator else ""
    grade = constant.status.replace("_", "-")
    return f"{name} {_value(name, constant)}, {grade}{stated}: {constant.source}{where}"


def _value(name: str, constant: Sourced) -> str:
    """`23.6 (18.9 to 35.5) pJ`; the points of a curve."""
    if isinstance(constant, AccessCurve):
        return ", ".join(f"{y:g} pJ at {x:,.0f} bytes" for x, y in constant.value or ())
    assert isinstance(constant, Constant)
    low, value, high = constant.interval
    interval = f" ({low:g} to {high:g})" if low != high else ""
    unit = "mW" if name.startswith("static") else "bytes" if name.endswith("_bytes") else UNITS.get(name, "pJ")
    return f"{value:g}{interval} {unit}"
