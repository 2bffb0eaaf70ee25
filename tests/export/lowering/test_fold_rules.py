"""Single rules of folding, with numbers worked out by hand."""

from __future__ import annotations

import nir
import numpy as np
import pytest
import torch
from fold_chains import (
    DT,
    FLATTEN,
    chain_output,
    conv,
    exact,
    folded,
    layer_output,
    neuron,
    pool,
    random_input,
    whole,
)
from nir_oracle import apply_node
from numpy.testing import assert_array_equal

from spikeport.errors import UserError


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
