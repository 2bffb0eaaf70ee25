"""The energy estimate of one inference on one device, as a typed value that report.json contains."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import Literal

from spikeport.hardware_profiles.board import SmallNetworkFactor
from spikeport.hardware_profiles.schema import ActiveRule
from spikeport.json_values import OMIT_NONE, JsonValue
from spikeport.pipeline.profiling.energy.estimate_parts import (
    BreakEven,
    BusiestCore,
    ConstantEffect,
    LayerEnergy,
    NeuronBracket,
    PlacementSummary,
    ProfileFile,
    Range90,
)
from spikeport.pipeline.profiling.percentiles import SampleStatistics
from spikeport.tables import text_of
from spikeport.values import Interval

LAYERS_PRINTED = 16  # further layers are left out of the text form


@dataclass(frozen=True, kw_only=True, repr=False)
class EnergyEstimate(JsonValue):
    """Energy and time of one inference on one device. Energies are µJ, means over samples; unknown ones are None.

    Attributes:
        hardware: id of the profile.
        name: name of the device.
        kind: kind of the device.
        dynamic_uj: energy of the counted operations in the cores.
        static_uj: static power times `interval_us`.
        total_uj: dynamic, static and, where the profile includes it, fixed overhead: recordings replayed without a
            pause.
        latency_us: time from the first input to the answer of one isolated inference, µs.
        edp_uj_us: energy-delay product, `total_uj` times `latency_us`, µJ µs.
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
        board_uj: expected board reading above its idle power: dynamic energy, host, input, output and reset.
        live_uj: dynamic energy, and static power for the duration of a recording: one recording in each T dt.
        live_unknown: why `live_uj` is unknown where static power and time are known.
        duty: time of an inference over the duration of a recording.
        interval_us: time from one answer to the next where recordings are replayed without a pause, µs.
        steps_to_answer: time steps in `latency_us`.
        steps_between: time steps in `interval_us`.
        isolated_uj: dynamic energy of one isolated inference, whose neurons are updated in `steps_to_answer` steps.
        range90_uj: middle 90 % over draws of all constants.
        busiest_core: work of the busiest core.
        small_networks: how far measured energies of small networks were above their estimates; None for others.
        unknown_overhead: costs of the device without a known number that no energy contains in full, in words.
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
    board_uj: Interval | None = None
    live_uj: Interval | None = None
    live_unknown: str | None = field(default=None, metadata=OMIT_NONE)
    duty: Interval | None = None
    interval_us: Interval | None = None
    steps_to_answer: int | None = None
    steps_between: int | None = None
    isolated_uj: Interval | None = None
    range90_uj: Range90 | None = None
    busiest_core: BusiestCore | None = None
    small_networks: SmallNetworkFactor | None = None
    unknown_overhead: tuple[str, ...] = ()

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
        return [
            ("core", _uj(self.dynamic_uj)),
            ("board", _uj(self.board_uj)),
            ("replayed", _uj(self.total_uj)),
            ("live", _uj(self.live_uj)),
            ("latency", _text(self.latency_us, "µs")),
            ("interval", _text(self.interval_us, "µs")),
            ("EDP", _text(self.edp_uj_us, "µJ µs")),
            ("unknown", ", ".join((*self.unknown_terms, *self.unknown_overhead)) or "nothing"),
            ("scope", self.scope),
        ]


def _uj(energy: Interval | None) -> str:
    return _text(energy, "µJ")


def _text(value: Interval | None, unit: str) -> str:
    if value is None:
        return "unknown"
    ends = "" if value.low == value.high else f" ({value.low:.3g} to {value.high:.3g})"
    return f"{value.nominal:.3g} {unit}{ends}"
