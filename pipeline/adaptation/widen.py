"""Gives the hidden layers of an adapted network more channels, which tell how far a membrane was above its threshold.

A neuron that is reset by subtraction keeps what is above its threshold; a neuron that is reset to zero loses it. The
added channels have the same weights and higher thresholds, so that they fire where much would be lost, and the next
layer can learn to add it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from spikeport.pipeline.adaptation.module_network import ModuleNetwork
from spikeport.pipeline.adaptation.student import AdaptedNetwork
from spikeport.pipeline.models.neurons.leaky import LoihiLeaky
from spikeport.pipeline.models.neurons.synaptic import LoihiSynaptic

PASSING = (nn.MaxPool2d, nn.Flatten)


def widen(network: AdaptedNetwork, factor: int) -> list[str]:
    """Multiplies the channels of hidden layers, in place. What the network gives does not change.

    Channel c gets factor - 1 copies with thresholds of 2, 3, ... times its own; their outgoing weights are 0 before the
    training. Layers that a branch passes or that are recurrent stay as they are.

    Args:
        network: the network, in float.
        factor: channels per channel; 1: nothing is done.

    Returns:
        Names of the layers that were widened.
    """
    widened = []
    modules: dict[str, Any] = dict(network.named())
    for name in list(network.synapses) if factor > 1 else ():
        behind = _synapses_behind(network, name, modules)
        synapses = [modules[each] for each in network.synapses[name]]
        neurons = modules[name]
        if not behind or type(neurons) not in (LoihiLeaky, LoihiSynaptic) or not all(map(_plain, synapses + behind)):
            continue
        for synapse in synapses:
            _more_rows(synapse, factor)
        if isinstance(neurons, LoihiSynaptic):
            neurons.bias = nn.Parameter(_levels(neurons.bias.detach(), factor))
        for synapse in behind:
            _more_columns(synapse, factor)
        widened.append(name)
    return widened


def _synapses_behind(network: ModuleNetwork, name: str, modules: dict[str, Any]) -> list[Any]:
    """The synapses that take what a layer gives; empty if something else takes it."""
    found: list[Any] = []
    for reader, sources in network.sources.items():
        if name not in sources:
            continue
        module = modules[reader]
        if isinstance(module, PASSING) and len(sources) == 1:
            inner = _synapses_behind(network, reader, modules)
            if not inner:
                return []
            found += inner
        elif isinstance(module, (nn.Conv2d, nn.Linear)) and len(sources) == 1:
            found.append(module)
        else:
            return []
    return [] if name in network.outputs else found


def _plain(synapse: Any) -> bool:
    return isinstance(synapse, nn.Linear) or synapse.groups == 1


def _levels(values: Tensor, factor: int) -> Tensor:
    """Rows of `values`, then the same over 2, over 3, ..."""
    return torch.cat([values / level for level in range(1, factor + 1)])


def _more_rows(synapse: Any, factor: int) -> None:
    synapse.weight = nn.Parameter(_levels(synapse.weight.detach(), factor))
    if synapse.bias is not None:
        synapse.bias = nn.Parameter(_levels(synapse.bias.detach(), factor))
    _count(synapse, 0)


def _more_columns(synapse: Any, factor: int) -> None:
    weight = synapse.weight.detach()
    zeros = [torch.zeros_like(weight)] * (factor - 1)
    synapse.weight = nn.Parameter(torch.cat([weight, *zeros], dim=1))
    _count(synapse, 1)


def _count(synapse: Any, axis: int) -> None:
    """Sets the size that the module states."""
    size = synapse.weight.shape[axis]
    if isinstance(synapse, nn.Linear):
        setattr(synapse, ("out_features", "in_features")[axis], size)
    else:
        setattr(synapse, ("out_channels", "in_channels")[axis], size)
