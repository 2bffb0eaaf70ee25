"""Which neurons of a layer hold the spikes of which population."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.export.lowering.branches.kernels import Pair, phase_places
from spikeport.export.lowering.branches.populations import Population
from spikeport.values import Shape


@dataclass(frozen=True)
class Carrier:
    """The neurons of a layer that hold the spikes of one population.

    Attributes:
        shape: shape of the population.
        places: where its neurons lie in the flat output of the layer, int64 of `shape`.
        factor: how much coarser the layer's grid is; None in a flat layer.
        first: first channel, or first neuron of a flat layer.
        channels: number of channels, or of neurons of a flat layer.
    """

    shape: Shape
    places: np.ndarray
    factor: Pair | None
    first: int
    channels: int

    @property
    def size(self) -> int:
        """Number of neurons of the population."""
        return int(np.prod(self.shape))


@dataclass(frozen=True)
class Stage:
    """Output of a layer: its shape, and the populations in it by name."""

    shape: Shape
    carriers: dict[str, Carrier]

    @property
    def plain(self) -> bool:
        """Whether every population has its own grid or is flat."""
        return all(carrier.factor in (None, (1, 1)) for carrier in self.carriers.values())

    @classmethod
    def of_inputs(cls, inputs: list[Population], shape: Shape) -> Stage:
        """The inputs side by side: along the channels of one grid, or flat."""
        return cls(shape, carriers_of([(p.name, p.shape, (1, 1)) for p in inputs], shape))


def carriers_of(held: list[tuple[str, Shape, Pair]], shape: Shape) -> dict[str, Carrier]:
    """Populations one after the other in a layer.

    Args:
        held: name, shape and factor of the grid of each.
        shape: shape of the layer, `(C, H, W)` or `(N,)`.
    """
    found, first = {}, 0
    for name, own, factor in held:
        if len(shape) == 3:
            channels = own[0] * factor[0] * factor[1]
            places = phase_places(own, factor, first, (shape[1], shape[2]))
            found[name] = Carrier(own, places, factor, first, channels)
        else:
            channels = int(np.prod(own))
            found[name] = Carrier(own, first + np.arange(channels).reshape(own), None, first, channels)
        first += channels
    return found


def places_text(sizes: list[tuple[str, int]]) -> str:
    """Where things that follow each other lie, such as "left is 0 to 2, right is 3 to 4".

    Args:
        sizes: name and size of each.
    """
    first, texts = 0, []
    for name, size in sizes:
        texts.append(f"{name} is {first} to {first + size - 1}")
        first += size
    return ", ".join(texts)
