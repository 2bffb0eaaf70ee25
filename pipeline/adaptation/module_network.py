"""Runs named modules with their wiring over recordings: the source of an adaptation, and the network that learns it.

Modules without a state process all time steps at once. Neurons run step by step: those of snnTorch with their own
forward, so that a source keeps its own reset, delay and decays; those of Spikeport over all steps in one call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import snntorch
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from spikeport.export.frontends.module_walk import Named
from spikeport.export.frontends.wiring import INPUT, Concat
from spikeport.pipeline.adaptation.source_neurons import SourceNeurons
from spikeport.pipeline.models.neurons.base import LoihiNeuron

RECURRENT = (snntorch.RLeaky, snntorch.RSynaptic)
NEURONS = (LoihiNeuron, SourceNeurons, snntorch.SpikingNeuron)


@dataclass(frozen=True)
class Signals:
    """What a network gives for a batch of recordings.

    Attributes:
        layers: spikes `[T, B, ...]` of every layer of neurons and of every maximum pool, by name.
        output: `[T, B, K]`: spikes of the output neurons, their membranes, or what the last weights give.
    """

    layers: Mapping[str, Tensor]
    output: Tensor


class ModuleNetwork(nn.Module):
    """A network of named modules.

    Args:
        named: names and modules in an order of execution.
        wiring: by name, the names of the modules whose sum enters it, `INPUT` for the input; without an entry the
            module before it.
        outputs: names of the modules whose outputs are the network's, one after the other; empty: the last module.
        membrane: whether the output is the membrane of the last neurons, which do not fire.
    """

    def __init__(
        self,
        named: Named,
        wiring: Mapping[str, Sequence[str]] | None = None,
        *,
        outputs: Sequence[str] = (),
        membrane: bool = False,
    ) -> None:
        super().__init__()
        self.names = [name for name, _ in named]
        self.parts = nn.ModuleList([module for _, module in named])
        before = [INPUT, *self.names]
        given = wiring or {}
        self.sources = {name: tuple(given.get(name, (before[at],))) for at, name in enumerate(self.names)}
        self.outputs, self.membrane = tuple(outputs) or (self.names[-1],), membrane

    @property
    def dtype(self) -> torch.dtype:
        """Type of its numbers: that of its first weights, float32 without any."""
        return next((each.dtype for each in self.parameters() if each.is_floating_point()), torch.float32)

    def named(self) -> Named:
        """Names and modules in the order of execution."""
        return list(zip(self.names, self.parts, strict=True))

    def forward(self, frames: Tensor) -> Signals:
        """Runs the network from a state of zero.

        Args:
            frames: `[T, B, *input_shape]`, converted to `dtype`.
        """
        frames = frames.to(self.dtype)
        signals: dict[str, Tensor] = {INPUT: frames}
        membranes: dict[str, Tensor] = {}
        fired: dict[str, Tensor] = {}
        time = frames.shape[:2]
        for name, module in self.named():
            first, *others = self.sources[name]
            entering = signals[first]
            for other in others if not isinstance(module, Concat) else ():
                entering = entering + signals[other]
            if isinstance(module, NEURONS):
                signals[name], membranes[name] = run_neurons(module, entering)
                fired[name] = signals[name]
            elif isinstance(module, nn.MaxPool2d) and first in membranes and not others:
                signals[name] = fired[name] = pool_spikes(module, entering, membranes[first])
            elif isinstance(module, Concat):
                signals[name] = torch.cat([signals[each] for each in self.sources[name]], dim=2)
            else:
                signals[name] = module(entering.flatten(0, 1)).unflatten(0, time)
        found = membranes if self.membrane else signals
        return Signals(fired, torch.cat([found[name].flatten(2) for name in self.outputs], dim=2))


def run_neurons(module: Any, currents: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes and membranes `[T, B, ...]` of a layer of neurons, from a state of zero.

    Args:
        module: the neurons.
        currents: `[T, B, ...]`.
    """
    if isinstance(module, (LoihiNeuron, SourceNeurons)):
        return module(currents)
    states = module.reset_mem()
    states = states if isinstance(states, tuple) else (states,)
    spikes, membranes = [], []
    for current in currents:
        if module.init_hidden:
            result = module(current)
            spikes.append((result[0] if isinstance(result, tuple) else result).to(currents.dtype))
            membranes.append(module.mem)
        else:
            spike, *states = module(current, *states)
            spike = spike.to(currents.dtype)  # snnTorch's surrogates give float32
            spikes.append(spike)
            membranes.append(states[-1])
            if isinstance(module, RECURRENT):  # they take their spikes of the step before, too
                states = [spike, *states]
    return torch.stack(spikes), torch.stack(membranes)


def pool_spikes(module: nn.MaxPool2d, spikes: Tensor, membranes: Tensor) -> Tensor:
    """The maximum of spikes in each window, with the gradient of the neuron whose membrane is the largest.

    Where all neurons have one threshold, the neuron with the largest membrane fires if any does.

    Args:
        module: the pool.
        spikes: `[T, B, C, H, W]`.
        membranes: membranes before reset, of the same shape.
    """
    geometry = (module.kernel_size, module.stride, module.padding, module.dilation, module.ceil_mode)
    _, places = functional.max_pool2d(membranes.detach().flatten(0, 1), *geometry, return_indices=True)
    chosen = spikes.flatten(0, 1).flatten(-2).gather(-1, places.flatten(-2))
    return chosen.view(places.shape).unflatten(0, spikes.shape[:2])
