"""Students whose hidden layers are dense, on the frame itself or on convolution blocks."""

from __future__ import annotations

import math

from torch import nn

from spikeport.pipeline.models.neurons.base import Place
from spikeport.pipeline.models.neurons.table import make_neurons, make_norm, needs_bias
from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.models.students.conv import conv_blocks
from spikeport.pipeline.models.students.network import StudentNetwork, with_heads
from spikeport.pipeline.run.sections.networks import Student as StudentRecipe
from spikeport.values import Shape


class Mlp(StudentNetwork):
    """The flattened frame or the channels, dense layers of `layers` neurons with batch norm, output neurons."""

    summary = "dense layers on the flattened frame, or on the channels of a one-dimensional input"
    options = ("layers", "norm_steps")

    def places(self, recipe: StudentRecipe) -> frozenset[Place]:
        return frozenset({"dense", "output"})

    def build(
        self, recipe: StudentRecipe, input_shape: Shape, classes: int, *, shared_head: bool, norm: bool = True
    ) -> Student:
        layers: dict[str, nn.Module] = {} if len(input_shape) == 1 else {"flatten": nn.Flatten()}
        return _with_dense(layers, math.prod(input_shape), classes, recipe, shared_head, norm)


class ConvMlp(StudentNetwork):
    """Flattened convolution blocks as in `Conv` (none with `channels = []`), then as in `Mlp`."""

    summary = "convolution blocks, then dense layers"
    options = ("channels", "kernel", "downsample", "layers", "norm_steps")

    def places(self, recipe: StudentRecipe) -> frozenset[Place]:
        return frozenset({"dense", "output", *(("conv",) if recipe.channels else ())})

    def build(
        self, recipe: StudentRecipe, input_shape: Shape, classes: int, *, shared_head: bool, norm: bool = True
    ) -> Student:
        layers, width = conv_blocks(recipe, input_shape, norm=norm)
        return _with_dense(layers, width, classes, recipe, shared_head, norm)


def _with_dense(
    layers: dict[str, nn.Module], width: int, classes: int, recipe: StudentRecipe, shared_head: bool, norm: bool
) -> Student:
    for index, wider in enumerate(recipe.layers, start=1):
        layers[f"dense{index}"] = nn.Linear(width, wider, bias=needs_bias(recipe, "dense", norm=norm))
        if norm:
            layers[f"dense{index}_norm"] = make_norm(recipe, wider, nn.BatchNorm1d, "dense")
        layers[f"dense{index}_neurons"] = make_neurons(recipe, wider, "dense")
        width = wider
    return with_heads(layers, width, classes, recipe, shared=shared_head)
