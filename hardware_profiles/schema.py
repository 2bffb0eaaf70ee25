"""Sections of a hardware profile, validated by pydantic. Units are in the names of the keys."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from spikeport.hardware_profiles.constants import (
    AccessCurve,
    Amount,
    Choices,
    Constant,
    Curve,
    Part,
    Points,
    Range,
    Text,
    line,
)
from spikeport.hardware_profiles.operating_point import OperatingPoint


class Device(Part):
    """Identity of the device.

    Attributes:
        id: id of the profile.
        kind: "neuromorphic", "convention" (a convention for energy estimates, without a device), "gpu" or "cpu".
        process_nm: semiconductor process, nm.
        operating_point: operating point of the energies.
        source: source of the whole section.
    """

    id: Text
    name: Text
    vendor: str = ""
    kind: Literal["neuromorphic", "convention", "gpu", "cpu"]
    process_nm: Amount | None = None
    year: int | None = None
    revision: str = ""
    operating_point: OperatingPoint = OperatingPoint()
    source: Text


ActiveRule = Literal["received_input_or_bias_or_spiked", "spiked_only", "membrane_nonzero"]


class Accounting(Part):
    """Rules that convert counts to operations.

    Attributes:
        scope: "incremental" (terms are added) or "all_in" (the energy per synaptic operation includes all terms).
        graded_event: cost of an input event with a value other than 1, for networks whose input is messages: one
            operation, as many operations as its value, or a multiply-accumulate.
        zero_weight: whether synaptic operations with zero weights are skipped or counted.
        neuron_update: whether neurons are updated in every step or for each event.
        active_rule: condition for an active neuron update.
    """

    scope: Literal["incremental", "all_in"]
    graded_event: Literal["one_op", "by_value", "mac"] = "one_op"
    zero_weight: Literal["skip", "count"] = "count"
    neuron_update: Literal["every_step", "on_event"] = "every_step"
    active_rule: ActiveRule = "received_input_or_bias_or_spiked"


class Static(Part):
    """Static power, which does not depend on activity.

    Attributes:
        per_chip_mw: per chip, mW.
        per_core_mw: per core, mW.
        per_mhz_mw: per MHz of the clock, mW.
        scale: factor of `per_chip_mw`: 1 ("chip"), used cores / cores per chip ("used_cores"), or "used_chips".
    """

    per_chip_mw: Constant | None = Field(default=None, alias="per_chip_mW")
    per_core_mw: Constant | None = Field(default=None, alias="per_core_mW")
    per_mhz_mw: Constant | None = Field(default=None, alias="per_MHz_mW")
    scale: Literal["chip", "used_cores", "used_chips"] = "used_chips"


class Overhead(Part):
    """Fixed costs outside of the cores.

    Attributes:
        per_step_uj: energy per time step, uJ.
        per_inference_uj: energy per inference, uJ.
        host_mw: power of the host, mW.
        board_step_us: duration of a step on a board, us, where it is longer than the modeled step.
        included: whether these costs are part of the total. The expected board reading always contains them.
    """

    per_step_uj: Constant | None = Field(default=None, alias="per_step_uJ")
    per_inference_uj: Constant | None = Field(default=None, alias="per_inference_uJ")
    host_mw: Constant | None = Field(default=None, alias="host_mW")
    board_step_us: Constant | None = None
    included: bool = False

    @model_validator(mode="after")
    def _included_has_numbers(self) -> Overhead:
        given = (self.per_step_uj, self.per_inference_uj, self.host_mw)
        if self.included and all(constant is None or constant.value is None for constant in given):
            raise ValueError("included = true needs a number to include")
        return self


class LatencyModel(Part):
    """Duration of a time step.

    Attributes:
        model: formula of the duration.
        t_synop_ns: time of a synaptic operation, ns; the other `t_` are times of neuron updates and of message hops.
        t_synop_conv_ns: time of a synaptic operation of a convolution, ns, if it is another one.
        t_spike_out_ns: time that a neuron's spike takes in addition to its update, ns.
        t_message_out_ns: time in which a core sends a message, ns; `t_message_in_ns`: in which a core takes one.
        barrier_ns: time of the barrier at the end of a step, ns, as a function of the number of tiles. Between two
            points "core_max_plus_barrier" interpolates, and "core_overlap_plus_barrier" takes the lower one.
        min_step_us: shortest possible step, us.
        realtime_step_us: duration of a step in real-time operation, us.
    """

    model: Literal["core_max_plus_barrier", "core_overlap_plus_barrier", "fixed_step", "throughput", "unknown"]
    t_synop_ns: Constant | None = None
    t_synop_conv_ns: Constant | None = None
    t_neuron_active_ns: Constant | None = None
    t_neuron_inactive_ns: Constant | None = None
    t_spike_out_ns: Constant | None = None
    t_message_out_ns: Constant | None = None
    t_message_in_ns: Constant | None = None
    t_hop_ew_ns: Constant | None = None
    t_hop_ns_ns: Constant | None = None
    barrier_ns: Curve | None = None  # points (tiles, ns)
    min_step_us: Constant | None = None
    realtime_step_us: Constant | None = None


class Limits(Part):
    """Capacities and number formats. `low` is the smallest number that a source states, `high` the largest.

    A list of synapses is stored in blocks of up to `synapse_block_weights` weights. Each block has
    `synapse_block_header_bits` and is rounded up to whole words of `synapse_word_bits`.

    `accumulator_bits` includes the sign. `accumulator_shift` is the left shift of a weight that enters the accumulator.
    `decay_max` is in units of 1/4096. The chip adds 1 to the decay field of the current.
    """

    cores_per_chip: Constant | None = None
    cores_per_tile: Constant | None = None
    neurons_per_core: Constant | None = None
    synapse_bytes_per_core: Constant | None = None
    axons_in_per_core: Constant | None = None
    axons_out_per_core: Constant | None = None
    max_fan_in: Constant | None = None
    weight_bits: Range | None = None
    state_bits: Constant | None = None
    delay_max: Constant | None = None
    max_layers: Constant | None = None
    synapses_per_chip: Constant | None = None
    decay_profiles_per_core: Constant | None = None
    threshold_profiles_per_core: Constant | None = None
    synapse_formats_per_core: Constant | None = None
    decay_max: Constant | None = None
    delay_slots: Constant | None = None
    accumulator_bits: Constant | None = None
    accumulator_shift: Constant | None = None
    message_bits: Constant | None = None
    synapse_word_bits: Constant | None = None
    synapse_block_weights: Constant | None = None
    synapse_block_header_bits: Constant | None = None
    synapse_weight_bits: Choices | None = None
    synapse_index_bits: Choices | None = None


class Memory(Part):
    """Energy of memory accesses and sizes of the stored words.

    The energy of a word is its share of an access. Beyond the last point of `access_pJ`, the nominal and high energies
    continue along the last segment, since larger memories need more energy. The low energy stays constant, as if the
    buffer were divided into banks of the last size.

    Attributes:
        access_pj: energy of an access, pJ, as a function of the buffer's size in bytes.
        access_bytes: bytes moved by an access.
        weight_bytes: bytes of a weight or a bias.
        state_bytes: bytes of a membrane voltage or a synaptic current.
        event_bytes: bytes of an event in a layer's input or output queue.
    """

    access_pj: AccessCurve = Field(alias="access_pJ")
    access_bytes: Constant
    weight_bytes: Constant
    state_bytes: Constant
    event_bytes: Constant

    @model_validator(mode="after")
    def _known(self) -> Memory:
        for key, entry in fields_of(self):
            if not entry.value or (isinstance(entry, Constant) and entry.low == 0):
                raise ValueError(f"{key} must be known and above 0; without it leave [memory] out")
        return self

    @property
    def _points(self) -> Points:
        return self.access_pj.value or ()

    @property
    def largest_bytes(self) -> float:
        """Buffer size of the last point of the curve, bytes."""
        return self._points[-1][0]

    def byte_pj(self, buffer_bytes: tuple[float, float, float]) -> tuple[float, float, float]:
        """Energy per byte: energy of an access divided by its bytes.

        Args:
            buffer_bytes: (low, nominal, high) size of the buffer.

        Returns:
            (low, nominal, high), pJ per byte.
        """
        points = self._points
        wide = self.access_bytes.interval
        low, nominal, high = buffer_bytes
        return (
            line(points, min(low, points[-1][0])) / wide[2],
            line(points, nominal) / wide[1],
            line(self.access_pj.high or points, high) / wide[0],
        )


def fields_of(part: BaseModel) -> list[tuple[str, Any]]:
    """(key in the file, value) of every field that is set."""
    return [
        (field.alias or name, getattr(part, name))
        for name, field in type(part).model_fields.items()
        if getattr(part, name) is not None
    ]
