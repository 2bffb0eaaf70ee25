"""Checks a network against the public limits of a device and estimates the number of cores.

The limits and their sources are in the hardware profile. A limit without a public number is reported as unknown.
A network that passes is not guaranteed to be placed by the vendor's compiler.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.export.mapping.core_partition import CoreLimits, Placement, Storage, place
from spikeport.export.mapping.limit_checks import (
    DIFFER,
    EXCEEDS,
    PASSES,
    UNKNOWN,
    LimitCheck,
    accumulator_bound,
    compare,
    core_checks,
    number,
    sum_checks,
    value_checks,
    weight_bits,
)
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.network.neurons.sigma_delta import MESSAGE_BITS
from spikeport.hardware_profiles.profile import HardwareProfile
from spikeport.hardware_profiles.schema import Limits

ASSUMPTIONS = (
    "layers do not share cores; neurons fill a core in order (convolutions by row, column, channel) until one limit "
    "is reached",
    "convolutions are expanded: no weight is shared between neurons, and each is stored with its neuron's index",
    "an input axon for each neuron with a synapse on the core, an output axon for each neuron and core that it reaches",
)


@dataclass(frozen=True, kw_only=True)
class LayerLimits:
    """Usage of one layer. Numbers per core are the maximum over its cores.

    Attributes:
        name: name of the layer.
        neurons: number of neurons.
        synapses: number of connections, zero weights included.
        weight_bits: bits of a stored weight.
        cores: number of cores in the greedy partition.
        closed_by: the limit that filled most of the cores, "" if none was filled.
        neurons_per_core: neurons of the fullest core.
        synapse_bits_per_core: synapse memory in bits; None if the layout is not public.
        axons_in_per_core: input axons.
        axons_out_per_core: output axons.
        max_delay: largest synaptic delay in time steps.
        accumulator_bound: upper bound of the sum of inputs of a neuron in one step, in weight steps.
        checks: comparisons with each limit.
        reach: the fewest, the mean and the most of these cores that a neuron of the previous layer reaches.
        neurons_by_core: number of neurons of each core, in order.
    """

    name: str
    neurons: int
    synapses: int
    weight_bits: int
    cores: int
    closed_by: str
    neurons_per_core: int
    synapse_bits_per_core: int | None
    axons_in_per_core: int
    axons_out_per_core: int
    max_delay: int
    accumulator_bound: int
    checks: tuple[LimitCheck, ...]
    reach: tuple[float, float, float]
    neurons_by_core: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class LimitReport:
    """Result of `check_limits`.

    Attributes:
        hardware: id of the hardware profile.
        passes: True if no published limit is exceeded.
        summary: the result in one line.
        cores: number of cores in the greedy partition.
        chips: number of chips; None if the number of cores per chip is not public.
        at_least: True if some capacity of a core is not public, so that `cores` is a lower bound.
        layers: usage of each layer, in order.
        checks: comparisons that concern the whole network.
        unknown: names of the limits without a public number.
        assumptions: assumptions of the partition.
    """

    hardware: str
    passes: bool
    summary: str
    cores: int
    chips: int | None
    at_least: bool
    layers: tuple[LayerLimits, ...]
    checks: tuple[LimitCheck, ...]
    unknown: tuple[str, ...]
    assumptions: tuple[str, ...] = ASSUMPTIONS

    def lines(self) -> list[str]:
        """The report as text: one row per layer, then every check that is neither passed nor unknown."""
        head = ("layer", "neurons", "synapses", "bits", "cores", "filled by", "synapse Kbit", "axons in", "axons out")
        rows = [
            (
                layer.name, f"{layer.neurons:,}", f"{layer.synapses:,}", str(layer.weight_bits), str(layer.cores),
                layer.closed_by or "-",
                "?" if layer.synapse_bits_per_core is None else f"{layer.synapse_bits_per_core / 1024:.1f}",
                str(layer.axons_in_per_core), str(layer.axons_out_per_core),
            )
            for layer in self.layers
        ]  # fmt: skip
        widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
        lines = [f"{self.hardware}: {self.summary}"]
        lines += [
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in [head, *rows]
        ]
        named = [("", check) for check in self.checks]
        named += [(f"{layer.name}: ", check) for layer in self.layers for check in layer.checks]
        for where, check in named:
            if check.result not in (PASSES, UNKNOWN):
                allowed = "" if check.allowed is None else f" of {check.allowed:,g}"
                note = f" ({check.note})" if check.note else ""
                lines.append(f"{where}{check.limit} {check.used:,g}{allowed}: {check.result}{note} [{check.source}]")
        if self.unknown:
            lines.append(f"no public number for: {', '.join(self.unknown)}")
        return [*lines, *(f"assumed: {line}" for line in self.assumptions)]


def check_limits(network: IntegerNetwork, profile: HardwareProfile) -> LimitReport:
    """Checks a network against the limits of a device, layer by layer.

    Args:
        network: the integer network.
        profile: hardware profile of the device.

    Returns:
        The report. A network that is too large does not raise an error; the report names the exceeded limits.
    """
    limits = profile.limits
    storage = _storage(limits)
    per_core = CoreLimits(
        neurons=number(limits.neurons_per_core),
        synapse_bits=8 * (number(limits.synapse_bytes_per_core) or 0) if storage else None,
        axons_in=number(limits.axons_in_per_core),
        axons_out=number(limits.axons_out_per_core),
        decay_profiles=number(limits.decay_profiles_per_core),
        threshold_profiles=number(limits.threshold_profiles_per_core),
    )
    reached = np.ones(network.layers[-1].neurons, dtype=np.int64)
    layers: list[LayerLimits] = []
    for index in reversed(range(len(network.layers))):
        layer = network.layers[index]
        bits = weight_bits(layer, limits)
        placed = place(layer, per_core, reached, storage, bits + _delay_bits(layer) + _index_bits(layer, limits))
        reached = placed.reach
        first = index == 0 and layer.kind != "input"
        largest = 1 << (MESSAGE_BITS - 1) if network.sends_values else network.input_limit if first else 1
        layers.insert(0, _layer_limits(layer, placed, bits, largest, limits, storage is not None))
    return _report(network, profile, layers, at_least=None in vars(per_core).values())


def _delay_bits(layer: IntegerLayer) -> int:
    return layer.max_delay.bit_length()


def _index_bits(layer: IntegerLayer, limits: Limits) -> int:
    """Bits of the index stored with each weight of an expanded convolution; 0 for dense layers."""
    choices = limits.synapse_index_bits.value if limits.synapse_index_bits else None
    if layer.kind != "conv" or not choices:
        return 0
    most = min(layer.neurons, number(limits.neurons_per_core) or layer.neurons)
    return next((choice for choice in choices if choice >= (most - 1).bit_length()), choices[-1])


def _storage(limits: Limits) -> Storage | None:
    word, block = number(limits.synapse_word_bits), number(limits.synapse_block_weights)
    header, memory = number(limits.synapse_block_header_bits), number(limits.synapse_bytes_per_core)
    if word is None or block is None or header is None or memory is None:
        return None
    return Storage(word=word, block_weights=block, header=header)


def _layer_limits(
    layer: IntegerLayer, placed: Placement, bits: int, largest_input: int, limits: Limits, stored: bool
) -> LayerLimits:
    bound = accumulator_bound(layer, largest_input)
    checks = [
        *core_checks(placed.cores, limits),
        *value_checks(layer, bits, limits),
        *sum_checks(layer, bound, limits),
    ]
    reasons = [reason for reason in placed.closed_by if reason]
    return LayerLimits(
        name=layer.name,
        neurons=layer.neurons,
        synapses=sum(core.synapses for core in placed.cores),
        weight_bits=bits,
        cores=len(placed.cores),
        closed_by=max(reasons, key=reasons.count).replace("_", " ") if reasons else "",
        neurons_per_core=max(core.neurons for core in placed.cores),
        synapse_bits_per_core=max(core.synapse_bits for core in placed.cores) if stored else None,
        axons_in_per_core=max(core.axons_in for core in placed.cores),
        axons_out_per_core=max(core.axons_out for core in placed.cores),
        max_delay=layer.max_delay,
        accumulator_bound=bound,
        checks=tuple(checks),
        reach=(float(placed.reach.min()), float(placed.reach.mean()), float(placed.reach.max())),
        neurons_by_core=tuple(core.neurons for core in placed.cores),
    )


def _report(
    network: IntegerNetwork, profile: HardwareProfile, layers: list[LayerLimits], *, at_least: bool
) -> LimitReport:
    limits = profile.limits
    cores = sum(layer.cores for layer in layers)
    per_chip = number(limits.cores_per_chip)
    chips = -(-cores // per_chip) if per_chip else None
    synapses = sum(layer.synapses for layer in layers)
    checks: list[LimitCheck] = []
    if limits.synapses_per_chip is not None:
        checks.append(compare("synapses per chip", synapses / (chips or 1), limits.synapses_per_chip))
    if network.sends_values:
        checks.append(compare("message bits", MESSAGE_BITS, limits.message_bits))
    elif network.input_message_bits:
        checks.append(compare("input message bits", network.input_message_bits, limits.message_bits))
    every = [*checks, *(check for layer in layers for check in layer.checks)]
    exceeded = sorted({check.limit for check in every if check.result == EXCEEDS})
    differ = sorted({check.limit for check in every if check.result == DIFFER})
    where = f"{cores} {'core' if cores == 1 else 'cores'}"
    if at_least:
        where = f"at least {where}"
    if chips is not None:
        where += f" on {chips} {'chip' if chips == 1 else 'chips'}"
    summary = f"passes these public limits: {where} in a greedy partition"
    if differ:
        summary += f"; sources differ on {', '.join(differ)}"
    if exceeded:
        summary = f"exceeds public limits: {', '.join(exceeded)}"
    return LimitReport(
        hardware=profile.device.id,
        passes=not exceeded,
        summary=summary,
        cores=cores,
        chips=chips,
        at_least=at_least,
        layers=tuple(layers),
        checks=tuple(checks),
        unknown=tuple(dict.fromkeys(check.limit for check in every if check.result == UNKNOWN)),
    )
