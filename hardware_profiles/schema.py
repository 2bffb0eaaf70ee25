"""Sections of a hardware profile, checked by pydantic."""

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
    Range,
    Sourced,
    Text,
    line,
)


class OperatingPoint(Part):
    """Where the energies hold."""

    vdd_v: Amount | None = Field(default=None, alias="vdd_V")
    temp_c: float | None = Field(default=None, alias="temp_C")
    clock_hz: Amount | None = Field(default=None, alias="clock_Hz")
    rate_hz: Amount | None = Field(default=None, alias="rate_Hz")
    synapses_per_neuron: Amount | None = None

    def __str__(self) -> str:
        stated = [
            f"{value:g} {unit}"
            for value, unit in (
                (self.vdd_v, "V"),
                (self.temp_c, "degrees C"),
                (self.clock_hz, "Hz clock"),
                (self.rate_hz, "Hz firing"),
                (self.synapses_per_neuron, "synapses per neuron"),
            )
            if value is not None
        ]
        return ", ".join(stated) or "not stated"


class Device(Part):
    """What the device is. `source` covers this whole section."""

    id: Text
    name: Text
    vendor: str = ""
    kind: Literal["neuromorphic", "convention", "gpu", "cpu"]
    process_nm: Amount | None = None
    year: int | None = None
    revision: str = ""
    operating_point: OperatingPoint = OperatingPoint()
    source: Text


ActiveRule = Literal["received_input_or_bias_or_spiked", "spiked_only"]


class Accounting(Part):
    """How counts become operations. `graded_event`: what an input event of a value other than 1 costs (networks whose
    input is messages; all else is binary spikes)."""

    scope: Literal["incremental", "all_in"]
    graded_event: Literal["one_op", "by_value", "mac"] = "one_op"
    zero_weight: Literal["skip", "count"] = "count"
    neuron_update: Literal["every_step", "on_event"] = "every_step"
    active_rule: ActiveRule = "received_input_or_bias_or_spiked"


class Static(Part):
    """Power that flows whether or not anything happens."""

    per_chip_mw: Constant | None = Field(default=None, alias="per_chip_mW")
    per_core_mw: Constant | None = Field(default=None, alias="per_core_mW")
    per_mhz_mw: Constant | None = Field(default=None, alias="per_MHz_mW")
    scale: Literal["chip", "used_cores", "used_chips"] = "used_chips"


class Overhead(Part):
    """Fixed costs beside the cores; part of the total only where `included`."""

    per_step_uj: Constant | None = Field(default=None, alias="per_step_uJ")
    per_inference_uj: Constant | None = Field(default=None, alias="per_inference_uJ")
    host_mw: Constant | None = Field(default=None, alias="host_mW")
    included: bool = False

    @model_validator(mode="after")
    def _included_has_numbers(self) -> Overhead:
        given = (self.per_step_uj, self.per_inference_uj, self.host_mw)
        if self.included and all(constant is None or constant.value is None for constant in given):
            raise ValueError("included = true needs a number to include")
        return self


class LatencyModel(Part):
    """How long a step takes."""

    model: Literal["core_max_plus_barrier", "fixed_step", "throughput", "unknown"]
    t_synop_ns: Constant | None = None
    t_neuron_active_ns: Constant | None = None
    t_neuron_inactive_ns: Constant | None = None
    t_hop_ew_ns: Constant | None = None
    t_hop_ns_ns: Constant | None = None
    barrier_ns: Curve | None = None  # (tiles, ns)
    min_step_us: Constant | None = None
    realtime_step_us: Constant | None = None


class Limits(Part):
    """What is where. `low` is the strictest number that a source gives, `high` the most generous.

    A list of synapses takes blocks of up to `synapse_block_weights` weights, each with `synapse_block_header_bits`,
    rounded up to whole `synapse_word_bits`. `accumulator_bits` counts the sign; `accumulator_shift` is how far a
    weight is shifted left when it enters. `decay_max`: in 4096ths, of a decay that takes one more than its field says
    where it is the current's.
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
    """What accesses to memory cost, and how wide the words are that a network keeps there.

    An access moves `access_bytes`; a word pays its share of one. Beyond the last point of `access_pJ` the nominal and
    the high energy go on along the last segment, since larger memories cost more, and the low one stays flat, as if
    the buffer were cut into banks of the last size.
    """

    access_pj: AccessCurve = Field(alias="access_pJ")
    access_bytes: Constant
    weight_bytes: Constant  # of a weight or a bias
    state_bytes: Constant  # of a neuron's membrane, and of its current where it keeps one
    event_bytes: Constant  # of an event in a layer's input or output queue

    @model_validator(mode="after")
    def _known(self) -> Memory:
        for key, entry in fields_of(self):
            if not entry.value or (isinstance(entry, Constant) and entry.low == 0):
                raise ValueError(f"{key} must be known and above 0; without it leave [memory] out")
        return self

    @property
    def largest_bytes(self) -> float:
        """The largest buffer that the curve has a point for."""
        return (self.access_pj.value or ())[-1][0]

    def byte_pj(self, buffer_bytes: tuple[float, float, float]) -> tuple[float, float, float]:
        """(low, nominal, high) energy per byte in a buffer of so many bytes: the access's over its width."""
        points = self.access_pj.value or ()
        wide = self.access_bytes.interval
        low, nominal, high = buffer_bytes
        return (
            line(points, min(low, points[-1][0])) / wide[2],
            line(points, nominal) / wide[1],
            line(self.access_pj.high or points, high) / wide[0],
        )


class Gpu(Part):
    """What the formula floor of a GPU needs: power and dense peaks, never the 'sparse' ones."""

    p_max_w: Constant = Field(alias="p_max_W")
    p_idle_w: Constant | None = Field(default=None, alias="p_idle_W")
    fp32_tflops: Constant | None = None
    fp16_tc_tflops: Constant | None = None
    int8_tops: Constant | None = None
    mem_gbps: Constant | None = Field(default=None, alias="mem_GBps")
    measured_via: str = ""


class Published(Sourced):
    """A published result of the device, with what it takes to recompute it where that is published too.

    `synops`, `neuron_updates`: counts per inference (unit of energy) or per second (unit of power), each written as
    factors whose product counts; several `synops` are several points of the same workload. `tolerance`: how far
    the estimate may lie off, as a share of `value`. `synops_if_all_fire`: where the network is published but not its
    spikes, the operations if every neuron fired at every step. `estimated_by`: the profile whose constants price it,
    where its own has none.
    """

    id: Text
    workload: Text
    quantity: Text
    value: float | None = None
    unit: Literal["mJ", "uJ", "mW", "uW", "us"]
    synops: tuple[tuple[Amount, ...], ...] = ()
    synops_if_all_fire: tuple[Amount, ...] = ()
    neuron_updates: tuple[Amount, ...] = ()
    estimated_by: str = ""
    clock_mhz: Amount | None = Field(default=None, alias="clock_MHz")
    tolerance: Amount | None = None
    usable: bool = True  # false: kept as a warning, not as a check


def fields_of(part: BaseModel) -> list[tuple[str, Any]]:
    """(key as the file writes it, value) of every field that is set."""
    return [
        (field.alias or name, getattr(part, name))
        for name, field in type(part).model_fields.items()
        if getattr(part, name) is not None
    ]
