"""Torch modules that netx does not have and that have an exact form in layers that it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import nir
import numpy as np
import torch
from torch import nn

from spikeport.errors import NeedsAdaptError, UserError
from spikeport.export.formats.netx.rules import GEOMETRY_LIMIT
from spikeport.export.frontends.snntorch_neurons import array
from spikeport.export.frontends.synaptic_modules import AVERAGE_POOLS, WEIGHTS, pool_geometry
from spikeport.export.graph.node_kinds import SPIKING
from spikeport.values import Shape

MAX_POOLS = (nn.MaxPool1d, nn.MaxPool2d)
SUFFIX = ".or"  # of the name of the neurons of a maximum pool


def max_pool(
    name: str, module: nn.MaxPool1d | nn.MaxPool2d, shape: Shape, nodes: Mapping[str, nir.NIRNode], dt_s: float
) -> dict[str, nir.NIRNode]:
    """A maximum pool of spikes as a layer: the maximum of zeros and ones is 1 exactly if their sum is above 1/2.

    Each neuron adds the spikes of its window with weight 1, fires above 1/2, and keeps nothing: v <- x, fire if
    v > 1/2. The padding of torch is minus infinity, which a maximum of zeros and ones takes as 0.

    Args:
        name: name of the module.
        module: the pool.
        shape: shape of its input, `(C, H, W)`.
        nodes: the nodes before it, the nearest last.
        dt_s: time step in seconds.

    Returns:
        Convolution and neurons by name.

    Raises:
        UserError: its input is no spikes, or a setting has no exact form.
    """
    before, kind = list(nodes)[-1], type(module).__name__
    node = nodes[before]
    if not isinstance(node, SPIKING):
        raise NeedsAdaptError(
            f"{kind} takes the maximum of what {before} ({type(node).__name__}) gives, which is not spikes", where=name,
            cause="a maximum of currents is not a sum of them",
            hint="put the pool behind the neurons and train again, or use AvgPool2d",
        )  # fmt: skip
    if len(shape) != 3:
        raise UserError(f"a pool needs (C, H, W) input, got {shape}", where=name,
                        hint="put it before the Flatten")  # fmt: skip
    geometry = pool_geometry(module)
    kernel, stride, padding, dilation = (geometry[key] for key in ("kernel_size", "stride", "padding", "dilation"))
    spare = [n + 2 * p - d * (k - 1) - 1 for n, p, d, k in zip(shape[1:], padding, dilation, kernel, strict=True)]
    rest = [each % step for each, step in zip(spare, stride, strict=True)]
    if module.return_indices or (module.ceil_mode and any(rest)):
        raise UserError(
            f"{kind} with ceil_mode {module.ceil_mode}, return_indices {module.return_indices} has no exact form",
            where=name, hint="use ceil_mode False and return_indices False",
        )  # fmt: skip
    channels = shape[0]
    depthwise = channels <= GEOMETRY_LIMIT
    weight = np.ones((channels, 1, *kernel))
    if not depthwise:
        weight = np.eye(channels)[:, :, None, None] * np.ones(kernel)
    convolution = nir.Conv2d(
        input_shape=shape[1:], weight=weight, stride=stride, padding=padding, dilation=dilation,
        groups=channels if depthwise else 1, bias=np.zeros(channels),
    )  # fmt: skip
    behind = (channels, *(each // step + 1 for each, step in zip(spare, stride, strict=True)))
    neurons = nir.LIF(
        tau=np.full(behind, dt_s), r=np.ones(behind), v_leak=np.zeros(behind), v_threshold=np.full(behind, 0.5),
        v_reset=np.zeros(behind),
    )  # fmt: skip
    return {name: convolution, f"{name}{SUFFIX}": neurons}


def check_norm(name: str, module: Any) -> None:
    """Checks that a batch norm does in evaluation what can be folded.

    Args:
        name: name of the module.
        module: the norm.

    Raises:
        UserError: it has no running statistics.
    """
    kind = type(module).__name__
    if module.running_mean is None or module.running_var is None:
        raise UserError(f"{kind} has no running statistics", where=name,
                        cause="it normalizes by the batch, which the chip does not have",
                        hint="train with track_running_stats=True")  # fmt: skip


def with_batch_norm(
    name: str, module: Any, before: str, node: nir.NIRNode, *, first: int, features: int, shifted: bool
) -> nir.NIRNode:
    """The weights before a batch norm with the norm folded in, as in evaluation.

    w' = g w and b' = g (b - mean) + beta with g = gamma / sqrt(var + eps), in float64. Of several nodes that are added,
    one has b', and the others have no bias.

    Args:
        name: name of the module.
        module: a BatchNorm1d or BatchNorm2d.
        before: name of the node before it.
        node: this node.
        first: first channel of the node in the signal that is normalized.
        features: number of channels of this signal.
        shifted: whether this node has the bias; False for further nodes that are added to it.

    Raises:
        UserError: the node has no weights, or the norm has no running statistics.
    """
    kind = type(module).__name__
    if not isinstance(node, (nir.Conv2d, nir.Linear, nir.Affine)):
        raise UserError(
            f"{kind} follows {before} ({type(node).__name__}), which has no weights to fold it into", where=name,
            cause="netx has no normalization", hint="put it behind a Conv2d or Linear and train again",
        )  # fmt: skip
    check_norm(name, module)
    mean, variance = array(module.running_mean).astype(np.float64), array(module.running_var).astype(np.float64)
    if len(mean) != features:
        raise UserError(f"{kind} has {len(mean)} features, {before} gives {features}", where=name,
                        hint=f"make it for {features} features")  # fmt: skip
    gain = 1 / np.sqrt(variance + module.eps)
    shift = np.zeros(len(mean))
    if module.affine:
        gain, shift = gain * array(module.weight), array(module.bias).astype(np.float64)
    own = slice(first, first + len(node.weight))
    gain, bias = gain[own], np.zeros(len(node.weight))
    if shifted:
        given = getattr(node, "bias", None)
        bias = gain * ((0.0 if given is None else np.asarray(given, np.float64)) - mean[own]) + shift[own]
    weight = np.reshape(gain, (-1, *[1] * (node.weight.ndim - 1))) * np.asarray(node.weight, np.float64)
    if not isinstance(node, nir.Conv2d):
        return nir.Affine(weight, bias) if shifted else nir.Linear(weight)
    geometry = {key: getattr(node, key) for key in ("input_shape", "stride", "padding", "dilation", "groups")}
    return nir.Conv2d(weight=weight, bias=bias, **geometry)


def shape_after(module: nn.Module, shape: Shape) -> Shape | None:
    """Shape behind a module that was refused, for the faults of those behind it; None where it is not known.

    Args:
        module: the module.
        shape: shape of its input without batch, such as `(C, H, W)`.
    """
    if isinstance(module, (nn.ReLU, nn.modules.batchnorm._BatchNorm)) or hasattr(module, "mem"):
        return shape
    if not isinstance(module, (*MAX_POOLS, *AVERAGE_POOLS, *WEIGHTS, nn.Flatten)):
        return None
    try:
        with torch.no_grad():
            behind = module(torch.zeros(1, *shape, dtype=_dtype(module)))
            return tuple((behind[0] if isinstance(behind, tuple) else behind).shape[1:])
    except (RuntimeError, ValueError, TypeError, IndexError):
        return None


def _dtype(module: nn.Module) -> torch.dtype:
    return next((parameter.dtype for parameter in module.parameters()), torch.float32)
