"""Recurrent connections of snnTorch's neurons as NIR nodes."""

from __future__ import annotations

from typing import Any

import nir
import torch

from spikeport.errors import UserError
from spikeport.export.frontends.snntorch_neurons import array, full_values
from spikeport.export.frontends.synaptic_modules import SYNAPTIC_LAYERS
from spikeport.values import Shape


def recurrent_node(name: str, module: Any, shape: Shape) -> nir.NIRNode:
    """Converts the recurrent connection of a neuron: Linear, Affine, Conv2d, or Scale if it is one to one.

    The bias acts in every step, including the first, as in snnTorch.

    Args:
        name: name of the module, for error messages.
        module: the neuron, whose `recurrent` is the connection.
        shape: shape of its layer, `(N,)` or `(C, H, W)`.

    Raises:
        UserError: the connection does not fit the shape.
    """
    recurrent: Any = module.recurrent
    if isinstance(recurrent, torch.nn.Linear):
        if shape != (recurrent.out_features,):
            raise UserError(f"RLeaky has {recurrent.out_features} recurrent features, its layer {shape}", where=name,
                            hint="give it as many linear_features as its layer has neurons")  # fmt: skip
        weight = array(recurrent.weight)
        return nir.Linear(weight) if recurrent.bias is None else nir.Affine(weight, array(recurrent.bias))
    if isinstance(recurrent, torch.nn.Conv2d):
        return SYNAPTIC_LAYERS[torch.nn.Conv2d](name, recurrent, shape)
    return nir.Scale(full_values(name, "V", recurrent.V, shape))
