"""Spiking students: a shared backbone and a head for each stream, time folded into the batch.

An event head is what is deployed; a static head exists for distillation and is dropped when batch norm is
folded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from hardware_profiles.errors import UserError
from pipeline.networks.neurons import LoihiLeaky
from pipeline.recipe import Student as StudentRecipe

Head = Literal["event", "static"]
POOL = 2  # side of an average pool


@dataclass(frozen=True)
class StudentOutput:
    """What one forward gives, time first.

    `logits` `[T, B, K]`: how often each output has fired so far, which is what decides in the end (trained on
    membranes instead, the outputs need not fire at all, and many do not). `spikes` `[T, B, K]`: output
    spikes, which `export.readout.classify` reads. `features` `[T, B, ...]`: membranes of the backbone's last
    cells after reset. `layer_spikes`: spikes of every cell layer, the output last. `maps` `[T, B, C, H, W]`: spikes of
    the last cells that have places (None in a network of dense layers). `embedding` `[T, B, D]`: what the head sees.
    """

    logits: Tensor
    spikes: Tensor
    features: Tensor
    layer_spikes: list[Tensor]
    maps: Tensor | None
    embedding: Tensor


class Student(nn.Module):
    """A chain of named layers, the last two of which are the head (synapse, cell)."""

    def __init__(self, backbone: nn.ModuleDict, heads: nn.ModuleDict, output_cell: LoihiLeaky) -> None:
        super().__init__()
        self.backbone, self.heads, self.output_cell = backbone, heads, output_cell

    def forward(self, frames: Tensor, head: Head = "event") -> StudentOutput:
        """`frames` `[T, B, C, H, W]` float: events of 0 and 1, or a static clip of values."""
        steps, batch = frames.shape[:2]
        # Channels last: oneDNN's convolution of a two-channel frame is ten times as fast with it.
        flat = frames.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        membranes, layer_spikes = frames, []
        for layer in self.backbone.values():
            if isinstance(layer, LoihiLeaky):
                spikes, membranes = layer(flat.unflatten(0, (steps, batch)))
                layer_spikes.append(spikes)
                flat = spikes.flatten(0, 1)
            else:
                flat = layer(flat)
        currents = self.synapse(head)(flat).unflatten(0, (steps, batch))
        output, _ = self.output_cell(currents)
        return StudentOutput(
            logits=output.cumsum(0),
            spikes=output,
            features=membranes * (1 - layer_spikes[-1]),
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

    def cells(self) -> list[LoihiLeaky]:
        """Every cell layer in order, the output last."""
        return [layer for _, layer in self.deployed() if isinstance(layer, LoihiLeaky)]


def conv_student(
    recipe: StudentRecipe, input_shape: tuple[int, ...], classes: int, *, shared_head: bool, norm: bool = True
) -> Student:
    """Convolution blocks that halve the frame, an optional hidden dense layer, an output layer that fires.

    A block is conv, batch norm, cell; it halves by the convolution's stride, or by an average pool behind the
    cell.
    """
    channels, height, width = input_shape
    layers: dict[str, nn.Module] = {}
    by_stride = recipe.downsample == "stride"
    for index, wider in enumerate(recipe.channels, start=1):
        conv = nn.Conv2d(
            channels,
            wider,
            recipe.kernel,
            stride=2 if by_stride else 1,
            padding=recipe.kernel // 2,
            bias=not norm,
        )
        layers[f"conv{index}"] = conv
        if norm:
            layers[f"norm{index}"] = nn.BatchNorm2d(wider)
        layers[f"conv{index}_cell"] = LoihiLeaky(recipe.beta, recipe.v_threshold)
        height, width = (_halved(side, recipe, index) for side in (height, width))
        if not by_stride:
            layers[f"pool{index}"] = nn.AvgPool2d(POOL)
        channels = wider
    layers["flatten"] = nn.Flatten()
    width_flat = channels * height * width
    if recipe.hidden:
        layers["hidden"] = nn.Linear(width_flat, recipe.hidden)
        layers["hidden_cell"] = LoihiLeaky(recipe.beta, recipe.v_threshold)
        width_flat = recipe.hidden
    names = ("event",) if shared_head else ("event", "static")
    heads = {name: nn.Linear(width_flat, classes) for name in names}
    return Student(nn.ModuleDict(layers), nn.ModuleDict(heads), LoihiLeaky(recipe.beta, recipe.v_threshold))


def _halved(side: int, recipe: StudentRecipe, index: int) -> int:
    """Side of the frame behind block `index`. Raises UserError where no network on the chip could do the
    same."""
    overlap = 2 * (recipe.kernel // 2) - recipe.kernel + 1  # 1 for even kernels, which grow the frame
    if recipe.downsample == "stride":
        return (side + overlap - 1) // 2 + 1
    side += overlap
    if side % POOL:
        raise UserError(
            f"an average pool of {POOL} x {POOL} would drop a row of the {side} that block {index} gives",
            where="student.downsample",
            why="folded into the next convolution it would reach into that row",
            mend='choose data.height and data.width that halve evenly (32, 48, 64), or downsample = "stride"',
        )
    return side // POOL


STUDENTS: dict[str, Callable[..., Student]] = {"conv": conv_student}


def build_student(
    recipe: StudentRecipe,
    input_shape: tuple[int, ...],
    classes: int,
    *,
    shared_head: bool = False,
    norm: bool = True,
) -> Student:
    """The student that `recipe` names, with fresh weights from torch's global generator.

    `input_shape`: (C, H, W) of a frame. `norm=False`: as it is once batch norm is folded. Raises UserError.
    """
    if recipe.network not in STUDENTS:
        raise UserError(
            f"{recipe.network!r} is no student network",
            where="student.network",
            mend="use one of " + ", ".join(STUDENTS),
        )
    return STUDENTS[recipe.network](recipe, input_shape, classes, shared_head=shared_head, norm=norm)


def predict_spikes(student: Student, frames: np.ndarray, batch: int = 100) -> np.ndarray:
    """Output spikes uint8 `[N, T, K]` of recordings `[N, T, C, H, W]` (uint8 of 0 and 1), in eval mode."""
    device = next(student.parameters()).device
    training = student.training
    student.eval()
    with torch.no_grad():
        parts = [
            student(part.to(device).transpose(0, 1).float()).spikes.transpose(0, 1).to(torch.uint8).cpu()
            for part in torch.from_numpy(frames).split(batch)
        ]
    student.train(training)
    return torch.cat(parts).numpy()
