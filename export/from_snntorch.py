"""Live torch modules -> spiking graph. Not snnTorch's exporter: that forgets the reset and writes shapeless neurons.

Only what runs on Loihi spike for spike passes (spec 4.1); everything else is refused by name.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import nir
import numpy as np
import snntorch
import torch
from torch import nn
from torch.nn.utils.parametrize import type_before_parametrizations

from export.geometry import conv_extent
from export.spiking_graph import SpikingGraph
from hardware_profiles.errors import UserError

Shape = tuple[int, ...]

REFUSALS: dict[type, tuple[str, str]] = {
    nn.modules.batchnorm._BatchNorm: ("netx has no normalisation", "fold it into the layer before it first"),
    nn.MaxPool2d: ("netx cannot take a maximum of spikes", "use AvgPool2d and train again"),
    nn.modules.dropout._DropoutNd: (
        "it must not run on the chip",
        "leave it out of the list; it only acts in training",
    ),
}


def to_spiking_graph(
    modules: list[tuple[str, nn.Module]],
    input_shape: Shape,
    dt_s: float,
    scales: Mapping[str, float] | None = None,
) -> SpikingGraph:
    """The chain of named modules as a spiking graph, every node with its full shape.

    `modules`: Conv2d, AvgPool2d, Flatten, Linear, snntorch.Leaky or snntorch.Synaptic in order, on any device, their
    weights parametrised or not; a subclass of the two cells is taken to keep their update rule. `input_shape`:
    `(C, H, W)` or `(N,)`. `dt_s`: seconds per step. `scales`: integer units per float unit for weight layers already
    quantised. Raises UserError naming the module and the setting that the chip would not run exactly.
    """
    shape = tuple(int(size) for size in input_shape)
    taken = [name for name, _ in modules]
    entry, leave = _free("input", taken), _free("output", taken)
    nodes: dict[str, nir.NIRNode] = {entry: nir.Input({"input": np.array(shape)})}
    for name, module in modules:
        if name in nodes or not name or "/" in name or name == ".":
            raise UserError(
                f"module name {name!r} is taken or cannot name a node", mend="give each module its own name"
            )
        nodes[name], shape = _convert(name, module, shape, dt_s)
    nodes[leave] = nir.Output({"output": np.array(shape)})
    graph = nir.NIRGraph(nodes, list(itertools.pairwise(nodes)), type_check=False)
    spiking = SpikingGraph(nir_graph=graph, dt_s=dt_s, input_shape=tuple(input_shape), scales=dict(scales or {}))
    spiking.chain()
    return spiking


def _free(name: str, taken: list[str]) -> str:
    """`name`, or the first of name_, name__, ... that no module has."""
    while name in taken:
        name += "_"
    return name


def _convert(name: str, module: nn.Module, shape: Shape, dt_s: float) -> tuple[nir.NIRNode, Shape]:
    kind = type_before_parametrizations(module)
    for refused, (why, mend) in REFUSALS.items():
        if issubclass(kind, refused):
            raise UserError(f"{kind.__name__} cannot go to the chip", where=name, why=why, mend=mend)
    if module._forward_pre_hooks or module._forward_hooks:
        raise UserError(
            f"{kind.__name__} has forward hooks, whose effect is unknown", where=name,
            mend="remove them; weights belong in torch.nn.utils.parametrize",
        )  # fmt: skip
    if kind in SYNAPTIC_LAYERS:
        return SYNAPTIC_LAYERS[kind](name, module, shape)
    if isinstance(module, (snntorch.Leaky, snntorch.Synaptic)):
        return _neuron(name, module, shape, dt_s), shape
    raise UserError(
        f"{kind.__module__}.{kind.__name__} cannot go to the chip", where=name,
        mend="use Conv2d, AvgPool2d, Flatten, Linear, snntorch.Leaky or snntorch.Synaptic",
    )  # fmt: skip


def _conv2d(name: str, module: Any, shape: Shape) -> tuple[nir.NIRNode, Shape]:
    if module.padding_mode != "zeros":
        raise UserError(f"padding_mode {module.padding_mode!r} cannot go to netx", where=name, mend="use 'zeros'")
    if len(shape) != 3 or shape[0] != module.in_channels:
        raise UserError(f"expects {module.in_channels} input channels, got {shape}", where=name)
    padding = module.padding
    if isinstance(padding, str):
        total = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
        if padding == "same" and any(each % 2 for each in total):
            raise UserError(
                f"padding 'same' of kernel {module.kernel_size} is not the same on both sides", where=name,
                why="netx pads symmetrically", mend="use an odd kernel, or pad explicitly",
            )  # fmt: skip
        padding = tuple(each // 2 for each in total) if padding == "same" else (0, 0)
    extent = conv_extent(shape[1:], module.kernel_size, module.stride, padding, module.dilation)
    bias = np.zeros(module.out_channels, dtype=np.float32) if module.bias is None else _array(module.bias)
    node = nir.Conv2d(
        input_shape=shape[1:],
        weight=_array(module.weight),
        stride=tuple(module.stride),
        padding=tuple(padding),
        dilation=tuple(module.dilation),
        groups=module.groups,
        bias=bias,
    )
    return node, (module.out_channels, *extent)


def _avg_pool(name: str, module: Any, shape: Shape) -> tuple[nir.NIRNode, Shape]:
    kernel, stride, padding = (_two(each) for each in (module.kernel_size, module.stride, module.padding))
    if padding != (0, 0) or module.ceil_mode or module.divisor_override is not None or stride != kernel:
        raise UserError(
            f"AvgPool2d with kernel {kernel}, stride {stride}, padding {padding}, ceil_mode {module.ceil_mode}, "
            f"divisor_override {module.divisor_override} cannot be folded exactly", where=name,
            mend="use stride = kernel, padding 0, ceil_mode False and no divisor_override",
        )  # fmt: skip
    if len(shape) != 3:
        raise UserError(f"AvgPool2d needs (C, H, W) input, got {shape}", where=name)
    node = nir.AvgPool2d(kernel_size=np.array(kernel), stride=np.array(stride), padding=np.array(padding))
    return node, (shape[0], *conv_extent(shape[1:], kernel, stride, padding, (1, 1)))


def _flatten(name: str, module: Any, shape: Shape) -> tuple[nir.NIRNode, Shape]:
    if module.start_dim != 1 or module.end_dim not in (-1, len(shape)):
        raise UserError(
            f"Flatten({module.start_dim}, {module.end_dim}) does not merge all axes behind the batch", where=name,
            mend="use nn.Flatten()",
        )  # fmt: skip
    return nir.Flatten({"input": np.array(shape)}, start_dim=0, end_dim=-1), (int(np.prod(shape)),)


def _linear(name: str, module: Any, shape: Shape) -> tuple[nir.NIRNode, Shape]:
    weight = _array(module.weight)
    node = nir.Linear(weight) if module.bias is None else nir.Affine(weight, _array(module.bias))
    return node, (module.out_features,)


SYNAPTIC_LAYERS: dict[type, Callable[[str, Any, Shape], tuple[nir.NIRNode, Shape]]] = {
    nn.Conv2d: _conv2d,
    nn.AvgPool2d: _avg_pool,
    nn.Flatten: _flatten,
    nn.Linear: _linear,
}


def _neuron(name: str, module: Any, shape: Shape, dt_s: float) -> nir.NIRNode:
    """IF where nothing leaks, else LIF or CubaLIF whose Euler step of `dt_s` is the cell's update with gain 1."""
    _check_cell(name, module)
    v_decay = _kept(name, "beta", module.beta, shape)
    zeros, threshold = np.zeros(shape), _full(name, "threshold", module.threshold, shape)
    if not isinstance(module, snntorch.Synaptic):
        if not v_decay.any():
            return nir.IF(r=np.full(shape, 1 / dt_s), v_threshold=threshold, v_reset=zeros)
        tau = _tau(name, "beta", v_decay, dt_s)
        return nir.LIF(tau=tau, r=tau / dt_s, v_leak=zeros, v_threshold=threshold, v_reset=zeros)
    tau_syn = _tau(name, "alpha", _kept(name, "alpha", module.alpha, shape), dt_s)
    tau_mem = _tau(name, "beta", v_decay, dt_s)
    return nir.CubaLIF(
        tau_syn=tau_syn,
        tau_mem=tau_mem,
        r=tau_mem / dt_s,
        v_leak=zeros,
        v_threshold=threshold,
        v_reset=zeros,
        w_in=tau_syn / dt_s,
    )


def _check_cell(name: str, module: Any) -> None:
    """Refuses every setting of a snnTorch cell that Loihi's neuron does not have."""
    kind = type(module).__name__
    reset = list(snntorch.SpikingNeuron.reset_dict)[int(module.reset_mechanism_val)]
    if reset != "zero":
        raise UserError(
            f"{kind} resets by {reset!r}", where=name, why="Loihi resets v to zero",
            mend="train with reset_mechanism='zero'",
        )  # fmt: skip
    if isinstance(module, snntorch.Synaptic) and module.reset_delay:
        raise UserError(
            f"{kind} has reset_delay=True", where=name,
            why="it loses the input of the step after a spike, Loihi does not",
            mend="train with reset_delay=False",
        )  # fmt: skip
    if module.inhibition:
        raise UserError(f"{kind} has inhibition", where=name, mend="train with inhibition=False")
    if module.state_quant:
        raise UserError(
            f"{kind} has state_quant",
            where=name,
            why="it rounds otherwise than Loihi",
            mend="train without state_quant",
        )
    if torch.any(module.graded_spikes_factor != 1):
        raise UserError(
            f"{kind} has graded_spikes_factor {module.graded_spikes_factor.tolist()}", where=name,
            why="netx passes spikes of size 1 only", mend="use graded_spikes_factor=1",
        )  # fmt: skip


def _kept(name: str, key: str, value: torch.Tensor, shape: Shape) -> np.ndarray:
    """1 - decay factor per neuron: the fraction that a step takes away."""
    factor = _full(name, key, value, shape)
    if np.any(factor < 0) or np.any(factor > 1):
        worst = float(factor.min() if factor.min() < 0 else factor.max())
        raise UserError(f"{key} = {worst:g} is outside 0..1", where=name, mend="clamp it and train on")
    return 1.0 - factor


def _tau(name: str, key: str, taken: np.ndarray, dt_s: float) -> np.ndarray:
    if np.any(taken == 0):
        raise UserError(
            f"{key} = 1 has no time constant that NIR could hold here", where=name,
            mend=f"use {key} = 4095/4096 at most, or Leaky with beta = 1 for every neuron",
        )  # fmt: skip
    return dt_s / taken


def _full(name: str, key: str, value: torch.Tensor, shape: Shape) -> np.ndarray:
    array = _array(value).astype(np.float64)
    if not np.all(np.isfinite(array)):
        raise UserError(f"{key} is not finite", where=name)
    try:
        return np.array(np.broadcast_to(array, shape))
    except ValueError:
        raise UserError(f"{key} has shape {array.shape}, the layer {shape}", where=name) from None


def _array(tensor: torch.Tensor) -> np.ndarray:
    kept = tensor.detach().cpu()
    return np.array((kept if kept.dtype == torch.float64 else kept.float()).numpy())


def _two(value: int | tuple[int, int]) -> tuple[int, int]:
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[1]))
