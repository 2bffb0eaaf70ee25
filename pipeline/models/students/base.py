"""The spiking student: a backbone, a head for each stream, and time folded into the batch.

The event head is deployed. A static head exists for distillation, and is dropped when batch norm is folded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.export.frontends.wiring import INPUT
from spikeport.export.network.fixed_point import WEIGHT_LIMIT
from spikeport.pipeline.data.frames.inputs import as_input
from spikeport.pipeline.models.batch_norm_through_time import BatchNormThroughTime
from spikeport.pipeline.models.neurons.base import LoihiNeuron, Synapse
from spikeport.pipeline.models.neurons.fused_norm_lif import can_fuse, fused_norm_lif

Head = Literal["event", "static"]
POOL = 2  # side of an average pool
MAP_AXES = 5  # T, B, C, H, W


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

    @property
    def stages(self) -> tuple[Tensor, ...] | None:
        """Spikes `[T, B, C, H, W]` of the last layer of neurons of each size (H, W) in order; None without maps."""
        found: list[Tensor] = []
        for spikes in self.layer_spikes:
            if spikes.ndim != MAP_AXES:
                continue
            if found and found[-1].shape[-2:] == spikes.shape[-2:]:
                found.pop()
            found.append(spikes)
        return tuple(found) or None


class BranchedBlock(nn.Module):
    """A part of a backbone with branches.

    `forward` maps spikes `[T, B, ...]` to the spikes of each of its layers of neurons, and the membranes of the last.
    """

    def deployed(self) -> list[tuple[str, nn.Module]]:
        """Its synapses and neurons by name, in an order of execution."""
        raise NotImplementedError

    def wiring(self) -> dict[str, tuple[str, ...]]:
        """By name, what enters a module where it is not the one before: names of its own, or `INPUT`."""
        raise NotImplementedError

    def passed(self) -> frozenset[str]:
        """Names of the neurons that a branch passes, so that relays stand in their layer on the chip."""
        raise NotImplementedError

    def fold_norms(self, fold: Callable[[nn.Conv2d | nn.Linear, nn.Module], Tensor | None]) -> None:
        """Folds its batch norms into its synapses, in place.

        Args:
            fold: folds a norm into the weights before it, and returns the bias that this leaves, unset.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class WeightLayer:
    """A synapse of the deployed path and the neurons that it drives.

    Attributes:
        name: of the synapse.
        synapse: convolution or dense layer.
        neurons: the layer of neurons behind it.
        pooled: number of inputs that the average pool before the synapse averages, 1 without a pool.
        added: other synapses, by name, whose currents are added to this one's. They have no bias.
        passed: whether a branch passes the layer, so that relays stand beside its neurons on the chip.
        limit: largest weight in integers; smaller where synapses read the same spikes, since the chip adds their
            weights.
    """

    name: str
    synapse: Synapse
    neurons: LoihiNeuron
    pooled: int
    added: tuple[tuple[str, Synapse], ...] = ()
    passed: bool = False
    limit: int = WEIGHT_LIMIT

    @property
    def synapses(self) -> list[tuple[str, Synapse]]:
        """All synapses by name, the first first."""
        return [(self.name, self.synapse), *self.added]

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


class DeployedNetwork(nn.Module):
    """A network whose layers are scaled, quantized and exported."""

    def weight_layers(self) -> Iterator[WeightLayer]:
        """The layers in order. Batch norm must be folded."""
        raise NotImplementedError


class Student(DeployedNetwork):
    """A chain of named layers that ends in a head: a dense layer and the output neurons.

    Args:
        backbone: layers in order, by name.
        heads: dense layers by stream, "event" and, unless both streams share it, "static".
        output_neurons: the output neurons.

    Attributes:
        norm_steps: number of steps of all frames, with batch norm through time; else 0, and any number may be given.
    """

    def __init__(self, backbone: nn.ModuleDict, heads: nn.ModuleDict, output_neurons: LoihiNeuron) -> None:
        super().__init__()
        self.backbone, self.heads, self.output_neurons = backbone, heads, output_neurons
        through_time = (layer for layer in backbone.values() if isinstance(layer, BatchNormThroughTime))
        self.norm_steps = max((layer.steps for layer in through_time), default=0)

    def forward(self, frames: Tensor, head: Head = "event") -> StudentOutput:
        """Runs frames through the backbone and one head.

        Args:
            frames: `[T, B, C, H, W]` or `[T, B, N]`, events of 0 and 1 (float or uint8), or a static clip of values.
            head: stream whose head is used.

        Raises:
            UserError: batch norm through time has norms for another number of steps.
        """
        steps, batch = frames.shape[:2]
        if self.norm_steps not in (0, steps):
            raise UserError(
                f"a student with norms for {self.norm_steps} steps is given frames of {steps}",
                where="student.norm_steps",
                hint="give it recordings of as many steps as it was trained on",
            )
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
            maps=next((spikes for spikes in reversed(layer_spikes) if spikes.ndim == MAP_AXES), None),
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
        layers: list[tuple[str, nn.Module]] = []
        for name, layer in self.backbone.items():
            inner = layer.deployed() if isinstance(layer, BranchedBlock) else None
            layers += [(name, layer)] if inner is None else [(f"{name}.{own}", module) for own, module in inner]
        return [*layers, ("output", self.synapse("event")), ("output_neurons", self.output_neurons)]

    def wiring(self) -> dict[str, tuple[str, ...]]:
        """By name in `deployed`, what enters a layer where it is not the one before it."""
        found: dict[str, tuple[str, ...]] = {}
        before = INPUT
        for name, layer in self.backbone.items():
            if not isinstance(layer, BranchedBlock):
                before = name
                continue
            for own, sources in layer.wiring().items():
                found[f"{name}.{own}"] = tuple(before if each == INPUT else f"{name}.{each}" for each in sources)
            before = f"{name}.{layer.deployed()[-1][0]}"
        return found

    def layer_names(self) -> list[str]:
        """Names of the layers in `layer_spikes`: those of their first synapses."""
        return [layer.name for layer in self.weight_layers()]

    def neuron_names(self) -> list[str]:
        """Names of the layers of neurons in `deployed`, in the order of `layer_spikes`."""
        return [name for name, layer in self.deployed() if isinstance(layer, LoihiNeuron)]

    def neurons(self) -> list[LoihiNeuron]:
        """Every layer of neurons in order, the output last."""
        return [layer for layer in self.modules() if isinstance(layer, LoihiNeuron)]

    def weight_layers(self) -> Iterator[WeightLayer]:
        """See `DeployedNetwork.weight_layers`."""
        synapse: Synapse | None = None
        at, pooled = "", 1
        layers, wiring = dict(self.deployed()), self.wiring()
        passed = {
            f"{name}.{own}"
            for name, block in self.backbone.items()
            if isinstance(block, BranchedBlock)
            for own in block.passed()
        }
        for name, layer in layers.items():
            if isinstance(layer, nn.AvgPool2d):
                rows, columns = np.broadcast_to(layer.kernel_size, 2).tolist()
                pooled = rows * columns
            elif isinstance(layer, (nn.Conv2d, nn.Linear)):
                at, synapse = name, layer
            elif isinstance(layer, LoihiNeuron):
                assert synapse is not None
                first, *others = wiring.get(name, (at,))
                added = [(each, layers[each]) for each in others]
                main = layers[first] if others else synapse
                assert isinstance(main, (nn.Conv2d, nn.Linear))
                yield WeightLayer(
                    first,
                    main,
                    layer,
                    pooled,
                    tuple((each, module) for each, module in added if isinstance(module, (nn.Conv2d, nn.Linear))),
                    name in passed,
                )
                pooled = 1
