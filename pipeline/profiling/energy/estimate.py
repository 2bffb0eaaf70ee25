"""The energy estimate of one inference on one device, as a typed value that report.json contains."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import Literal

from spikeport.hardware_profiles.schema import ActiveRule
from spikeport.json_values import OMIT_NONE, JsonValue
from spikeport.pipeline.profiling.percentiles import SampleStatistics
from spikeport.tables import text_of
from spikeport.values import Interval

LAYERS_PRINTED = 16  # further layers are left out of the text form


@dataclass(frozen=True, kw_only=True)
class LayerEnergy(JsonValue):
    """Dynamic energy of one layer by term, µJ per inference, means over samples.

    Attributes:
        name: the layer.
        synapse_uj: synaptic operations.
        neuron_uj: neuron updates.
        routing_uj: messages. A lower bound: hops between tiles are not counted.
        addressing_uj: address computations, for profiles with a `[memory]` section.
        memory_uj: memory accesses, for profiles with a `[memory]` section.
        memory_by_buffer_uj: `memory_uj` by buffer.
        buffer_bytes: nominal size of each buffer in bytes.
    """

    name: str
    synapse_uj: Interval
    neuron_uj: Interval
    routing_uj: Interval
    addressing_uj: Interval | None = field(default=None, metadata=OMIT_NONE)
    memory_uj: Interval | None = field(default=None, metadata=OMIT_NONE)
    memory_by_buffer_uj: dict[str, Interval] | None = field(default=None, metadata=OMIT_NONE)
    buffer_bytes: dict[str, float] | None = field(default=None, metadata=OMIT_NONE)


@dataclass(frozen=True, kw_only=True)
class NeuronBracket(JsonValue):
    """Bounds of the neuron energy at nominal constants.

    Attributes:
        all_inactive: neuron energy if all updates were inactive, µJ.
        all_active: neuron energy if all updates were active, µJ.
    """

    all_inactive: float
    all_active: float


@dataclass(frozen=True, kw_only=True)
class BreakEven(JsonValue):
    """The activity at which the spiking network needs as much energy as one dense pass of an ANN of the same shape.

    Attributes:
        events_per_synapse: events per synapse and inference at equal energy.
        here: events per synapse and inference of this network.
        firing: share of neuron-steps with a spike.
        ann_bits: bits of the ANN's activations that T time steps correspond to, ceil(log2(T + 1)).
    """

    events_per_synapse: float
    here: float
    firing: float | None = field(default=None, metadata=OMIT_NONE)
    ann_bits: int | None = field(default=None, metadata=OMIT_NONE)


@dataclass(frozen=True, kw_only=True)
class Ends(JsonValue):
    """Energy at both ends of a constant.

    Attributes:
        low: energy with the constant at its low end, µJ.
        high: energy with the constant at its high end, µJ.
    """

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class ConstantEffect(JsonValue):
    """Effect of one uncertain constant, all others nominal.

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
    dynamic_uj: Ends | None
    total_uj: Ends | None

    @property
    def span_uj(self) -> float:
        """The larger of the two changes of energy, µJ."""
        return max((abs(ends.high - ends.low) for ends in (self.dynamic_uj, self.total_uj) if ends), default=0.0)


@dataclass(frozen=True, kw_only=True)
class PlacedLayer(JsonValue):
    """Cores of one layer.

    Attributes:
        name: the layer.
        cores: number of its cores.
        filled_by: the limit that determines the number of cores ("": none).
    """

    name: str
    cores: int
    filled_by: str


@dataclass(frozen=True, kw_only=True)
class PlacementSummary(JsonValue):
    """Cores, tiles and chips of a network by public limits.

    Attributes:
        cores: cores of all layers.
        at_least: whether a limit that fills cores is not public, so that a compiler may need more.
        cores_per_chip: cores of one chip.
        tiles: tiles of all layers; None where their size is not public.
        chips: chips of all layers.
        summary: the result of all limit checks in words.
        layers: cores of each layer.
    """

    cores: int
    at_least: bool = False
    cores_per_chip: float
    tiles: int | None = None
    chips: int | None = field(default=None, metadata=OMIT_NONE)
    summary: str
    layers: tuple[PlacedLayer, ...]


@dataclass(frozen=True, kw_only=True)
class ProfileFile(JsonValue):
    """The hardware profile that was used.

    Attributes:
        file: name of its file.
        sha256: SHA-256 of its file.
    """

    file: str
    sha256: str


@dataclass(frozen=True, kw_only=True, repr=False)
class EnergyEstimate(JsonValue):
    """Energy and time of one inference on one device. Energies are µJ, means over samples; unknown ones are None.

    Attributes:
        hardware: id of the profile.
        name: name of the device.
        kind: kind of the device.
        dynamic_uj: energy of the counted operations.
        static_uj: static power times latency.
        total_uj: dynamic, static and, where the profile includes it, fixed overhead.
        latency_us: time of one inference in µs.
        edp_uj_us: energy-delay product, µJ µs.
        per_sample_uj: distribution of the nominal energy over samples.
        active_rule: the rule for active neuron updates; None where no number depends on it.
        neuron_bracket_uj: neuron energy with all updates inactive, and active.
        layers: terms of each layer.
        unknown_terms: terms of the total that have no published value. None of them is counted as 0.
        basis: the grade of the constants that were used, in words.
        scope: what `dynamic_uj` and `total_uj` contain.
        assumptions: the assumptions that were made.
        not_included: what the device consumes in addition.
        sources: every constant that was used, with value, grade and source.
        placement: cores of the network; None where the device publishes no limits.
        backend: the backend that counted the operations.
        profile: file of the profile.
        neuron_by_rule_uj: nominal neuron energy by each rule for active updates.
        ann_uj: operations of one dense pass of an ANN of the same shape.
        break_even: the activity at which both networks need the same energy.
        operations_uj: operations of the spiking network alone, comparable with `ann_uj`.
        sensitivity: effect of each uncertain constant, the largest first.
    """

    hardware: str
    name: str
    kind: Literal["neuromorphic", "convention", "gpu", "cpu"]
    dynamic_uj: Interval | None
    static_uj: Interval | None = None
    total_uj: Interval | None
    latency_us: Interval | None
    edp_uj_us: Interval | None = None
    per_sample_uj: SampleStatistics | None = None
    active_rule: ActiveRule | None = None
    neuron_bracket_uj: NeuronBracket | None = None
    layers: tuple[LayerEnergy, ...] = ()
    unknown_terms: tuple[str, ...]
    basis: str
    scope: str
    assumptions: tuple[str, ...] = ()
    not_included: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    placement: PlacementSummary | None = None
    backend: str | None = None
    profile: ProfileFile | None = None
    neuron_by_rule_uj: dict[str, float] | None = field(default=None, metadata=OMIT_NONE)
    ann_uj: Interval | None = field(default=None, metadata=OMIT_NONE)
    break_even: BreakEven | None = field(default=None, metadata=OMIT_NONE)
    operations_uj: Interval | None = field(default=None, metadata=OMIT_NONE)
    sensitivity: tuple[ConstantEffect, ...] = ()

    def __repr__(self) -> str:
        lines = [f"EnergyEstimate: {self.name} ({self.hardware}), {self.basis}"]
        lines += [f"  {title:8} {text}" for title, text in self._facts()]
        for layer in self.layers[:LAYERS_PRINTED]:
            terms = {"synapses": layer.synapse_uj, "neurons": layer.neuron_uj, "routing": layer.routing_uj}
            terms |= {"memory": layer.memory_uj} if layer.memory_uj else {}
            lines.append(f"  {layer.name}: " + ", ".join(f"{name} {_uj(term)}" for name, term in terms.items()))
        left_out = len(self.layers) - LAYERS_PRINTED
        return text_of([*lines, *([f"  ... {left_out} more layers"] if left_out > 0 else [])])

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th>{title}</th><td>{escape(text)}</td></tr>" for title, text in self._facts())
        return f"<table><caption>{escape(self.name)}: {escape(self.basis)}</caption>{rows}</table>"

    def _facts(self) -> list[tuple[str, str]]:
        latency = "unknown" if self.latency_us is None else _text(self.latency_us, "µs")
        return [
            ("dynamic", _uj(self.dynamic_uj)),
            ("total", _uj(self.total_uj)),
            ("latency", latency),
            ("unknown", ", ".join(self.unknown_terms) or "nothing"),
            ("scope", self.scope),
        ]


def _uj(energy: Interval | None) -> str:
    return "unknown" if energy is None else _text(energy, "µJ")


def _text(value: Interval, unit: str) -> str:
    ends = "" if value.low == value.high else f" ({value.low:.3g} to {value.high:.3g})"
    return f"{value.nominal:.3g} {unit}{ends}"
