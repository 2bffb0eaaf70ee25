"""What every spiking student is: a shared backbone and a head for each stream, time folded into the batch.

An event head is what is deployed; a static head exists for distillation and is dropped when batch norm is
folded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from spikeport.pipeline.data.inputs import as_input
from spikeport.pipeline.data.packed import PackedFrames
from spikeport.pipeline.models.neurons.fused_norm_lif import can_fuse, fused_norm_lif
from spikeport.pipeline.models.neurons.leaky import LoihiLeaky, LoihiNeuron
from spikeport.pipeline.models.neurons.synaptic import BatchRMSNorm, LoihiSynaptic
from spikeport.pipeline.run.recipe import Student as StudentRecipe

Head = Literal["event", "static"]
POOL = 2  # side of an average pool


@dataclass(frozen=True)
class StudentOutput:
    """What one forward gives, time first.

    `logits` `[T, B, K]`: how often each output has fired so far, which is what decides in the end (trained on
    membranes instead, the outputs need not fire at all, and many do not). `spikes` `[T, B, K]`: output
    spikes, which `export.network.readout.classify` reads. `features` `[T, B, ...]`: membranes of the backbone's last
    cells after reset. `layer_spikes`: spikes of every cell layer, the output last. `maps` `[T, B, C, H, W]`: spikes of
    the last cells that have places (None in a network of dense layers). `embedding` `[T, B, D]`: what the head sees.
    """

    logits: Tensor
    spikes: Tensor
    features: Tensor
    layer_spikes: list[Tensor]
    maps: Tensor | None
    embedding: Tensor


class BranchedBlock(nn.Module):
    """A piece of a backbone that is no chain of layers; netx has no such thing.

    `forward` takes spikes `[T, B, ...]` and gives the spikes of each of its cell layers, and the last ones' membranes.
    """


class Student(nn.Module):
    """A chain of named layers, the last two of which are the head (synapse, cell)."""

    def __init__(self, backbone: nn.ModuleDict, heads: nn.ModuleDict, output_cell: LoihiNeuron) -> None:
        super().__init__()
        self.backbone, self.heads, self.output_cell = backbone, heads, output_cell

    def forward(self, frames: Tensor, head: Head = "event") -> StudentOutput:
        """`frames` `[T, B, C, H, W]`: events of 0 and 1 (float or bytes), or a static clip of values."""
        steps, batch = frames.shape[:2]
        flat = as_input(frames).flatten(0, 1)
        features, layer_spikes = frames, []
        layers = list(self.backbone.values())
        last = next(layer for layer in reversed(layers) if isinstance(layer, (LoihiNeuron, BranchedBlock)))
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
                continue  # done with the cells behind it
            elif isinstance(layer, BranchedBlock):
                found, membranes = layer(flat.unflatten(0, (steps, batch)))
                features = membranes * (1 - found[-1])
                layer_spikes += found
                flat = found[-1].flatten(0, 1)
            else:
                flat = layer(flat)
        currents = self.synapse(head)(flat).unflatten(0, (steps, batch))
        output, _ = self.output_cell(currents)
        return StudentOutput(
            logits=output.cumsum(0),
            spikes=output,
            features=features,
            layer_spikes=[*layer_spikes, output],
            maps=next((spikes for spikes in reversed(layer_spikes) if spikes.ndim == frames.ndim), None),
            embedding=flat.unflatten(0, (steps, batch)),
        )

    def synapse(self, head: Head) -> nn.Module:
        """The output synapse of a head; the event head's where they are shared."""
        return self.heads[head if head in self.heads else "event"]

    def deployed(self) -> list[tuple[str, nn.Module]]:
        """The event path in order, named: what goes to the chip once batch norm is folded."""
        return [*self.backbone.items(), ("output", self.synapse("event")), ("output_cell", self.output_cell)]

    def layer_names(self) -> list[str]:
        """Names of the layers in `layer_spikes`: of the synapse before the cells; a branch numbers its own."""
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
        """Every cell layer in order, the output last."""
        return [layer for layer in self.modules() if isinstance(layer, LoihiNeuron)]


def make_neurons(recipe: StudentRecipe, cells: int) -> LoihiNeuron:
    """A layer of cells as the recipe wants them; `cells`: how many of a dense layer, or how many channels."""
    with torch.device("cpu"):  # also within a device that holds no values: snnTorch's cells read theirs at once
        if recipe.alpha:
            return LoihiSynaptic(cells, recipe.alpha, recipe.beta, recipe.v_threshold)
        return LoihiLeaky(recipe.beta, recipe.v_threshold)


def make_norm(recipe: StudentRecipe, channels: int, batch_norm: type[nn.Module]) -> nn.Module:
    """The norm before `make_neurons`: before slow currents one that does not shift, see `synaptic`."""
    return BatchRMSNorm(channels) if recipe.alpha else batch_norm(channels)


def needs_bias(recipe: StudentRecipe, *, norm: bool = False) -> bool:
    """Whether the synapse before `make_neurons` has a bias of its own: a norm behind it, or the cells, may have it."""
    return not norm and not recipe.alpha


def with_heads(
    layers: dict[str, nn.Module], width: int, classes: int, recipe: StudentRecipe, *, shared: bool
) -> Student:
    """`layers` and a dense head of `classes` cells for each stream (one for both where they share it), over `width`
    inputs."""
    streams = ("event",) if shared else ("event", "static")
    heads = {name: nn.Linear(width, classes, bias=needs_bias(recipe)) for name in streams}
    return Student(nn.ModuleDict(layers), nn.ModuleDict(heads), make_neurons(recipe, classes))


@dataclass(frozen=True)
class StudentPrediction:
    """What a student made of recordings: output spikes uint8 `[N, T, K]`, and `rates`, spikes per neuron and step by
    layer (none of no recordings)."""

    spikes: np.ndarray
    rates: dict[str, float]


def run_student(student: Student, frames: np.ndarray | PackedFrames, batch: int = 50) -> StudentPrediction:
    """Runs recordings `[N, T, C, H, W]` (uint8 of 0 and 1) in eval mode."""
    device = next(student.parameters()).device
    training = student.training
    student.eval()
    parts, sums, places = [], [], [0.0]
    with torch.no_grad():
        for at in range(0, max(1, len(frames)), batch):  # none make an empty batch
            found = student(torch.from_numpy(frames[at : at + batch]).to(device).transpose(0, 1))
            parts.append(found.spikes.transpose(0, 1).to(torch.uint8).cpu())
            sums.append(torch.stack([layer.sum() for layer in found.layer_spikes]).double())  # 0 where none fired
            places = [layer[:, :1].numel() * len(frames) for layer in found.layer_spikes]
    student.train(training)
    fired = torch.stack(sums).sum(0).tolist()
    names = student.layer_names() if len(frames) else []
    rates = {name: count / place for name, count, place in zip(names, fired, places, strict=bool(names))}
    return StudentPrediction(torch.cat(parts).numpy(), rates)


def predict_spikes(student: Student, frames: np.ndarray | PackedFrames, batch: int = 50) -> np.ndarray:
    """Output spikes uint8 `[N, T, K]` of recordings `[N, T, C, H, W]` (uint8 of 0 and 1), in eval mode."""
    return run_student(student, frames, batch).spikes
