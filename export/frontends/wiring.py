"""How modules are wired: by name of a module, the names of the modules whose sum enters it.

A `Concat` gives its sources one after the other.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

INPUT = "/input"  # the network's input; no module can have this name, since "/" separates paths in NIR files


class Sum(nn.Identity):
    """An addition of signals; its sources are added before it."""


class Concat(nn.Module):
    """Concatenates its sources along the channels, axis 1 of a batch."""

    def forward(self, *sources: Tensor) -> Tensor:
        return torch.cat(sources, dim=1)


def input_name(index: int) -> str:
    """Name of an input of a network in its wiring.

    Args:
        index: 0 for the first input.
    """
    return f"{INPUT}{index + 1}" if index else INPUT
