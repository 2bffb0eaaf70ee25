"""Folding changes no number: shown in fractions, over random geometry, against each node evaluated by itself."""

from __future__ import annotations

import itertools
from fractions import Fraction

import nir
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from nir_oracle import apply_node
from numpy.testing import assert_array_equal

from spikeport.errors import UserError
from spikeport.export.graph.chain import chain
from spikeport.export.lowering import pool_folding
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


# The oracle: every node by its definition, in fractions


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


# Random geometry


def some_pool(draw) -> nir.NIRNode:
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    stride = draw(st.sampled_from([kernel, kernel, (1, 2), (2, 1), (2, 2)]))
    padding = tuple(draw(st.integers(0, (k - 1) // 2 if stride == kernel else k // 2)) for k in kernel)
    return pool(draw(st.sampled_from([nir.AvgPool2d, nir.SumPool2d])), kernel, stride, padding)


def some_scale(draw, rng, shape: tuple[int, ...]) -> nir.NIRNode:
    form = draw(st.sampled_from([(), (1,), (1, 1, 1), (shape[0], 1, 1), shape, (1, *shape)]))
    factors = rng.integers(1, 9, (shape[0], 1, 1)) / 4
    return nir.Scale(np.broadcast_to(factors if len(form) >= 3 and form[-3] > 1 else factors[0, 0, 0], form).copy())


def some_conv(draw, rng, shape: tuple[int, ...]) -> nir.NIRNode:
    two = st.tuples(st.integers(1, 3), st.integers(1, 3))
    groups = draw(st.sampled_from([g for g in (1, 2, 3) if shape[0] % g == 0]))
    kernel, dilation = draw(two), draw(two)
    padding = draw(st.one_of(st.tuples(*[st.integers(0, 2)] * 2), st.sampled_from(["same", "valid", 1])))
    stride = (1, 1) if padding == "same" else draw(two)
    return conv(rng, shape[0], groups * draw(st.integers(1, 2)), kernel, stride, padding, dilation, groups)


@st.composite
def random_parts(draw):
    """Pools and scales, perhaps with a convolution or a Flatten and a dense layer among them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    first = shape = (draw(st.integers(1, 3)), draw(st.integers(5, 11)), draw(st.integers(5, 11)))
    nodes: list[nir.NIRNode] = []

    def add(node: nir.NIRNode) -> None:
        nonlocal shape
        grown = by_definition(exact(np.zeros(first)), nodes[0]) if nodes else exact(np.zeros(first))
        grown = chain_output(grown, *nodes[1:])
        kernel = np.broadcast_to(getattr(node, "kernel_size", (1, 1)), 2)
        padding = np.broadcast_to(getattr(node, "padding", 0), 2) if not isinstance(node, nir.Conv2d) else (0, 0)
        if len(shape) == 3 and all(s + 2 * p >= k for s, p, k in zip(shape[1:], padding, kernel, strict=True)):
            nodes.append(node)
            shape = by_definition(grown, node).shape

    def around() -> None:
        for _ in range(draw(st.integers(0, 2))):
            add(some_scale(draw, rng, shape) if draw(st.booleans()) else some_pool(draw))

    around()
    middle = draw(st.sampled_from(["conv", "conv", "conv", "dense", "nothing"]))
    if middle == "conv":
        node = some_conv(draw, rng, shape)
        reach = [d * (k - 1) for d, k in zip(node.dilation, node.weight.shape[2:], strict=True)]
        pads = [0, 0] if isinstance(node.padding, str) else np.broadcast_to(node.padding, 2).tolist()
        if node.padding == "same" or all(s + 2 * p > r for s, p, r in zip(shape[1:], pads, reach, strict=True)):
            add(node)
        around()
    elif middle == "dense":
        weight = rng.integers(-9, 10, (2, int(np.prod(shape)))).astype(np.float64)
        factors = rng.integers(1, 9, weight.shape[1]) / 8
        nodes += [FLATTEN, nir.Scale(factors), nir.Affine(weight, np.array([3.0, -2.0])), nir.Scale(np.array([0.5, 2]))]
    return first, nodes, random_input(rng, first)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(random_parts())
def test_whatever_folds_is_equal_in_rational_arithmetic(case):
    shape, nodes, x = case
    try:
        (layer,) = folded(shape, *nodes, neuron())
    except UserError as error:
        assert "cannot become one convolution" in str(error), error  # noqa: PT017
    else:
        expected = chain_output(x, *nodes)
        assert layer.output_shape == expected.shape or layer.output_shape == chain_output(x, *nodes[:-1]).shape
        assert_array_equal(layer_output(layer, x).ravel(), expected.ravel())


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(random_parts())
def test_no_fold_is_refused_without_need(case):
    """Where folding is refused, the merged kernel gives another number for an input of ones (all weights positive)."""
    shape, nodes, _ = case
    kernels = [node for node in nodes if not isinstance(node, nir.Scale)]
    assume(len(kernels) == 2)  # a third could drop the very places that differ
    refused = False
    try:
        folded(shape, *nodes, neuron())
    except UserError:
        refused = True
    if refused:
        checked, pool_folding._check = pool_folding._check, lambda *_: None
        try:
            (layer,) = folded(shape, *nodes, neuron())
        finally:
            pool_folding._check = checked
        ones = exact(np.ones(shape))
        # The rule looks at one axis at a time: where the other reads padding alone, nothing reaches the output anyway.
        assume(np.any(chain_output(ones, *nodes) != chain_output(exact(np.zeros(shape)), *nodes)))
        assert np.any(layer_output(layer, ones).ravel() != chain_output(ones, *nodes).ravel())


# Single rules


def test_the_remainder_that_padding_would_read_is_refused_with_the_numbers():
    """q = 2, k = 5, p = 2 on 15 rows: pooled row 7 is padding, but row 14 of the input is not (spec 4.5)."""
    rng = np.random.default_rng(1)
    pooling, convolving = pool(nir.AvgPool2d, (2, 2)), conv(rng, 1, 1, (5, 5), padding=(2, 2))
    with pytest.raises(UserError, match=r"^n0: pool \(2, 2\) and n1 cannot become one") as refusal:
        folded((1, 15, 16), pooling, convolving, neuron())
    assert "the zeros around the inner one's 7 rows would read the input's rows 14 of 15" in str(refusal.value)
    assert "or padding 0 in the second of them" in str(refusal.value)
    folded((1, 15, 16), pooling, conv(rng, 1, 1, (5, 5), padding=(0, 2)), neuron())


def test_overlapping_padded_pools_fold_where_padding_covers_the_overlap():
    """Kernel 3, stride 2, padding 1 before a padded convolution: window -1 lies wholly in zeros; without padding 1
    it would not."""
    rng = np.random.default_rng(3)
    nodes = [pool(nir.SumPool2d, (3, 3), (2, 2), (1, 1)), conv(rng, 2, 3, (3, 3), padding=(1, 1))]
    (layer,) = folded((2, 9, 11), *nodes, neuron())
    assert (layer.weight.shape[2:], layer.stride, layer.padding) == ((7, 7), (2, 2), (3, 3))
    x = random_input(rng, (2, 9, 11))
    assert_array_equal(layer_output(layer, x), chain_output(x, *nodes))
    with pytest.raises(UserError, match="cannot become one convolution"):
        folded((2, 9, 11), pool(nir.SumPool2d, (3, 3), (2, 2)), nodes[1], neuron())


def test_rows_of_zeros_in_a_kernel_read_no_padding():
    """Padding 'same' over an even width writes the dilation out: rows 1, 2, 4 and 5 of 7 are zeros and read nothing."""
    rng = np.random.default_rng(8)
    nodes = [
        pool(nir.AvgPool2d, (3, 1), padding=(1, 0)),
        conv(rng, 1, 2, (3, 2), padding="same", dilation=(3, 1)),
    ]
    (layer,) = folded((1, 6, 5), *nodes, neuron())
    x = random_input(rng, (1, 6, 5))
    assert_array_equal(layer_output(layer, x), chain_output(x, *nodes))
    dense = nir.Conv2d(None, np.ones((1, 1, 7, 3)), 1, (3, 1), 1, 1, np.zeros(1))
    with pytest.raises(UserError, match="cannot become one convolution"):
        folded((1, 6, 5), nodes[0], dense, neuron())


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_same_padding_of_even_kernels_is_torchs():
    """Torch itself, also dilated: the odd zero goes behind."""
    rng = np.random.default_rng(4)
    for kernel, dilation in [((2, 4), (1, 1)), ((3, 2), (1, 3)), ((4, 3), (2, 2)), ((2, 2), (3, 1))]:
        node = conv(rng, 2, 3, kernel, padding="same", dilation=dilation)
        (layer,) = folded((2, 7, 9), node, neuron())
        assert layer.output_shape == (3, 7, 9)
        x = rng.integers(0, 2, (1, 2, 7, 9)).astype(np.float64)
        tensors = torch.tensor(x), torch.tensor(node.weight), torch.tensor(node.bias)
        expected = torch.nn.functional.conv2d(*tensors, padding="same", dilation=dilation).numpy()
        assert_array_equal(layer_output(layer, exact(x[0])), exact(expected[0]))
        assert_array_equal(apply_node(node, DT, x), expected)


def test_a_bias_before_a_padded_pool_differs_from_place_to_place():
    """Sum pool 2 x 2 with padding 1 over 2 x 2: each corner window holds one place, so the bias counts once."""
    node = nir.Conv2d(None, np.ones((1, 1, 1, 1)), 1, 0, 1, 1, np.array([5.0]))
    (layer,) = folded((1, 3, 3), node, pool(nir.SumPool2d, (2, 2), (2, 2), (1, 1)), neuron())
    assert_array_equal(layer.bias, [[[5, 10], [10, 20]]])


def test_scales_go_into_rows_columns_or_channels():
    rng = np.random.default_rng(2)
    linear = nir.Affine(rng.integers(-9, 10, (3, 4)) * 1.0, np.array([1.0, 2.0, 3.0]))
    scales = nir.Scale(np.array([1.0, 2.0, 4.0, 8.0])), nir.Scale(np.array([0.5, 3.0, -1.0]))
    (layer,) = folded((4,), scales[0], linear, scales[1], scales[1], neuron())
    x = random_input(rng, (4,))
    assert_array_equal(layer_output(layer, x), chain_output(x, scales[0], linear, scales[1], scales[1]))
    assert layer.folded == ("n0", "n2", "n3")
    spatial = nir.Scale(rng.integers(1, 9, (2, 5, 6)) * 1.0)
    with pytest.raises(UserError, match=r"n0: its factors differ within a channel.*the input channels of n1"):
        folded((2, 5, 6), spatial, conv(rng, 2, 2, (1, 1)), neuron())
    with pytest.raises(UserError, match=r"n1: its factors differ within a channel.*the rows of n0"):
        folded((2, 5, 6), conv(rng, 2, 2, (1, 1)), spatial, neuron())
    with pytest.raises(
        UserError, match=r"n0: scale has shape .5,., the layer before.*write one value a channel as .5, 1"
    ):
        folded((5, 5, 5), nir.Scale(np.arange(5.0)), conv(rng, 5, 2, (1, 1)), neuron())
    with pytest.raises(UserError, match="n0: its factors hold NaN"):
        folded((2, 5, 6), nir.Scale(np.array(np.nan)), conv(rng, 2, 2, (1, 1)), neuron())


def test_a_neuron_without_weights_gets_an_identity():
    many = (130, 2, 3)
    for shape, nodes, kind, groups in [
        ((4,), [], "dense", 1),
        ((4,), [nir.Scale(np.array([1.0, 2.0, 3.0, 4.0]))], "dense", 1),
        ((3, 4, 5), [], "conv", 3),
        ((3, 4, 5), [nir.Scale(np.array([1.0, 2.0, 3.0]).reshape(3, 1, 1)), FLATTEN], "conv", 3),
        (many, [nir.Scale(np.arange(1.0, 131.0).reshape(130, 1, 1))], "conv", 1),
    ]:
        (layer,) = folded(shape, *nodes, neuron())
        assert (layer.kind, layer.groups) == (kind, groups)
        x = random_input(np.random.default_rng(5), shape)
        assert_array_equal(layer_output(layer, x).ravel(), chain_output(x, *nodes).ravel())


def test_delays_add_up_as_steps_of_inputs_and_outputs():
    rng = np.random.default_rng(6)
    linear = nir.Linear(rng.integers(1, 9, (2, 3)) * 1.0)
    before, behind = nir.Delay(DT * np.array([0.0, 1.0, 4.0])), nir.Delay(DT * np.array([2.0, 0.0]))
    (layer,) = folded((3,), before, nir.Delay(np.array(DT)), linear, behind, neuron())
    assert_array_equal(layer.delay, [[3, 4, 7], [1, 2, 5]])
    (layer,) = folded((3,), nir.Delay(np.full(3, 2 * DT * (1 + 1e-4))), linear, neuron())
    assert_array_equal(layer.delay, [[2]])
    pooled = [nir.Delay(np.array(DT)), pool(nir.SumPool2d, (2, 1)), nir.Delay(DT * np.arange(6.0).reshape(1, 3, 2))]
    (layer,) = folded((1, 7, 2), *pooled, FLATTEN, nir.Linear(np.ones((1, 6))), neuron())
    assert_array_equal(
        layer.delay.reshape(7, 2), 1 + np.array([[0, 1], [0, 1], [2, 3], [2, 3], [4, 5], [4, 5], [0, 0]])
    )


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([nir.Delay(np.array(0.3 * DT)), FLATTEN, nir.Linear(np.ones((3, 96)))], "n0: a delay of 0.075 s is 0.3 steps"),
        ([nir.Delay(np.array(63 * DT)), FLATTEN, nir.Linear(np.ones((3, 96)))], "n0: delays of 63 to 63 steps"),
        ([nir.Delay(np.array(-DT)), FLATTEN, nir.Linear(np.ones((3, 96)))], "n0: delays of -1 to -1 steps"),
        ([nir.Delay(np.array(DT)), nir.SumPool2d(*np.ones((3, 2), int) * [[2], [2], [0]])], "n0: delays the spikes of"),
        ([FLATTEN, nir.Affine(np.ones((3, 96)), np.ones(3)), nir.Delay(np.array(DT))], "n2: delays the bias of n1 too"),
        (
            [nir.SumPool2d(*np.ones((3, 2), int) * [[2], [1], [0]]), nir.Delay(DT * np.arange(70.0).reshape(2, 5, 7)),
             FLATTEN, nir.Linear(np.ones((3, 70)))],
            "n0: its windows overlap, and the inputs of n3 are delayed unequally|n1: delays of 0 to 69 steps",
        ),
        ([FLATTEN, nir.Linear(np.ones((3, 96))), nir.Linear(np.ones((2, 3)))], "n2: follows n1 with no neuron between"),
        ([FLATTEN, nir.Linear(np.full((3, 96), np.nan))], "n1: weight or bias holds NaN"),
    ],
)  # fmt: skip
def test_chains_that_netx_cannot_hold_are_refused_by_name(nodes, words):
    with pytest.raises(UserError, match=words):
        folded((2, 6, 8), *nodes, neuron())


def test_what_stands_behind_the_last_neuron_goes_to_the_host():
    rng = np.random.default_rng(7)
    nodes = [
        nir.AvgPool2d(*np.array([[2, 2], [2, 2], [0, 0]])),
        FLATTEN,
        nir.Affine(rng.normal(size=(3, 24)), np.ones(3)),
    ]
    host = whole((2, 6, 8), neuron(), *nodes, nir.Scale(np.array(0.5))).host
    x = random_input(rng, (2, 6, 8))
    assert_array_equal(layer_output(host, x), chain_output(x, *nodes, nir.Scale(np.array(0.5))))
    host = whole((2, 6, 8), neuron(), nodes[0]).host
    assert_array_equal(layer_output(host, x), chain_output(x, nodes[0]).ravel())
    assert whole((2, 6, 8), neuron(), FLATTEN).host is None
    with pytest.raises(UserError, match="n1: the graph ends in a convolution without a neuron"):
        whole((2, 6, 8), neuron(), conv(rng, 2, 3, (1, 1)))
    with pytest.raises(UserError, match="n1: is delayed behind the last neuron"):
        whole((2, 6, 8), neuron(), nir.Delay(np.array(DT)), nodes[0])


@pytest.mark.parametrize("nodes", [[FLATTEN], [FLATTEN, nir.Linear(np.ones((3, 96)))]])
def test_a_graph_without_neurons_is_refused(nodes):
    with pytest.raises(UserError, match="the graph has no neuron behind its weights"):
        folded((2, 6, 8), *nodes)
