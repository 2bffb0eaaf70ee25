"""Stands for what a network computes and the chip cannot, so that the rest of the network is looked at."""

from __future__ import annotations

from torch import nn

from spikeport.values import Shape


class Obstacle(nn.Module):
    """A module or function that cannot go to the chip for a reason that a run of the network shows.

    Attributes:
        kind: type of the module, or name of the function.
        shape: shape of what it gives, one sample.
        origin: name of the module, or of the function's place.
        inner: the module, where its own settings are to be looked at too; else None.
    """

    inner: nn.Module | None

    def __init__(self, kind: str, shape: Shape, origin: str, inner: nn.Module | None = None) -> None:
        super().__init__()
        self.kind, self.shape, self.origin, self.inner = kind, shape, origin, inner
