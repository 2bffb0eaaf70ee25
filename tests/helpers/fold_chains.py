"""Chains of layers in fractions, and what folding makes of them."""

from __future__ import annotations

import itertools
from fractions import Fraction

import nir
import numpy as np

from spikeport.export.graph.chain import chain
from spikeport.export.lowering.fold import Folded, fold
from spikeport.export.lowering.folded_layer import FoldedLayer

FLATTEN = nir.Flatten({"input": None}, start_dim=0, end_dim=-1)
DT = 0.25


def pool(kind: type, kernel, stride=None, padding=(0, 0)) -> nir.NIRNode:
    return kind(*(np.array(each) for each in (kernel, stride or kernel, padding)))


def conv(rng, channels: int, out: int, kernel, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups: int = 1):
    weight = rng.integers(1, 10, (out, channels // groups, *kernel)).astype(np.float64)
    return nir.Conv2d(None, weight, stride, padding, dilation, groups, rng.integers(-9, 10, out).astype(np.float64))


def neuron() -> nir.IF:
    return nir.IF(r=np.ones(1), v_threshold=np.ones(1))


def whole(shape: tuple[int, ...], *nodes: nir.NIRNode) -> Folded:
    named = {"input": nir.Input({"input": np.array(shape)})}
    named |= {f"n{index}": node for index, node in enumerate(nodes)}
    named["output"] = nir.Output({"output": None})
    return fold(chain(nir.NIRGraph(named, list(itertools.pairwise(named)), type_check=False)), DT)


def folded(shape: tuple[int, ...], *nodes: nir.NIRNode) -> list[FoldedLayer]:
    return [layer for layer, _ in whole(shape, *nodes).layers]


def exact(values: object) -> np.ndarray:
    return np.vectorize(Fraction, otypes=[object])(np.asarray(values, dtype=np.float64))


def windows(x: np.ndarray, weight: np.ndarray, stride, before, behind, dilation, groups: int) -> np.ndarray:
    """Cross-correlation of x `(C, H, W)` padded by (rows, columns) `before` and `behind`, by its definition."""
    x = np.pad(x, ((0, 0), (before[0], behind[0]), (before[1], behind[1])), constant_values=Fraction(0))
    out, inputs, *kernel = weight.shape
    size = [(x.shape[1 + a] - dilation[a] * (kernel[a] - 1) - 1) // stride[a] + 1 for a in (0, 1)]
    result = np.full((out, *size), Fraction(0), dtype=object)
    for o, i, row, column in np.ndindex(*weight.shape):
        channel = o // (out // groups) * inputs + i
        rows = slice(row * dilation[0], row * dilation[0] + (size[0] - 1) * stride[0] + 1, stride[0])
        columns = slice(column * dilation[1], column * dilation[1] + (size[1] - 1) * stride[1] + 1, stride[1])
        result[o] += weight[o, i, row, column] * x[channel, rows, columns]
    return result


def by_definition(x: np.ndarray, node: nir.NIRNode) -> np.ndarray:
    if isinstance(node, (nir.AvgPool2d, nir.SumPool2d)):
        kernel, stride, padding = ([int(n) for n in each] for each in (node.kernel_size, node.stride, node.padding))
        value = Fraction(1, kernel[0] * kernel[1]) if isinstance(node, nir.AvgPool2d) else Fraction(1)
        return windows(x, np.full((len(x), 1, *kernel), value), stride, padding, padding, (1, 1), len(x))
    if isinstance(node, nir.Conv2d):
        stride, dilation = (np.broadcast_to(each, 2).tolist() for each in (node.stride, node.dilation))
        if isinstance(node.padding, str):
            total = [
                d * (k - 1) * (node.padding == "same") for d, k in zip(dilation, node.weight.shape[2:], strict=True)
            ]
            before, behind = [n // 2 for n in total], [n - n // 2 for n in total]
        else:
            before = behind = np.broadcast_to(node.padding, 2).tolist()
        summed = windows(x, exact(node.weight), stride, before, behind, dilation, int(node.groups))
        return summed + exact(node.bias)[:, None, None]
    if isinstance(node, nir.Scale):
        return (x * exact(node.scale)).reshape(x.shape)  # a leading batch axis of 1 says nothing
    if isinstance(node, nir.Flatten):
        return x.ravel()
    return exact(node.weight) @ x + (exact(node.bias) if isinstance(node, nir.Affine) else 0)


def chain_output(x: np.ndarray, *nodes: nir.NIRNode) -> np.ndarray:
    for node in nodes:
        x = by_definition(x, node)
    return x


def layer_output(layer: FoldedLayer, x: np.ndarray) -> np.ndarray:
    """What the folded layer's neurons see, by FoldedLayer's own definition."""
    if layer.kind == "dense":
        summed = exact(layer.weight) @ x.ravel()
    else:
        two = layer.padding
        summed = windows(x, exact(layer.weight), layer.stride, two, two, layer.dilation, layer.groups)
    rows = (-1, *(1 for _ in summed.shape[1:]))
    bias = exact(layer.bias) if layer.bias.ndim == summed.ndim else exact(layer.bias).reshape(rows)
    gain = exact(np.broadcast_to(layer.gain, summed.shape[:1])).reshape(rows)
    return gain * (summed + bias) / layer.divisor


def random_input(rng, shape: tuple[int, ...]) -> np.ndarray:
    return exact(rng.integers(0, 2, shape))
