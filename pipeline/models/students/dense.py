"""Students of dense layers: a perceptron of cells, and recurrent cells behind convolutions or the frame itself."""

from __future__ import annotations

import math

import torch
from torch import nn

from spikeport.pipeline.models.neurons.recurrent import LoihiRecurrent
from spikeport.pipeline.models.students.base import Student, make_neurons, make_norm, needs_bias, with_heads
from spikeport.pipeline.models.students.conv import conv_blocks
from spikeport.pipeline.run.recipe import Student as StudentRecipe


def mlp_student(
    recipe: StudentRecipe, input_shape: tuple[int, ...], classes: int, *, shared_head: bool, norm: bool = True
) -> Student:
    """The flattened frame, dense layers of `layers` cells with batch norm, an output layer that fires."""
    layers: dict[str, nn.Module] = {"flatten": nn.Flatten()}
    width = math.prod(input_shape)
    for index, wider in enumerate(recipe.layers, start=1):
        layers |= _dense(index, width, wider, recipe, norm=norm)
        layers[f"dense{index}_cell"] = make_neurons(recipe, wider)
        width = wider
    return with_heads(layers, width, classes, recipe, shared=shared_head)


def recurrent_student(
    recipe: StudentRecipe, input_shape: tuple[int, ...], classes: int, *, shared_head: bool, norm: bool = True
) -> Student:
    """Convolution blocks as `conv` has them (none with `channels = []`), flattened; dense layers of `layers` cells with
    batch norm, in which each cell also sees the layer's spikes of the step before; an output layer that fires."""
    layers, width = conv_blocks(recipe, input_shape, norm=norm)
    for index, wider in enumerate(recipe.layers, start=1):
        layers |= _dense(index, width, wider, recipe, norm=norm)
        with torch.device("cpu"):  # see make_neurons
            layers[f"dense{index}_cell"] = LoihiRecurrent(wider, recipe.beta, recipe.v_threshold)
        width = wider
    return with_heads(layers, width, classes, recipe, shared=shared_head)


def _dense(index: int, width: int, wider: int, recipe: StudentRecipe, *, norm: bool) -> dict[str, nn.Module]:
    layer: dict[str, nn.Module] = {f"dense{index}": nn.Linear(width, wider, bias=needs_bias(recipe, norm=norm))}
    if norm:
        layer[f"dense{index}_norm"] = make_norm(recipe, wider, nn.BatchNorm1d)
    return layer
