"""One torch module as one NIR node."""

from __future__ import annotations

from typing import cast

import nir
import snntorch
from torch import nn
from torch.nn.utils.parametrize import type_before_parametrizations

from spikeport.errors import NeedsAdaptError, UserError
from spikeport.export.frontends.snntorch_neurons import SNNTORCH_NEURONS, neuron_node, resets
from spikeport.export.frontends.synaptic_modules import SYNAPTIC_LAYERS
from spikeport.values import Shape

REFUSALS: dict[type, tuple[str, str]] = {
    snntorch.RSynaptic: (
        "snnTorch 1.0's RSynaptic either loses the input of the step after a spike or resets by the spikes of the step "
        "before",
        "use RLeaky, or Synaptic without recurrence",
    ),
}
TAKEN = (
    "use Conv1d, Conv2d, BatchNorm, AvgPool, MaxPool of spikes, Flatten, Linear, Identity, snntorch.Leaky, "
    "snntorch.RLeaky or snntorch.Synaptic"
)


def hooked(module: nn.Module) -> bool:
    """Whether the module has forward hooks or forward pre-hooks.

    Args:
        module: the module itself; its children are not examined.
    """
    return bool(module._forward_pre_hooks or module._forward_hooks)


def node_of(name: str, module: nn.Module, shape: Shape, dt_s: float, last: bool) -> nir.NIRNode:
    """The node of a module.

    Args:
        name: name of the module.
        module: weights, a flatten, a neuron, or a module with `to_nir`.
        shape: shape of its input as the module sees it, without batch.
        dt_s: time step in seconds.
        last: whether it is the last module, whose membrane may be read out.

    Raises:
        UserError: the chip has nothing for it.
    """
    kind = type_before_parametrizations(module)
    for refused, (why, hint) in REFUSALS.items():
        if issubclass(kind, refused):
            raise UserError(f"{kind.__name__} cannot go to the chip", where=name, cause=why, hint=hint)
    if hooked(module):
        raise UserError(
            f"{kind.__name__} has forward hooks, whose effect is unknown", where=name,
            hint="remove them; weights belong in torch.nn.utils.parametrize",
        )  # fmt: skip
    if kind in SYNAPTIC_LAYERS:
        return SYNAPTIC_LAYERS[kind](name, module, shape)
    if isinstance(module, SNNTORCH_NEURONS):
        if resets(module) == "none" and not last:
            raise NeedsAdaptError(
                f"{kind.__name__} resets by 'none'", where=name, cause="Loihi resets v to zero",
                hint="train with reset_mechanism='zero', or read the membrane of the last layer",
            )  # fmt: skip
        return neuron_node(name, module, shape, dt_s)
    to_nir = getattr(module, "to_nir", None)
    if callable(to_nir):
        return cast("nir.NIRNode", to_nir(name, shape, dt_s))
    raise UserError(f"{kind.__module__}.{kind.__name__} cannot go to the chip", where=name, hint=TAKEN)
