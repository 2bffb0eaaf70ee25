"""Folding changes no number: integers in float64 come out of the folded layer exactly as out of torch's chain."""

from __future__ import annotations

import itertools

import nir
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nir_oracle import apply_node
from numpy.testing import assert_array_equal
from torch.nn import functional

from export.chain import chain
from export.fold import FoldedLayer, fold
from hardware_profiles.errors import UserError

FLATTEN = nir.Flatten({"input": None}, start_dim=0, end_dim=-1)


def pool(kind: type, height: int, width: int) -> nir.NIRNode:
    q = np.array([height, width])
    return kind(kernel_size=q, stride=q, padding=np.array([0, 0]))


def conv(rng, channels: int, out: int, kernel, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups: int = 1):
    weight = rng.integers(-9, 10, (out, channels // groups, *kernel)).astype(np.float64)
    bias = rng.integers(-9, 10, out).astype(np.float64)
    return nir.Conv2d(None, weight, stride, padding, dilation, groups, bias)


def neuron() -> nir.IF:
    return nir.IF(r=np.ones(1), v_threshold=np.ones(1))


def folded(shape: tuple[int, ...], *nodes: nir.NIRNode) -> list[FoldedLayer]:
    named = {"input": nir.Input({"input": np.array(shape)})}
    named |= {f"n{index}": node for index, node in enumerate(nodes)}
    named["output"] = nir.Output({"output": None})
    steps = chain(nir.NIRGraph(named, list(itertools.pairwise(named)), type_check=False))
    return [layer for layer, _ in fold(steps)]


def layer_output(layer: FoldedLayer, x: np.ndarray) -> np.ndarray:
    """divisor * what the neuron sees, for x `[T, ...]`: the integer that the chip would hold."""
    bias = layer.divisor * layer.bias
    if layer.kind == "dense":
        return x.reshape(len(x), -1) @ layer.weight.T + bias
    summed = functional.conv2d(
        torch.tensor(x), torch.tensor(layer.weight), torch.tensor(bias), layer.stride, layer.padding, layer.dilation,
        layer.groups,
    )  # fmt: skip
    return summed.numpy()


def chain_output(x: np.ndarray, *nodes: nir.NIRNode) -> np.ndarray:
    """The same from torch, with every average taken as a sum (times its own kernel area), so that all is integer."""
    area = 1
    for node in nodes:
        if isinstance(node, nir.AvgPool2d):
            x, area = (
                apply_node(nir.SumPool2d(node.kernel_size, node.stride, node.padding), 1.0, x),
                area * int(np.prod(node.kernel_size)),
            )
        elif isinstance(node, nir.Conv2d):
            x = apply_node(nir.Conv2d(None, node.weight, node.stride, node.padding, node.dilation, node.groups,
                                      area * node.bias), 1.0, x)  # fmt: skip
        elif isinstance(node, nir.Affine):
            x = apply_node(nir.Affine(node.weight, area * node.bias), 1.0, x)
        else:
            x = apply_node(node, 1.0, x)
    return x


small = st.integers(1, 3)


@st.composite
def pooled_chains(draw):
    """A pool, a convolution and a pool, or some of them, on a small asymmetric image."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    groups = draw(st.sampled_from([1, 2]))
    channels, out = groups * draw(st.integers(1, 2)), groups * draw(small)
    shape = (channels, draw(st.integers(5, 17)), draw(st.integers(5, 17)))
    kinds = st.sampled_from([nir.AvgPool2d, nir.SumPool2d])
    nodes = [pool(draw(kinds), draw(small), draw(small)) for _ in range(draw(st.integers(0, 2)))]
    two = st.tuples(small, small)
    nodes.append(
        conv(rng, channels, out, draw(two), draw(two), draw(st.tuples(*[st.integers(0, 2)] * 2)), draw(two), groups)
    )
    nodes += [pool(draw(kinds), draw(small), draw(small)) for _ in range(draw(st.integers(0, 2)))]
    x = rng.integers(0, 2, (3, *shape)).astype(np.float64)
    return shape, nodes, x


@settings(max_examples=150, deadline=None)
@given(pooled_chains())
def test_pools_around_a_convolution_fold_exactly_or_are_refused(case):
    shape, nodes, x = case
    refusal = ""
    try:
        (layer,) = folded(shape, *nodes, neuron())
    except UserError as error:
        refusal = str(error)
    if refusal:
        assert "would read after folding" in refusal or "is larger than" in refusal
    else:
        assert_array_equal(layer_output(layer, x), chain_output(x, *nodes))


@pytest.mark.parametrize("kind", [nir.AvgPool2d, nir.SumPool2d])
def test_pools_before_flatten_and_linear_repeat_its_columns(kind):
    """7 x 11 pooled by 2 x 3 drops a row and two columns: their weights are zero."""
    rng = np.random.default_rng(8)
    linear = nir.Affine(rng.integers(-9, 10, (5, 2 * 3 * 3)) * 1.0, rng.integers(-9, 10, 5) * 1.0)
    nodes = [pool(kind, 2, 3), FLATTEN, linear]
    (layer,) = folded((2, 7, 11), *nodes, neuron())
    assert layer.weight.shape == (5, 2 * 7 * 11)
    x = rng.integers(0, 2, (4, 2, 7, 11)).astype(np.float64)
    assert_array_equal(layer_output(layer, x), chain_output(x, *nodes))
    assert layer.divisor == (6 if kind is nir.AvgPool2d else 1)


def test_pools_directly_before_a_neuron_become_a_depthwise_convolution():
    rng = np.random.default_rng(9)
    nodes = [pool(nir.AvgPool2d, 2, 3), pool(nir.SumPool2d, 1, 2)]
    layers = folded((3, 7, 13), *nodes, neuron(), FLATTEN, nir.Linear(np.ones((2, 3 * 3 * 2))), neuron())
    assert (layers[0].groups, layers[0].divisor, layers[0].kind) == (3, 6, "conv")
    x = rng.integers(0, 2, (4, 3, 7, 13)).astype(np.float64)
    assert_array_equal(layer_output(layers[0], x), chain_output(x, *nodes))


def test_the_remainder_that_padding_would_read_is_refused_with_the_numbers():
    """q = 2, k = 5, p = 2 on 15 rows: pooled row 7 is padding, but row 14 of the input is not (spec 4.5)."""
    rng = np.random.default_rng(1)
    with pytest.raises(UserError, match="n0: pool 2 drops the last 1 of 15 rows, which the padding of n1") as refusal:
        folded((1, 15, 16), pool(nir.AvgPool2d, 2, 2), conv(rng, 1, 1, (5, 5), padding=(2, 2)), neuron())
    assert "make the size a multiple of 2, or use padding 0 in n1" in str(refusal.value)
    folded((1, 15, 16), pool(nir.AvgPool2d, 2, 2), conv(rng, 1, 1, (5, 5), padding=(0, 2)), neuron())


def test_scales_go_into_weights_or_gain():
    rng = np.random.default_rng(2)
    linear = nir.Affine(rng.integers(-9, 10, (3, 4)) * 1.0, np.array([1.0, 2.0, 3.0]))
    factors = np.array([1.0, 2.0, 4.0, 8.0])
    (layer,) = folded((4,), nir.Scale(factors), linear, nir.Scale(np.full(3, 0.5)), neuron())
    x = rng.integers(0, 2, (6, 4)).astype(np.float64)
    assert_array_equal(layer.gain * layer_output(layer, x), (x * factors @ linear.weight.T + linear.bias) * 0.5)
    with pytest.raises(UserError, match="n1: its factors are not one finite number"):
        folded((4,), linear, nir.Scale(np.array([1.0, 2.0, 3.0])), neuron())


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        (
            [nir.AvgPool2d(np.array([3, 3]), np.array([2, 2]), np.array([0, 0])), neuron()],
            "kernel .3, 3., stride .2, 2.",
        ),
        ([nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([1, 1])), neuron()], "use stride = kernel"),
        ([neuron()], "n0: no weights stand before this neuron"),
        ([FLATTEN], "the graph ends without a neuron"),
        ([FLATTEN, nir.Linear(np.ones((3, 2 * 6 * 8)))], "n1: the graph ends without a neuron"),
        (
            [FLATTEN, nir.Linear(np.ones((3, 96))), nir.Linear(np.ones((2, 3))), neuron()],
            "n2: follows n1 with no neuron between them",
        ),
        ([FLATTEN, nir.Linear(np.full((3, 96), np.nan)), neuron()], "n1: weight or bias holds NaN"),
    ],
)
def test_chains_that_netx_cannot_hold_are_refused_by_name(nodes, words):
    with pytest.raises(UserError, match=words):
        folded((2, 6, 8), *nodes)
