"""Cores, tiles and chips that a network occupies on a device, from the partition in `spikeport.export.mapping`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from spikeport.export.mapping.limits import check_limits
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.hardware_profiles.profile import HardwareProfile, known
from spikeport.pipeline.profiling.energy.estimate_parts import PlacedLayer, PlacementSummary


class Reach(NamedTuple):
    """Number of cores of a layer that an input of it reaches: the fewest, the mean over all inputs, the most."""

    fewest: float
    mean: float
    most: float

    @property
    def exact(self) -> bool:
        """Whether all inputs reach the same number of cores."""
        return self.fewest == self.most


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Cores of a network by public limits.

    Attributes:
        names: names of the layers.
        cores: cores of each layer.
        filled_by: the limit that determines the cores of each layer ("": none).
        cores_per_chip: cores of one chip.
        tiles: tiles of all layers; None where their size is not public.
        chips: chips of all layers.
        at_least: whether a limit that fills cores is not public, so that a compiler may need more.
        passes: whether no limit is exceeded.
        summary: the result of all limit checks in words.
        reach: cores of each layer that its inputs reach; empty where they are unknown.
        fullest: share of each layer's neurons on its fullest core; empty where it is unknown.
    """

    names: tuple[str, ...]
    cores: tuple[int, ...]
    filled_by: tuple[str, ...]
    cores_per_chip: float
    tiles: int | None
    chips: int
    at_least: bool
    passes: bool
    summary: str
    reach: tuple[Reach, ...] = ()
    fullest: tuple[float, ...] = ()

    def summarize(self) -> PlacementSummary:
        """The placement as a report contains it."""
        layers = zip(self.names, self.cores, self.filled_by, strict=True)
        return PlacementSummary(
            cores=sum(self.cores),
            at_least=self.at_least,
            cores_per_chip=self.cores_per_chip,
            tiles=self.tiles,
            chips=self.chips,
            summary=self.summary,
            layers=tuple(PlacedLayer(name=name, cores=cores, filled_by=reason) for name, cores, reason in layers),
        )

    def __str__(self) -> str:
        """`placed by the public limits: 40 cores in 10 tiles on 1 chip, layers on cores of their own`."""
        tiles = "" if self.tiles is None else f" in {_count(self.tiles, 'tile')}"
        least = "at least " if self.at_least else ""
        stated = (
            f"placed by the public limits: {least}{_count(sum(self.cores), 'core')}{tiles} on "
            f"{_count(self.chips, 'chip')}, layers on cores of their own"
        )
        return stated if self.passes else f"{stated}, though the network {self.summary}"


def place(network: IntegerNetwork, profile: HardwareProfile) -> Placement | None:
    """The cores of each layer by the public limits of a device.

    Args:
        network: the network.
        profile: the device.

    Returns:
        The placement; None where the device publishes no neurons per core or no cores per chip.
    """
    limits = profile.limits
    per_chip, per_tile = known(limits.cores_per_chip), known(limits.cores_per_tile)
    if known(limits.neurons_per_core) is None or per_chip is None:
        return None
    found = check_limits(network, profile)
    assert found.chips is not None
    return Placement(
        names=tuple(layer.name for layer in found.layers),
        cores=tuple(layer.cores for layer in found.layers),
        filled_by=tuple(layer.closed_by for layer in found.layers),
        cores_per_chip=per_chip.interval[1],
        tiles=None if per_tile is None else -(-found.cores // int(per_tile.interval[1])),
        chips=found.chips,
        at_least=found.at_least,
        passes=found.passes,
        summary=found.summary,
        reach=tuple(_reach(layer.reach) for layer in found.layers),
        fullest=tuple(max(layer.neurons_by_core) / layer.neurons for layer in found.layers),
    )


def _reach(reach: tuple[float, float, float]) -> Reach:
    """Cores that an input reaches. An input layer has no synapses: each of its inputs drives one neuron of one core."""
    return Reach(*reach) if reach[2] else Reach(1.0, 1.0, 1.0)


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" + ("" if number == 1 else "s")
