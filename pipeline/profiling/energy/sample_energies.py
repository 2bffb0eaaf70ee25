"""Energy of an inference on a device: counted operations times sourced constants, as an interval.

Unknown terms are None and named in `unknown_terms`; nothing unknown is counted as 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.errors import UserError
from spikeport.hardware_profiles.profile import HardwareProfile
from spikeport.hardware_profiles.schema import ActiveRule, Sourced, fields_of
from spikeport.pipeline.profiling.counts import Activity
from spikeport.pipeline.profiling.energy.active_rule import active_updates, known_rule, neuron_by_rule_pj
from spikeport.pipeline.profiling.energy.latency import Latency, latency
from spikeport.pipeline.profiling.energy.memory import MemoryEnergy
from spikeport.pipeline.profiling.energy.placement import Placement
from spikeport.pipeline.profiling.energy.terms import (
    PJ_PER_UJ,
    LayerEnergy,
    counted_synops,
    energy_pj,
    layer_energy,
    neuron_bracket_pj,
    overhead_pj,
    static_pj,
    synop_constant,
)
from spikeport.pipeline.profiling.percentiles import over_samples

DYNAMIC_TERMS = ("synop", "neuron_active", "neuron_inactive", "neuron_event")


@dataclass(frozen=True, kw_only=True)
class SampleEnergies:
    """A network's energy on one device. Arrays are `[3, N]` pJ (low, nominal, high), None where a term is unknown.

    `low`: low constants, every update inactive. `high`: high constants, every update active. `neuron_bracket_pj`:
    mean neuron energy with all updates inactive, and all active, at nominal constants.
    """

    profile: HardwareProfile
    activity: Activity
    active_rule: ActiveRule
    layers: tuple[LayerEnergy, ...]
    dynamic_pj: np.ndarray | None
    static_pj: np.ndarray | None
    total_pj: np.ndarray | None
    ann_pj: tuple[float, ...] | None
    neuron_bracket_pj: tuple[float, float] | None
    placement: Placement | None
    latency: Latency
    unknown_terms: tuple[str, ...]
    used: tuple[tuple[str, Sourced], ...]

    def row(self) -> dict[str, Any]:
        """The account as one `energy` row of report.json; energies in µJ per inference, means over samples."""
        from spikeport.pipeline.profiling.energy import describe as wording

        headline = self.total_pj if self.dynamic_pj is None else self.dynamic_pj
        device = self.profile.device
        row: dict[str, Any] = {
            "hardware": device.id,
            "name": device.name,
            "kind": device.kind,
            "dynamic_uj": self.dynamic_uj,
            "static_uj": _micro(self.static_pj),
            "total_uj": _micro(self.total_pj),
            "latency_us": _mean(self.latency.time_us),
            "edp_uj_us": _mean(self._energy_delay()),
            "per_sample_uj": None if headline is None else over_samples(headline[1] / PJ_PER_UJ),
            "active_rule": self.active_rule if self.rule_counts else None,
            "neuron_bracket_uj": None,
            "layers": [
                {
                    "name": layer.name,
                    "synapse_uj": _micro(layer.synapse_pj),
                    "neuron_uj": _micro(layer.neuron_pj),
                    "routing_uj": _micro(layer.routing_pj),
                    **_memory_row(layer.memory),
                }
                for layer in self.layers
            ],
            "unknown_terms": list(self.unknown_terms),
            "basis": self.basis,
            "scope": wording.scope(self),
            "assumptions": wording.assumptions(self),
            "not_included": wording.not_included(self),
            "sources": [wording.source(op, constant) for op, constant in self.used],
            "placement": None if self.placement is None else self.placement.row(),
            "backend": self.activity.backend,
            "profile": {"file": self.profile.file, "sha256": self.profile.sha256},
        }
        if self.neuron_bracket_pj is not None:
            inactive, active = (energy / PJ_PER_UJ for energy in self.neuron_bracket_pj)
            row["neuron_bracket_uj"] = {"all_inactive": inactive, "all_active": active}
            by_rule = neuron_by_rule_pj(self.activity, self.neuron_bracket_pj)
            row["neuron_by_rule_uj"] = {rule: energy / PJ_PER_UJ for rule, energy in by_rule.items()}
        if self.ann_pj is not None:
            row["ann_uj"] = dict(zip(("low", "nominal", "high"), (e / PJ_PER_UJ for e in self.ann_pj), strict=True))
            if self.profile.memory is None:
                row["break_even"] = self._break_even()
            elif self.layers:  # the ANN's memory is not known: only operations compare with operations
                row["operations_uj"] = _micro(np.sum([e.synapse_pj + e.neuron_pj for e in self.layers], axis=0))
        return row

    @property
    def dynamic_uj(self) -> dict[str, float] | None:
        """Mean dynamic energy of an inference, {low, nominal, high}."""
        return _micro(self.dynamic_pj)

    @property
    def basis(self) -> str:
        """What the energies rest on, in words."""
        from spikeport.pipeline.profiling.energy import describe as wording

        return wording.basis(self)

    @property
    def rule_counts(self) -> bool:
        """Whether any number here depends on which updates are active."""
        by_work = self.profile.latency.model == "core_max_plus_barrier" and self.latency.time_us is not None
        return self.neuron_bracket_pj is not None or by_work

    def _energy_delay(self) -> np.ndarray | None:
        """Energy-delay product, `[3, N]` µJ µs."""
        time_us = self.latency.time_us
        return None if self.total_pj is None or time_us is None else self.total_pj / PJ_PER_UJ * time_us

    def _break_even(self) -> dict[str, float] | None:
        """Events per synapse and inference below which the spiking network costs less than one dense ANN pass; and what
        its critics ask: `firing`, the share of neuron-steps with a spike, and `ann_bits`, the precision of the ANN that
        T steps are equal to, ceil(log2(T + 1))."""
        synop, mac = self.profile.constant("synop"), self.profile.constant("synop_mac")
        if synop is None or mac is None or not synop.value or mac.value is None:
            return None
        return {
            "events_per_synapse": mac.value / synop.value,
            "here": float(_all_synops(self.profile, self.activity).mean()) / self.activity.ann_macs,
            "firing": 1 - self.activity.activation_sparsity,
            "ann_bits": self.activity.steps.bit_length(),
        }


def sample_energies(
    profile: HardwareProfile,
    activity: Activity,
    *,
    placement: Placement | None = None,
    active_rule: str | None = None,
) -> SampleEnergies:
    """Prices `activity` on `profile`. `placement`: where the network's layers go; without it, time and static power
    that depend on it are unknown. `active_rule` overrides the profile's rule for active neuron updates (None or "": the
    profile's).

    E_dyn = sum S e_synop + A e_active + I e_inactive + M e_message; E_static = P t; E_total = E_dyn + E_static
    (+ overhead where the profile includes it). A profile with a [memory] section prices neurons by what they compute,
    and addressing and memory accesses besides (see `memory`). Hops need a mapping onto tiles and are not counted, so
    routing is a lower bound. Raises UserError for a GPU profile and an unknown rule.
    """
    if profile.device.kind in ("gpu", "cpu"):
        raise UserError(
            f"{profile.device.id} is a {profile.device.kind}: it prices MACs, not spikes",
            where="profile.hardware",
            hint="name it as the baseline instead",
        )
    rule = known_rule(active_rule) or profile.accounting.active_rule
    active = [active_updates(layer, rule) for layer in activity.layers]
    time = latency(profile, activity, active, placement)
    unknown_terms = list(profile.unknown_terms)
    priced = [
        synop_constant(profile, layer) is not None and counted_synops(profile, layer) is not None
        for layer in activity.layers
    ]
    if not all(priced) and "synop" not in unknown_terms:
        unknown_terms.insert(0, "synop")
    if time.time_us is None and "latency" not in unknown_terms and profile.accounting.scope == "incremental":
        unknown_terms.append("latency")

    layers: tuple[LayerEnergy, ...] = ()
    dynamic = static = total = bracket = None
    if profile.accounting.scope == "all_in":
        synop = profile.constant("synop")
        if synop is not None and "synop" not in unknown_terms:
            total = energy_pj(synop, _all_synops(profile, activity))
    elif not set(unknown_terms) & set(DYNAMIC_TERMS):
        layers = tuple(
            layer_energy(profile, layer, works) for layer, works in zip(activity.layers, active, strict=True)
        )
        dynamic = np.sum([layer.dynamic_pj for layer in layers], axis=0)
        static = static_pj(profile, time, placement)
        if static is None and time.time_us is not None and "static" not in unknown_terms:
            unknown_terms.append("static")  # it has a number, but how many chips or cores it counts for is not known
        bracket = neuron_bracket_pj(profile, activity)
        overhead = overhead_pj(profile, activity, time)
        if static is not None and overhead is not None:
            total = dynamic + static + overhead
    mac = profile.constant("synop_mac")
    return SampleEnergies(
        profile=profile,
        activity=activity,
        active_rule=rule,
        layers=layers,
        dynamic_pj=dynamic,
        static_pj=static,
        total_pj=total,
        ann_pj=tuple(energy * activity.ann_macs for energy in mac.interval) if mac else None,
        neuron_bracket_pj=bracket,
        placement=placement,
        latency=time,
        unknown_terms=tuple(unknown_terms),
        used=_used(profile, activity, has_static=static is not None, has_ann=mac is not None),
    )


def _used(
    profile: HardwareProfile, activity: Activity, *, has_static: bool, has_ann: bool
) -> tuple[tuple[str, Sourced], ...]:
    """The constants that this account multiplied, with their names."""
    memory = profile.memory
    ops = [f"synop_{layer.kind}" for layer in activity.layers if profile.constant(f"synop_{layer.kind}")]
    ops = list(dict.fromkeys(ops)) or ["synop"]
    if profile.accounting.scope == "incremental":
        on_event = profile.accounting.neuron_update == "on_event"
        neuron = ["neuron_event"] if on_event else ["neuron_active", "neuron_inactive"]
        ops += ["add", "mul"] if memory else neuron
        ops += ["spike_local", "message_out", "spike_out"]
    ops += ["synop_mac"] if has_ann else []
    named: list[tuple[str, Sourced]] = [(op, constant) for op in ops if (constant := profile.constant(op))]
    if memory is not None and profile.constant("synop"):
        named += [(f"memory {key}", entry) for key, entry in fields_of(memory)]
    if has_static:
        static = profile.static
        for key, power in (
            ("static per chip", static.per_chip_mw),
            ("static per core", static.per_core_mw),
            ("static per MHz", static.per_mhz_mw),
        ):
            if power is not None and power.value is not None:
                named.append((key, power))
    return tuple(named)


def _all_synops(profile: HardwareProfile, activity: Activity) -> np.ndarray:
    found = [counted_synops(profile, layer) for layer in activity.layers]
    return np.sum([each for each in found if each is not None], axis=0)


def _memory_row(memory: MemoryEnergy | None) -> dict[str, Any]:
    """The keys that a layer's row has more where its profile prices memory."""
    if memory is None:
        return {}
    return {
        "addressing_uj": _micro(memory.addressing_pj),
        "memory_uj": _micro(memory.memory_pj),
        "memory_by_buffer_uj": {name: _micro(energy) for name, energy in memory.by_buffer_pj.items()},
        "buffer_bytes": memory.buffer_bytes,
    }


def _mean(values: np.ndarray | None) -> dict[str, float] | None:
    if values is None:
        return None
    return dict(zip(("low", "nominal", "high"), values.mean(axis=1).tolist(), strict=True))


def _micro(energy_pj: np.ndarray | None) -> dict[str, float] | None:
    return None if energy_pj is None else _mean(energy_pj / PJ_PER_UJ)
