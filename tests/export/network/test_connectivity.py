"""Fan-out against maps worked out by hand, a published structure, and brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeport.export.network.connectivity import (
    dense_ops,
    effective_fan_out_map,
    fan_out_map,
    naive_macs,
    synapse_weights,
)
from spikeport.export.network.integer_network import IntegerLayer


def conv(weight: np.ndarray, input_shape: tuple[int, ...], **geometry: object) -> IntegerLayer:
    return IntegerLayer(
        name="conv",
        kind="conv",
        weight=weight,
        bias=None,
        i_decay=4096,
        v_decay=128,
        vth_mant=10,
        input_shape=input_shape,
        **geometry,  # type: ignore[arg-type]
    )


def dense(weight: np.ndarray, input_shape: tuple[int, ...]) -> IntegerLayer:
    return IntegerLayer(
        name="dense",
        kind="dense",
        weight=weight,
        bias=None,
        i_decay=4096,
        v_decay=128,
        vth_mant=10,
        input_shape=input_shape,
    )


def ones(*shape: int) -> np.ndarray:
    return np.full(shape, 2)


def brute_force(layer: IntegerLayer, skip_zeros: bool) -> np.ndarray:
    """Walks over every output and every tap, straight from the definition of a convolution."""
    fed = np.zeros(layer.input_shape, dtype=np.int64)
    outputs, per_group, kernel_h, kernel_w = layer.weight.shape
    for o, y, x in np.ndindex(*layer.output_shape):
        for c, j, k in itertools.product(range(per_group), range(kernel_h), range(kernel_w)):
            row = y * layer.stride[0] - layer.padding[0] + j * layer.dilation[0]
            column = x * layer.stride[1] - layer.padding[1] + k * layer.dilation[1]
            inside = 0 <= row < layer.input_shape[1] and 0 <= column < layer.input_shape[2]
            if inside and not (skip_zeros and layer.weight[o, c, j, k] == 0):
                fed[o // (outputs // layer.groups) * per_group + c, row, column] += 1
    return fed


def test_padded_edges_feed_fewer() -> None:
    """A 3x3 kernel over 4x4 with padding: corners feed 2*4, edges 2*6, the center 2*9 synapses."""
    layer = conv(ones(2, 1, 3, 3), (1, 4, 4), padding=(1, 1))
    expected = 2 * np.array([[4, 6, 6, 4], [6, 9, 9, 6], [6, 9, 9, 6], [4, 6, 6, 4]])
    assert np.array_equal(fan_out_map(layer), expected[None])
    assert dense_ops(layer) == 200
    assert naive_macs(layer) == 288
    assert fan_out_map(layer).mean() == 12.5


def test_stride_with_padding() -> None:
    layer = conv(ones(1, 1, 3, 3), (1, 4, 4), stride=(2, 2), padding=(1, 1))
    expected = [[1, 2, 1, 1], [2, 4, 2, 2], [1, 2, 1, 1], [1, 2, 1, 1]]
    assert np.array_equal(fan_out_map(layer)[0], expected)
    assert (dense_ops(layer), naive_macs(layer)) == (25, 36)


def test_stride_without_padding() -> None:
    layer = conv(ones(1, 1, 3, 3), (1, 5, 5), stride=(2, 2))
    assert np.array_equal(fan_out_map(layer)[0], np.outer([1, 1, 2, 1, 1], [1, 1, 2, 1, 1]))
    assert dense_ops(layer) == 36


def test_trailing_rows_that_no_window_reaches_feed_nothing() -> None:
    layer = conv(ones(1, 1, 3, 3), (1, 6, 6), stride=(2, 2))
    fed = fan_out_map(layer)[0]
    assert not fed[5].any()
    assert not fed[:, 5].any()
    assert fed.sum() == 36


def test_groups_divide_the_fan_out() -> None:
    layer = conv(ones(8, 1, 3, 3), (4, 3, 3), groups=4)
    assert np.array_equal(fan_out_map(layer), np.full((4, 3, 3), 2))
    assert dense_ops(layer) == 72


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "ratio"),
    [
        (4, 3, 1, 1, 0.694),
        (32, 3, 1, 1, 0.959),
        (34, 5, 1, 2, 0.931),
        (128, 5, 2, 2, 0.981),
        (9, 3, 1, 0, 1.0),
    ],
)
def test_how_far_the_naive_count_is_off(size: int, kernel: int, stride: int, padding: int, ratio: float) -> None:
    layer = conv(ones(1, 1, kernel, kernel), (1, size, size), stride=(stride, stride), padding=(padding, padding))
    assert dense_ops(layer) / naive_macs(layer) == pytest.approx(ratio, abs=5e-4)  # ratios given to 3 digits


def test_dense_layers_skip_zero_weights_only_when_asked() -> None:
    """NeuroBench's documented matrix, signs and zeros kept: inputs 2 and 3 give 4, with zeros 6, dense 9."""
    layer = dense(np.array([[2, 0, -6], [0, 2, -10], [-2, 6, 0]]), (3,))
    fired = np.array([0, 1, 1])
    assert fired @ effective_fan_out_map(layer) == 4
    assert fired @ fan_out_map(layer) == 6
    assert dense_ops(layer) == naive_macs(layer) == 9


def test_dense_after_a_convolution_keeps_the_input_shape() -> None:
    weight = 2 * np.arange(4 * 2 * 3 * 5).reshape(4, -1)  # one zero, at output 0, input (0, 0, 0)
    weight %= 250
    layer = dense(weight, (2, 3, 5))
    assert np.array_equal(effective_fan_out_map(layer), (weight.reshape(4, 2, 3, 5) != 0).sum(axis=0))
    assert np.array_equal(fan_out_map(layer), np.full((2, 3, 5), 4))


def test_structure_of_pilotnet() -> None:
    """The published Loihi 2 PilotNet has 14,144,550 synapses per dense step; naive conv4 is 2,433,024."""
    layers = [
        conv(ones(24, 3, 3, 3), (3, 66, 200), stride=(2, 2)),
        conv(ones(36, 24, 3, 3), (24, 32, 99), stride=(2, 2)),
        conv(ones(48, 36, 3, 3), (36, 15, 49), stride=(2, 2)),
        conv(ones(64, 48, 3, 3), (48, 7, 24), stride=(2, 1), padding=(1, 0)),
        conv(ones(64, 64, 3, 3), (64, 4, 22)),
        dense(ones(100, 64 * 2 * 20), (64, 2, 20)),
        dense(ones(50, 100), (100,)),
        dense(ones(10, 50), (50,)),
        dense(ones(1, 10), (10,)),
    ]
    for before, after in itertools.pairwise(layers):
        assert before.output_shape == after.input_shape
    assert 3 * 66 * 200 + sum(layer.neurons for layer in layers) == 158_509
    assert sum(dense_ops(layer) for layer in layers) == 14_144_550
    assert (dense_ops(layers[3]), naive_macs(layers[3])) == (2_027_520, 2_433_024)


@st.composite
def convolutions(draw: st.DrawFn) -> IntegerLayer:
    groups = draw(st.integers(1, 3))
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride, dilation = (draw(st.tuples(st.integers(1, 3), st.integers(1, 3))) for _ in range(2))
    padding = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    least = [max(1, dilation[axis] * (kernel[axis] - 1) + 1 - 2 * padding[axis]) for axis in (0, 1)]
    size = tuple(side + draw(st.integers(0, 5)) for side in least)
    channels_in, channels_out = (groups * draw(st.integers(1, 2)) for _ in range(2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    weight = 2 * rng.integers(-1, 2, (channels_out, channels_in // groups, *kernel))
    weight[0, 0, 0, 0] = 2  # a layer of zeros alone is refused
    return conv(weight, (channels_in, *size), stride=stride, padding=padding, dilation=dilation, groups=groups)


@given(convolutions())
@settings(max_examples=150, deadline=None)
def test_equals_brute_force(layer: IntegerLayer) -> None:
    assert np.array_equal(fan_out_map(layer), brute_force(layer, skip_zeros=False))
    assert np.array_equal(effective_fan_out_map(layer), brute_force(layer, skip_zeros=True))
    assert dense_ops(layer) <= naive_macs(layer)


def test_recurrent_synapses_are_operations_and_weights() -> None:
    layer = IntegerLayer(
        name="fc", kind="dense", weight=ones(3, 5), bias=None, i_decay=4096, v_decay=0, vth_mant=1, input_shape=(5,),
        weight_rec=np.array([[2, 0, 0], [0, 0, 4], [6, 8, 2]]),
    )  # fmt: skip
    assert dense_ops(layer) == naive_macs(layer) == synapse_weights(layer) == 15 + 9
    assert np.array_equal(fan_out_map(layer), np.full(5, 3))


def test_an_input_layer_has_no_synapses() -> None:
    layer = IntegerLayer(
        name="in", kind="input", weight=np.array([64]), bias=None, i_decay=4096, v_decay=0, vth_mant=1,
        input_shape=(2, 3, 4),
    )  # fmt: skip
    assert dense_ops(layer) == naive_macs(layer) == synapse_weights(layer) == 0
    for counted in (fan_out_map(layer), effective_fan_out_map(layer)):
        assert counted.shape == (2, 3, 4)
        assert not counted.any()
