"""Converts torch modules with snnTorch neurons to a spiking graph.

snnTorch's own NIR exporter is not used, since it omits the reset and the shapes of neurons. Modules that Loihi cannot
execute with equal spikes are refused by name.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import nir
import numpy as np
import snntorch
from torch import nn
from torch.nn.utils.parametrize import type_before_parametrizations

from spikeport.errors import UserError
from spikeport.export.frontends.module_walk import SKIPPED, named_modules
from spikeport.export.frontends.snntorch_neurons import (
    SNNTORCH_NEURONS,
    array,
    clamped,
    neuron_node,
    recurrent_node,
    resets,
)
from spikeport.export.graph.shapes import conv_geometry, output_shape
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.values import Shape

REFUSALS: dict[type, tuple[str, str]] = {
    nn.modules.batchnorm._BatchNorm: (
        "netx has no normalization",
        "fold it into the layer before it: torch.nn.utils.fusion.fuse_conv_bn_eval or fuse_linear_bn_eval",
    ),
    nn.MaxPool2d: ("netx cannot take a maximum of spikes", "use AvgPool2d and train again"),
    snntorch.RSynaptic: (
        "snnTorch 1.0's RSynaptic either loses the input of the step after a spike or resets by the spikes of the step "
        "before",
        "use RLeaky, or Synaptic without recurrence",
    ),
}
TAKEN = "use Conv2d, AvgPool2d, Flatten, Linear, Identity, snntorch.Leaky, snntorch.RLeaky or snntorch.Synaptic"


def to_spiking_graph(
    modules: nn.Sequential | Iterable[tuple[str, nn.Module]],
    input_shape: Shape,
    dt_s: float,
    scales: Mapping[str, float] | None = None,
    readout: str = "",
) -> SpikingGraph:
    """Converts modules to a spiking graph in which every node has its full shape.

    Supported are Conv2d, AvgPool2d, Flatten, Linear, snntorch.Leaky, snntorch.RLeaky and snntorch.Synaptic, on any
    device, with or without parametrized weights. Subclasses of the neurons must keep their update rule. Other modules
    need a method `to_nir(name, shape, dt_s)` that returns a NIR node for neurons of `shape`. Identity and Dropout are
    omitted.

    A Linear or Conv2d that is used twice becomes two layers with the same weights. A neuron that is used twice is
    refused. Decays outside 0..1 are clamped as in snnTorch's forward, with a note. If the last module is a Leaky or
    Synaptic without reset, its membrane is read out. If it is a Linear, the host computes it.

    Args:
        modules: an nn.Sequential, possibly nested, or pairs (name, module) in the order of execution.
        input_shape: shape of one input sample, `(C, H, W)` or `(N,)`.
        dt_s: time step in seconds.
        scales: integer units per float unit of each weight layer that is quantized already.
        readout: how the output becomes a class, see SpikingGraph.

    Raises:
        UserError: a module or one of its settings cannot be executed exactly on the chip.
    """
    entering = shape = _shape(input_shape)
    modules, notes = named_modules(modules), []
    taken = [name for name, _ in modules]
    entry, leave = _free("input", taken), _free("output", taken)
    nodes: dict[str, nir.NIRNode] = {entry: nir.Input({"input": np.array(shape)})}
    recurrences: dict[str, nir.NIRNode] = {}
    last = next((name for name, module in reversed(modules) if not isinstance(module, (nn.Flatten, *SKIPPED))), "")
    for name, module in modules:
        if name in nodes or not name or "/" in name or name == ".":
            raise UserError(
                f"module name {name!r} is taken or cannot name a node", hint="give each module its own name"
            )
        if type_before_parametrizations(module) in SKIPPED and not hooked(module):
            if not isinstance(module, nn.Identity):
                notes.append(f"{name}: {type(module).__name__} was left out, it acts in training only")
            continue
        nodes[name] = _convert(name, module, shape, dt_s, last=name == last)
        notes += clamped(name, module)
        if isinstance(module, snntorch.RLeaky):
            recurrences[name] = recurrent_node(name, module, shape)
        shape = output_shape(name, nodes[name], shape)
    nodes[leave] = nir.Output({"output": np.array(shape)})
    edges = list(itertools.pairwise(nodes))
    for name, recurrence in recurrences.items():
        back = _free(f"{name}.w_rec", list(nodes))
        nodes[back] = recurrence
        edges += [(name, back), (back, name)]
    graph = nir.NIRGraph(nodes, edges, type_check=False)
    spiking = SpikingGraph(
        nir_graph=graph, dt_s=dt_s, input_shape=entering, scales=dict(scales or {}), readout=readout, notes=tuple(notes)
    )
    spiking.chain()
    return spiking


def _shape(input_shape: Any) -> Shape:
    try:
        return tuple(int(size) for size in input_shape)
    except (TypeError, ValueError):
        raise UserError(f"input shape {input_shape!r} is not a shape", hint="give (C, H, W) or (N,)") from None


def hooked(module: nn.Module) -> bool:
    """Whether the module has forward hooks or forward pre-hooks.

    Args:
        module: the module itself; its children are not examined.
    """
    return bool(module._forward_pre_hooks or module._forward_hooks)


def _free(name: str, taken: list[str]) -> str:
    """`name`, or the first of name_, name__, ... that is not in `taken`."""
    while name in taken:
        name += "_"
    return name


def _convert(name: str, module: nn.Module, shape: Shape, dt_s: float, last: bool) -> nir.NIRNode:
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
            raise UserError(
                f"{kind.__name__} resets by 'none'", where=name, cause="Loihi resets v to zero",
                hint="train with reset_mechanism='zero', or read the membrane of the last layer",
            )  # fmt: skip
        return neuron_node(name, module, shape, dt_s)
    to_nir = getattr(module, "to_nir", None)
    if callable(to_nir):
        return cast("nir.NIRNode", to_nir(name, shape, dt_s))
    raise UserError(f"{kind.__module__}.{kind.__name__} cannot go to the chip", where=name, hint=TAKEN)


def _conv2d(name: str, module: Any, shape: Shape) -> nir.NIRNode:
    if module.padding_mode != "zeros":
        raise UserError(f"padding_mode {module.padding_mode!r} cannot go to netx", where=name, hint="use 'zeros'")
    if len(shape) != 3 or shape[0] != module.in_channels:
        raise UserError(f"expects {module.in_channels} input channels, got {shape}", where=name)
    bias = np.zeros(module.out_channels, dtype=np.float32) if module.bias is None else array(module.bias)
    node = nir.Conv2d(
        input_shape=shape[1:],
        weight=array(module.weight),
        stride=tuple(module.stride),
        padding=module.padding if isinstance(module.padding, str) else tuple(module.padding),
        dilation=tuple(module.dilation),
        groups=module.groups,
        bias=bias,
    )
    weight, _, padding, _ = conv_geometry(node, name)
    if weight.shape == node.weight.shape:
        node.padding = padding  # as numbers if possible, since not every reader supports 'same'
    return node


def _avg_pool(name: str, module: Any, shape: Shape) -> nir.NIRNode:
    kernel, stride, padding = (_two(each) for each in (module.kernel_size, module.stride, module.padding))
    padded = any(padding) and not module.count_include_pad
    if padded or module.ceil_mode or module.divisor_override not in (None, 1, kernel[0] * kernel[1]):
        raise UserError(
            f"AvgPool2d with padding {padding}, count_include_pad {module.count_include_pad}, ceil_mode "
            f"{module.ceil_mode}, divisor_override {module.divisor_override} cannot be folded exactly", where=name,
            hint="use count_include_pad True, ceil_mode False and no divisor_override",
        )  # fmt: skip
    kind = nir.SumPool2d if module.divisor_override == 1 and kernel != (1, 1) else nir.AvgPool2d
    return kind(kernel_size=np.array(kernel), stride=np.array(stride), padding=np.array(padding))


def _flatten(name: str, module: Any, shape: Shape) -> nir.NIRNode:
    if module.start_dim != 1 or module.end_dim not in (-1, len(shape)):
        raise UserError(
            f"Flatten({module.start_dim}, {module.end_dim}) does not merge all axes behind the batch", where=name,
            hint="use nn.Flatten()",
        )  # fmt: skip
    return nir.Flatten({"input": np.array(shape)}, start_dim=0, end_dim=-1)


def _linear(name: str, module: Any, shape: Shape) -> nir.NIRNode:
    weight = array(module.weight)
    return nir.Linear(weight) if module.bias is None else nir.Affine(weight, array(module.bias))


SYNAPTIC_LAYERS: dict[type, Callable[[str, Any, Shape], nir.NIRNode]] = {
    nn.Conv2d: _conv2d,
    nn.AvgPool2d: _avg_pool,
    nn.Flatten: _flatten,
    nn.Linear: _linear,
}


def _two(value: int | tuple[int, int]) -> tuple[int, int]:
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[1]))
