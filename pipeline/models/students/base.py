"""The spiking student: a backbone, a head for each stream, and time folded into the batch.

The event head is deployed. A static head exists for distillation, and is dropped when batch norm is folded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor, nn

from spikeport.pipeline.data.frames.inputs import as_input
from spikeport.pipeline.models.neurons.base import LoihiNeuron, Synapse
from spikeport.pipeline.models.neurons.fused_norm_lif import can_fuse, fused_norm_lif

Head = Literal["event", "static"]
POOL = 2  # side of an average pool


@dataclass(frozen=True)
class StudentOutput:
    """The result of one forward pass.

    Attributes:
        logits: `[T, B, K]`, number of spikes of each output up to each step; the class with most spikes at the end is
            the answer. (Trained on membranes instead, many outputs would never fire.)
        spikes: `[T, B, K]`, output spikes, which `export.network.readout.classify` reads.
        features: `[T, B, ...]`, membranes after reset of the last neurons of the backbone.
        layer_spikes: spikes `[T, B, ...]` of every layer of neurons, the output last.
        maps: `[T, B, C, H, W]`, spikes of the last neurons behind a convolution, None without one.
        embedding: `[T, B, D]`, input of the head.
    """

    logits: Tensor
    spikes: Tensor
    features: Tensor
    layer_spikes: list[Tensor]
    maps: Tensor | None
    embedding: Tensor


class BranchedBlock(nn.Module):
    """A part of a backbone that is not a chain of layers, which netx does not have.

    `forward` maps spikes `[T, B, ...]` to the spikes of each of its layers of neurons, and the membranes of the last.
    """


class Student(nn.Module):
    """A chain of named layers that ends in a head: a dense layer and the output neurons.

    Args:
        backbone: layers in order, by name.
        heads: dense layers by stream, "event" and, unless both streams share it, "static".
        output_neurons: the output neurons.
    """

    def __init__(self, backbone: nn.ModuleDict, heads: nn.ModuleDict, output_neurons: LoihiNeuron) -> None:
        super().__init__()
        self.backbone, self.heads, self.output_neurons = backbone, heads, output_neurons

    def forward(self, frames: Tensor, head: Head = "event") -> StudentOutput:
        """Runs frames through the backbone and one head.

        Args:
            frames: `[T, B, C, H, W]`, events of 0 and 1 (float or uint8), or a static clip of values.
            head: stream whose head is used.
        """
        steps, batch = frames.shape[:2]
        flat = as_input(frames).flatten(0, 1)
        features, layer_spikes = frames, []
        layers = list(self.backbone.values())
        last = next((layer for layer in reversed(layers) if isinstance(layer, (LoihiNeuron, BranchedBlock))), None)
        for before, layer, after in zip([None, *layers], layers, [*layers[1:], None], strict=False):
            if isinstance(layer, LoihiNeuron):
                currents = flat.unflatten(0, (steps, batch))
                if can_fuse(before, layer, currents):
                    spikes, features = fused_norm_lif(before, layer, currents, reset_mem=layer is last)
                else:
                    spikes, membranes = layer(currents)
                    features = membranes * (1 - spikes) if layer is last else features
                layer_spikes.append(spikes)
                flat = spikes.flatten(0, 1)
            elif can_fuse(layer, after, flat.unflatten(0, (steps, batch))):
                continue  # computed with the neurons behind it
            elif isinstance(layer, BranchedBlock):
                found, membranes = layer(flat.unflatten(0, (steps, batch)))
                features = membranes * (1 - found[-1])
                layer_spikes += found
                flat = found[-1].flatten(0, 1)
            else:
                flat = layer(flat)
        currents = self.synapse(head)(flat).unflatten(0, (steps, batch))
        output, _ = self.output_neurons(currents)
        return StudentOutput(
            logits=output.cumsum(0),
            spikes=output,
            features=features,
            layer_spikes=[*layer_spikes, output],
            maps=next((spikes for spikes in reversed(layer_spikes) if spikes.ndim == frames.ndim), None),
            embedding=flat.unflatten(0, (steps, batch)),
        )

    def synapse(self, head: Head) -> nn.Module:
        """The dense layer of a head. With a shared head, it is that of the event head.

        Args:
            head: the head.
        """
        return self.heads[head if head in self.heads else "event"]

    def deployed(self) -> list[tuple[str, nn.Module]]:
        """Named layers of the event path in order, which go to the chip once batch norm is folded."""
        return [*self.backbone.items(), ("output", self.synapse("event")), ("output_neurons", self.output_neurons)]

    def layer_names(self) -> list[str]:
        """Names of the layers in `layer_spikes`: those of their synapses; a branched block numbers its own."""
        names, before = [], ""
        for name, layer in self.deployed():
            if isinstance(layer, LoihiNeuron):
                names.append(before)
            elif isinstance(layer, BranchedBlock):
                count = sum(isinstance(inner, LoihiNeuron) for inner in layer.modules())
                names += [f"{name}.{number}" for number in range(1, count + 1)]
            elif isinstance(layer, (nn.Conv2d, nn.Linear)):
                before = name
        return names

    def neurons(self) -> list[LoihiNeuron]:
        """Every layer of neurons in order, the output last."""
        return [layer for layer in self.modules() if isinstance(layer, LoihiNeuron)]


@dataclass(frozen=True)
class WeightLayer:
    """A synapse of the deployed path and the neurons that it drives.

    Attributes:
        name: of the synapse.
        synapse: convolution or dense layer.
        neurons: the layer of neurons behind it.
        pooled: number of inputs that the average pool before the synapse averages, 1 without a pool.
    """

    name: str
    synapse: Synapse
    neurons: LoihiNeuron
    pooled: int

    @property
    def bias_owner(self) -> nn.Module:
        """The module whose `bias` is the layer's."""
        return self.neurons.bias_owner(self.synapse)

    @property
    def bias(self) -> Tensor | None:
        """`[N]`, one a channel or neuron of a dense layer; None for a layer without biases."""
        bias = self.bias_owner.bias
        assert bias is None or isinstance(bias, Tensor)
        return bias


def weight_layers(student: Student) -> Iterator[WeightLayer]:
    """The layers of the deployed path of a folded student, in order.

    Args:
        student: a student without batch norm.
    """
    synapse: Synapse | None = None
    at, pooled = "", 1
    for name, layer in student.deployed():
        if isinstance(layer, nn.AvgPool2d):
            rows, columns = np.broadcast_to(layer.kernel_size, 2).tolist()
            pooled = rows * columns
        elif isinstance(layer, (nn.Conv2d, nn.Linear)):
            at, synapse = name, layer
        elif isinstance(layer, LoihiNeuron):
            assert synapse is not None
            yield WeightLayer(at, synapse, layer, pooled)
            pooled = 1
