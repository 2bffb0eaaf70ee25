"""Types of the energy estimates in report.json, as `EnergyEstimate.to_json` writes them.

`profiling.energy.estimate` describes the fields. `NotRequired` are those that reports of older versions lack.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

from spikeport.values import IntervalJson


class LayerTerms(TypedDict):
    """Dynamic energy of one layer by term, µJ, as `LayerEnergy` writes it; None where unknown."""

    name: str
    synapse_uj: IntervalJson | None
    neuron_uj: IntervalJson | None
    routing_uj: IntervalJson | None
    addressing_uj: NotRequired[IntervalJson | None]
    memory_uj: NotRequired[IntervalJson | None]
    memory_by_buffer_uj: NotRequired[dict[str, IntervalJson]]
    buffer_bytes: NotRequired[dict[str, float]]


class EndsJson(TypedDict):
    """An energy at both ends of a constant, µJ, as `Ends` writes it."""

    low: float
    high: float


class EffectJson(TypedDict):
    """Effect of one uncertain constant, as `ConstantEffect` writes it."""

    constant: str
    low: float | None
    high: float | None
    dynamic_uj: EndsJson | None
    total_uj: EndsJson | None
    live_uj: NotRequired[EndsJson]
    board_uj: NotRequired[EndsJson]


class BusiestCoreJson(TypedDict):
    """Work of the busiest core, as `BusiestCore` writes it."""

    synops: IntervalJson
    synops_layer: str
    synops_in_all: float
    updates: IntervalJson
    updates_layer: str
    updates_in_all: float


class Range90Json(TypedDict):
    """The middle 90 % of each energy over draws of all constants, µJ, as `Range90` writes it."""

    dynamic: EndsJson
    total: EndsJson | None
    live: EndsJson | None
    board: EndsJson | None
    draws: int
    seed: int


class SmallNetworksJson(TypedDict):
    """Measured over estimated energy of small networks, as `SmallNetworkFactor` writes it."""

    neurons: int
    low: float
    high: float


class PlacedLayerJson(TypedDict):
    """Cores of one layer, as `PlacedLayer` writes them."""

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
    """Bounds of the neuron energy, µJ, as `NeuronBracket` writes them."""

    all_inactive: float
    all_active: float


class BreakEvenJson(TypedDict):
    """The activity at which a spiking network and an ANN need the same energy, as `BreakEven` writes it."""

    events_per_synapse: float
    here: float
    firing: NotRequired[float]
    ann_bits: NotRequired[int]


class ProfileJson(TypedDict):
    """File and digest of a hardware profile, as `ProfileFile` writes them."""

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
    backend: NotRequired[str | None]
    ann_uj: NotRequired[IntervalJson]
    break_even: NotRequired[BreakEvenJson | None]
    operations_uj: NotRequired[IntervalJson]
    sensitivity: NotRequired[list[EffectJson]]
    board_uj: NotRequired[IntervalJson | None]
    live_uj: NotRequired[IntervalJson | None]
    live_unknown: NotRequired[str]
    duty: NotRequired[IntervalJson | None]
    interval_us: NotRequired[IntervalJson | None]
    steps_to_answer: NotRequired[int | None]
    steps_between: NotRequired[int | None]
    isolated_uj: NotRequired[IntervalJson | None]
    range90_uj: NotRequired[Range90Json | None]
    busiest_core: NotRequired[BusiestCoreJson | None]
    small_networks: NotRequired[SmallNetworksJson | None]
    unknown_overhead: NotRequired[list[str]]
    profile: NotRequired[ProfileJson | None]
