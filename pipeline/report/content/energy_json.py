"""Types of the energy estimates in report.json, as `EnergyEstimate.to_json` writes them."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from spikeport.values import IntervalJson


class LayerTerms(TypedDict):
    """Dynamic energy of one layer by term, µJ; None where unknown. See `LayerEnergy`.

    Attributes:
        name: the layer.
        synapse_uj: synaptic operations.
        neuron_uj: neuron updates.
        routing_uj: messages.
        addressing_uj: address computations; absent without a [memory] section.
        memory_uj: memory accesses; absent without a [memory] section.
    """

    name: str
    synapse_uj: IntervalJson | None
    neuron_uj: IntervalJson | None
    routing_uj: IntervalJson | None
    addressing_uj: NotRequired[IntervalJson | None]
    memory_uj: NotRequired[IntervalJson | None]


class EndsJson(TypedDict):
    """An energy in µJ with one constant at its low end, and at its high end."""

    low: float
    high: float


class EffectJson(TypedDict):
    """Effect of one uncertain constant, as `ConstantEffect` writes it.

    Attributes:
        constant: its key in the profile, or the choice that is varied.
        low: its low end; None for a choice or a curve.
        high: its high end; None for a choice or a curve.
        dynamic_uj: dynamic energy at both ends; None where it is unknown.
        total_uj: total energy at both ends; None where it is unknown.
    """

    constant: str
    low: float | None
    high: float | None
    dynamic_uj: EndsJson | None
    total_uj: EndsJson | None


class PlacedLayerJson(TypedDict):
    """Cores of one layer, and the limit that determines their number ("": none)."""

    name: str
    cores: int
    filled_by: str


class PlacementJson(TypedDict):
    """Cores of a network, as `PlacementSummary` writes them."""

    cores: int
    at_least: NotRequired[bool]
    cores_per_chip: float
    tiles: NotRequired[int | None]
    chips: NotRequired[int]
    summary: str
    layers: list[PlacedLayerJson]


class StatisticsJson(TypedDict):
    """Distribution of an energy over samples, µJ, as `SampleStatistics` writes it."""

    n: int
    mean: float
    low: float
    high: float
    std: float | None
    p50: float
    p95: float
    interval: str


class BracketJson(TypedDict):
    """Neuron energy in µJ with all updates inactive, and with all active."""

    all_inactive: float
    all_active: float


class BreakEvenJson(TypedDict):
    """The activity at which a spiking network and an ANN need the same energy, as `BreakEven` writes it."""

    events_per_synapse: float
    here: float
    firing: NotRequired[float]
    ann_bits: NotRequired[int]


class ProfileJson(TypedDict):
    """File and digest of a hardware profile."""

    file: str
    sha256: str


class EnergyRow(TypedDict):
    """The energy estimate on one device, as `EnergyEstimate` writes it."""

    hardware: str
    name: NotRequired[str | None]
    kind: NotRequired[str]
    dynamic_uj: IntervalJson | None
    static_uj: NotRequired[IntervalJson | None]
    total_uj: IntervalJson | None
    latency_us: IntervalJson | None
    edp_uj_us: NotRequired[IntervalJson | None]
    per_sample_uj: NotRequired[StatisticsJson | None]
    active_rule: NotRequired[str | None]
    neuron_bracket_uj: NotRequired[BracketJson | None]
    neuron_by_rule_uj: NotRequired[dict[str, float]]
    layers: NotRequired[list[LayerTerms]]
    unknown_terms: NotRequired[list[str]]
    basis: str
    scope: str
    assumptions: NotRequired[list[str]]
    not_included: NotRequired[list[str]]
    sources: NotRequired[list[str]]
    placement: NotRequired[PlacementJson | None]
    ann_uj: NotRequired[IntervalJson]
    break_even: NotRequired[BreakEvenJson | None]
    operations_uj: NotRequired[IntervalJson]
    sensitivity: NotRequired[list[EffectJson]]
    profile: NotRequired[ProfileJson | None]
