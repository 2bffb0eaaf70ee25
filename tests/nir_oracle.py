"""An independent execution of a NIR chain in floating point, from NIR's equations and not from the code under test.

One Euler step per dt in the order decay, add, fire, reset; convolution and pooling are torch's.
"""

from __future__ import annotations

import nir
import numpy as np
import torch
from torch.nn import functional


def run_nir(graph: nir.NIRGraph, dt_s: float, frames: np.ndarray) -> np.ndarray:
    """Output spikes `[T, ...]` of a chain for `frames` `[T, ...]`, Euler steps of dt_s in float64, reset to v_reset."""
    following = dict(graph.edges)
    name = next(key for key, node in graph.nodes.items() if isinstance(node, nir.Input))
    signal = frames.astype(np.float64)
    while not isinstance(graph.nodes[name := following[name]], nir.Output):
        signal = apply_node(graph.nodes[name], dt_s, signal)
    return signal


def apply_node(node: nir.NIRNode, dt_s: float, x: np.ndarray) -> np.ndarray:
    """What one node makes of a signal `[T, ...]`."""

    def two(value: object) -> tuple[int, int]:
        numbers = np.broadcast_to(np.asarray(value), (2,))
        return int(numbers[0]), int(numbers[1])

    if isinstance(node, nir.Linear):
        return x @ np.float64(node.weight).T
    if isinstance(node, nir.Affine):
        return x @ np.float64(node.weight).T + node.bias
    if isinstance(node, nir.Conv2d):
        weight, bias = (torch.tensor(np.float64(array)) for array in (node.weight, node.bias))
        padding = node.padding if isinstance(node.padding, str) else two(node.padding)
        return functional.conv2d(
            torch.tensor(x), weight, bias, two(node.stride), padding, two(node.dilation), int(node.groups)
        ).numpy()
    if isinstance(node, (nir.AvgPool2d, nir.SumPool2d)):
        divisor = 1 if isinstance(node, nir.SumPool2d) else None
        return functional.avg_pool2d(
            torch.tensor(x), two(node.kernel_size), two(node.stride), two(node.padding), divisor_override=divisor
        ).numpy()
    if isinstance(node, nir.Flatten):
        return x.reshape(len(x), -1)
    if isinstance(node, nir.Scale):
        return x * node.scale
    return _fire(node, dt_s, x)


def _fire(node: nir.NIRNode, dt_s: float, x: np.ndarray) -> np.ndarray:
    current, voltage, spikes = np.zeros(x.shape[1:]), np.zeros(x.shape[1:]), np.zeros(x.shape)
    for t, arriving in enumerate(x):
        if isinstance(node, nir.IF):
            voltage = voltage + dt_s * node.r * arriving
        elif isinstance(node, nir.LIF):
            voltage = voltage + dt_s / node.tau * (node.v_leak - voltage + node.r * arriving)
        else:
            current = current + dt_s / node.tau_syn * (node.w_in * arriving - current)
            voltage = voltage + dt_s / node.tau_mem * (node.v_leak - voltage + node.r * current)
        spikes[t] = voltage > node.v_threshold
        voltage = np.where(spikes[t] > 0, node.v_reset, voltage)
    return spikes
