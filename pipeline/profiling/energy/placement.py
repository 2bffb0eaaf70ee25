"""The cores, tiles and chips that a network takes of a device, as energy and time need them: a view of the one
partition of spikeport.export.mapping.limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spikeport.export.mapping.limits import check_limits
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.hardware_profiles.profile import HardwareProfile, known


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Cores of each layer, in order, and what filled them ("": nothing did); `tiles`: None where none are public.

    `at_least`: a limit that fills cores is not public, so a compiler may need more. `summary`: the partition's words
    on all limits; `passes`: none is exceeded.
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

    def row(self) -> dict[str, Any]:
        """The placement as report.json has it."""
        layers = zip(self.names, self.cores, self.filled_by, strict=True)
        return {
            "cores": sum(self.cores),
            "at_least": self.at_least,
            "cores_per_chip": self.cores_per_chip,
            "tiles": self.tiles,
            "chips": self.chips,
            "summary": self.summary,
            "layers": [{"name": name, "cores": cores, "filled_by": reason} for name, cores, reason in layers],
        }

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
    """Where the layers of `network` go; None for a device that publishes no neurons per core or no cores per chip."""
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
    )


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" + ("" if number == 1 else "s")
