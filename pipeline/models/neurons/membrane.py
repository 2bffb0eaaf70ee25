"""Neurons that never fire, whose membrane is read out, in float or in Loihi's integer arithmetic."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from spikeport.pipeline.models.neurons.leaky import LoihiLeaky
from spikeport.pipeline.models.neurons.synaptic import LoihiSynaptic

NEVER = 1e30  # a threshold that no membrane reaches


class LoihiMembrane(LoihiLeaky):
    """`LoihiLeaky` without spikes: v[t] = beta v[t-1] + I[t].

    Args:
        beta: share of the membrane that a step leaves, 0 to 1.
    """

    def __init__(self, beta: float) -> None:
        super().__init__(beta)
        without_reset(self)

    def forward(self, currents: Tensor, mem: None = None) -> tuple[Tensor, Tensor]:
        """Zeros, and membranes; see `LoihiLeaky.forward`."""
        return _unreached(super().forward, self, currents)


class LoihiSynapticMembrane(LoihiSynaptic):
    """`LoihiSynaptic` without spikes: u[t] = alpha u[t-1] + I[t], v[t] = beta v[t-1] + u[t] + bias.

    Args:
        size: number of neurons.
        alpha: share of the synaptic current that a step leaves, 0 to 1.
        beta: share of the membrane that a step leaves, 0 to 1.
    """

    def __init__(self, size: int, alpha: float, beta: float) -> None:
        super().__init__(size, alpha, beta)
        without_reset(self)

    def forward(self, currents: Tensor, syn: None = None, mem: None = None) -> tuple[Tensor, Tensor]:
        """Zeros, and membranes; see `LoihiSynaptic.forward`."""
        return _unreached(super().forward, self, currents)


def without_reset(neurons: nn.Module) -> None:
    """Marks neurons of snnTorch as neurons that never reset, so that the conversion reads their membrane.

    Args:
        neurons: the neurons.
    """
    neurons.reset_mechanism = "none"  # type: ignore[assignment]  # snnTorch's property


def _unreached(forward: Any, neurons: Any, currents: Tensor) -> tuple[Tensor, Tensor]:
    stated = neurons.threshold
    neurons.threshold = torch.full_like(stated, NEVER)
    try:
        return forward(currents)
    finally:
        neurons.threshold = stated
