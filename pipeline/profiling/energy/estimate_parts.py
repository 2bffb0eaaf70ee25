"""Parts of an energy estimate: terms of a layer, effects of constants, cores, and the range over constants."""

from __future__ import annotations

from dataclasses import dataclass, field

from spikeport.json_values import OMIT_NONE, JsonValue
from spikeport.values import Interval


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
    """Energy at both ends of a constant, or of a range.

    Attributes:
        low: energy at the low end, µJ.
        high: energy at the high end, µJ.
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
        live_uj: energy in live operation at both ends; None where it is unknown.
        board_uj: expected board reading at both ends; None where it is unknown.
    """

    constant: str
    low: float | None
    high: float | None
    dynamic_uj: Ends | None
    total_uj: Ends | None
    live_uj: Ends | None = field(default=None, metadata=OMIT_NONE)
    board_uj: Ends | None = field(default=None, metadata=OMIT_NONE)

    @property
    def span_uj(self) -> float:
        """The largest change of an energy, µJ. Live energy, of which nearly all is static, is left out."""
        varied = (self.dynamic_uj, self.total_uj, self.board_uj)
        return max((abs(ends.high - ends.low) for ends in varied if ends), default=0.0)


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
class BusiestCore(JsonValue):
    """Work of the busiest core in an inference, mean over samples, beside that of all cores.

    Low and nominal: the work of a layer is even over its cores. High: as uneven as its size allows.

    Attributes:
        synops: synaptic operations of the core that has most of them.
        synops_layer: the layer on this core.
        synops_in_all: synaptic operations of all cores.
        updates: neuron updates of the core that has most of them.
        updates_layer: the layer on this core.
        updates_in_all: neuron updates of all cores.
    """

    synops: Interval
    synops_layer: str
    synops_in_all: float
    updates: Interval
    updates_layer: str
    updates_in_all: float


@dataclass(frozen=True, kw_only=True)
class Range90(JsonValue):
    """The middle 90 % of each energy over draws of all constants; see `range90`. None where an energy is unknown.

    Attributes:
        dynamic: of `dynamic_uj`.
        total: of `total_uj`.
        live: of `live_uj`.
        board: of `board_uj`.
        draws: number of draws.
        seed: seed of the draws.
    """

    dynamic: Ends
    total: Ends | None
    live: Ends | None
    board: Ends | None
    draws: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class ProfileFile(JsonValue):
    """The hardware profile that was used.

    Attributes:
        file: name of its file.
        sha256: SHA-256 of its file.
    """

    file: str
    sha256: str
