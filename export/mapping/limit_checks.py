"""Checks of single limits: compares the usage of a layer with the value in the hardware profile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.export.mapping.core_partition import Core
from spikeport.export.network.fixed_point import DECAY_ONE, STATE_SHIFT
from spikeport.export.network.integer_network import IntegerLayer
from spikeport.hardware_profiles.constants import Constant, Sourced
from spikeport.hardware_profiles.profile import known
from spikeport.hardware_profiles.schema import Limits

PASSES, EXCEEDS, DIFFER, UNKNOWN, INPUT = "passes", "exceeds", "sources differ", "unknown", "depends on the input"


@dataclass(frozen=True, kw_only=True)
class LimitCheck:
    """Comparison with one limit.

    Attributes:
        limit: name of the limit.
        used: usage by the layer, in the unit that the name states.
        allowed: nominal value of the limit; None if no number is public.
        result: "passes", "exceeds", "sources differ" (within one published number, beyond another), "unknown" or
            "depends on the input".
        source: source of the number.
        note: remark for the reader, or "".
    """

    limit: str
    used: float
    allowed: float | None
    result: str
    source: str
    note: str = ""


def weight_bits(layer: IntegerLayer, limits: Limits) -> int:
    """Bits of a stored weight of the layer.

    netx shifts weights to the top of their range with a shared exponent. They need 9 bits with mixed signs or 8 bits
    with one sign, minus the low bits that are zero in all weights.

    Args:
        layer: the layer, recurrent weights included.
        limits: limits of the device, with the widths that it can store.

    Returns:
        The bits, rounded up to a width that the device stores; 0 for an input layer.
    """
    if layer.kind == "input":
        return 0
    values = _all_weights(layer)
    low, high = int(values.min()), int(values.max())
    mixed = low < 0 < high
    below, above = (256, 254) if mixed else (255, 255)
    shift = 0
    while -low << (shift + 1) <= below and high << (shift + 1) <= above:
        shift += 1
    divisor = int(np.gcd.reduce(np.abs(values))) << shift
    needed = max(1, (9 if mixed else 8) - ((divisor & -divisor).bit_length() - 1))
    choices = limits.synapse_weight_bits.value if limits.synapse_weight_bits else None
    return next((choice for choice in choices or () if choice >= needed), needed)


def _all_weights(layer: IntegerLayer) -> np.ndarray:
    both = [layer.weight] if layer.weight_rec is None else [layer.weight, layer.weight_rec]
    return np.concatenate([array.ravel() for array in both]).astype(np.int64)


def accumulator_bound(layer: IntegerLayer, largest_input: int = 1) -> int:
    """Upper bound of the sum of inputs of a neuron in one step.

    Args:
        layer: the layer.
        largest_input: largest value of an input, 1 for spikes.

    Returns:
        max over neurons of `largest_input * sum |weight| + sum |weight_rec|`, in weight steps; 0 for an input layer.
    """
    if layer.kind == "input":
        return 0
    sums = np.abs(layer.weight.astype(np.int64)).reshape(layer.weight.shape[0], -1).sum(axis=1) * largest_input
    if layer.weight_rec is not None:
        sums = sums + np.abs(layer.weight_rec.astype(np.int64)).sum(axis=1)
    return int(sums.max())


def core_checks(cores: tuple[Core, ...], limits: Limits) -> list[LimitCheck]:
    """Checks of the fullest core. The partition respects these limits unless a single neuron exceeds one.

    Args:
        cores: usage of the cores of one layer.
        limits: limits of the device.
    """

    def fullest(key: str) -> int:
        return max(getattr(core, key) for core in cores)

    synapse_bytes = -(-fullest("synapse_bits") // 8)
    return [
        compare("neurons per core", fullest("neurons"), limits.neurons_per_core),
        compare("synapse bytes per core", synapse_bytes, limits.synapse_bytes_per_core),
        compare("axons in per core", fullest("axons_in"), limits.axons_in_per_core),
        compare("axons out per core", fullest("axons_out"), limits.axons_out_per_core),
        compare("decay profiles per core", fullest("decay_profiles"), limits.decay_profiles_per_core),
        compare("threshold profiles per core", fullest("threshold_profiles"), limits.threshold_profiles_per_core),
    ]


def value_checks(layer: IntegerLayer, bits: int, limits: Limits) -> list[LimitCheck]:
    """Checks of a layer's synapse formats, decays, weight bits and delays.

    Args:
        layer: the layer.
        bits: result of `weight_bits`.
        limits: limits of the device.
    """
    formats = 0 if layer.kind == "input" else 1 if layer.weight_rec is None else 2
    checks = [compare("synapse formats per core", formats, limits.synapse_formats_per_core)]
    if not layer.model.sends_values:  # sigma-delta neurons have no decays
        checks += _decay_checks(np.asarray(layer.v_decay), np.asarray(layer.i_decay), limits)
    if layer.kind != "input" and limits.weight_bits is not None:
        most = limits.weight_bits.value[1] if limits.weight_bits.value else None
        result = UNKNOWN if most is None else PASSES if bits <= most else EXCEEDS
        checks.append(
            LimitCheck(
                limit="weight bits", used=bits, allowed=most, result=result, source=_source_text(limits.weight_bits)
            )
        )
    if layer.max_delay:
        checks.append(compare("delay", layer.max_delay, limits.delay_max))
        slots = known(limits.delay_slots)
        if slots is not None and layer.max_delay >= (slots.value or 0):
            checks.append(
                LimitCheck(limit="delay slots", used=layer.max_delay + 1, allowed=slots.value, result=UNKNOWN,
                           source=_source_text(slots), note=slots.note)
            )  # fmt: skip
    return checks


def _decay_checks(v_decay: np.ndarray, i_decay: np.ndarray, limits: Limits) -> list[LimitCheck]:
    checks = [
        compare("voltage decay", int(v_decay.max()), limits.decay_max),
        compare("current decay less 1", int(i_decay.max()) - 1, limits.decay_max),
    ]
    if i_decay.min() == 0:
        checks.append(
            LimitCheck(limit="current decay less 1", used=-1, allowed=0, result=EXCEEDS,
                       source=_source_text(limits.decay_max), note="the chip adds 1 to the field")
        )  # fmt: skip
    return checks


def sum_checks(layer: IntegerLayer, bound: int, limits: Limits) -> list[LimitCheck]:
    """Checks of accumulator and current for the case that all inputs of a neuron arrive in one step.

    Args:
        layer: the layer.
        bound: result of `accumulator_bound`, in weight steps.
        limits: limits of the device.
    """
    checks: list[LimitCheck] = []
    width = number(limits.accumulator_bits)
    if width is None:
        checks.append(compare("accumulator bound", bound, limits.accumulator_bits))
    else:
        shift = known(limits.accumulator_shift)
        by = shift.interval if shift else (0, 0, 0)
        low, high = (1 << (width - 1 - int(by[end])) for end in (2, 0))
        note = f"in weight steps; {low:,} if weights enter shifted" if low < high else "in weight steps"
        result = PASSES if bound < low else EXCEEDS if bound >= high else DIFFER
        checks.append(
            LimitCheck(limit="accumulator bound", used=bound, allowed=high, result=result,
                       source=_source_text(limits.accumulator_bits), note=note)
        )  # fmt: skip
    state = number(limits.state_bits)
    if state is not None and not layer.model.sends_values:
        most, slowest = 1 << (state - 1), int(np.min(layer.i_decay))
        reached = float((bound << STATE_SHIFT) * DECAY_ONE / slowest) if slowest else float(most)
        note = "" if reached < most else "the current wraps if it comes to that; calibration counts whether it does"
        checks.append(
            LimitCheck(limit="current bound", used=reached, allowed=most, result=PASSES if reached < most else INPUT,
                       source=_source_text(limits.state_bits), note=note)
        )  # fmt: skip
    return checks


def compare(limit: str, used: float, constant: Constant | None) -> LimitCheck:
    """Compares a usage with the interval of a constant of the profile.

    Args:
        limit: name of the limit.
        used: usage, in the unit of the constant.
        constant: the limit; None or without a value if it is not public.

    Returns:
        "passes" up to the low end of the interval, "exceeds" above the high end, "sources differ" between.
    """
    given = known(constant)
    if given is None:
        return LimitCheck(limit=limit, used=used, allowed=None, result=UNKNOWN, source=_source_text(constant))
    low, value, high = given.interval
    result = PASSES if used <= low else EXCEEDS if used > high else DIFFER
    return LimitCheck(limit=limit, used=used, allowed=value, result=result, source=_source_text(given), note=given.note)


def number(constant: Constant | None) -> int | None:
    """Value of a constant as an integer; None if it is unknown.

    Args:
        constant: a constant of a profile; None if the profile has no such constant.
    """
    return None if constant is None or constant.value is None else int(constant.value)


def _source_text(entry: Sourced | None) -> str:
    if entry is None:
        return "not in the profile"
    return f"{entry.source}; {entry.locator}" if entry.locator else entry.source
