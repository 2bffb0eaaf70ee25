"""Modules of torch that a trace records whole."""

from __future__ import annotations

import snntorch
from torch import nn
from torch.nn.utils.parametrize import type_before_parametrizations

from spikeport.export.frontends.exact_modules import MAX_POOLS
from spikeport.export.frontends.functions import ADAPTIVE_POOLS
from spikeport.export.frontends.module_walk import SKIPPED
from spikeport.export.frontends.synaptic_modules import AVERAGE_POOLS

LEAVES = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Linear,
    *AVERAGE_POOLS,
    *MAX_POOLS,
    *ADAPTIVE_POOLS,
    nn.modules.batchnorm._BatchNorm,
    nn.Flatten,
    *SKIPPED,
    snntorch.SpikingNeuron,
    nn.ReLU,
    nn.Sigmoid,
    nn.Tanh,
    nn.Softmax,
    nn.LayerNorm,
    nn.GroupNorm,
)


def is_leaf(module: nn.Module) -> bool:
    """Whether a trace records a module whole, and not the modules in it.

    Args:
        module: the module.
    """
    return isinstance(module, LEAVES) or callable(getattr(module, "to_nir", None)) or (
        type_before_parametrizations(module) is not type(module)
    )  # fmt: skip
