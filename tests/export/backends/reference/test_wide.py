"""The event-driven engine where its runs are long: many channels, wide kernels, against the dense engine."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import integer_states
from reference_cases import ENGINES

from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.network.readout import Readout


def neuron(rng, outputs):
    return {
        "bias": rng.integers(-20, 30, outputs) if rng.random() < 0.5 else None,
        "i_decay": int(rng.choice([4096, 4096, 900])),
        "v_decay": int(rng.choice([0, 0, 1024, 333, 4096])),
        "vth_mant": int(rng.integers(50, 600)),
    }


def wide_network(rng):
    """Two convolutions of up to 40 channels and a dense layer; kernels up to 6 x 7, any stride and groups."""
    shape = (int(rng.integers(1, 5)), int(rng.integers(9, 14)), int(rng.integers(9, 14)))
    layers, first = [], shape
    for index in range(2):
        groups = int(rng.choice([1, 1, shape[0]]))
        outputs = groups * int(rng.integers(1, max(2, 41 // groups)))
        kernel = (int(rng.integers(1, 7)), int(rng.integers(1, 8)))
        layers.append(
            IntegerLayer(
                name=f"conv{index}", kind="conv", input_shape=shape, groups=groups,
                weight=2 * rng.integers(-60, 64, (outputs, shape[0] // groups, *kernel)),
                stride=tuple(int(value) for value in rng.integers(1, 4, 2)),
                padding=tuple(int(value) for value in rng.integers(2, 5, 2)),
                dilation=(1, 1) if rng.random() < 0.7 or max(kernel) > 3 else (2, 2), **neuron(rng, outputs),
            )
        )  # fmt: skip
        shape = layers[-1].output_shape
    weight = 2 * rng.integers(-60, 64, (int(rng.integers(1, 50)), int(np.prod(shape))))
    layers.append(IntegerLayer(name="fc", kind="dense", weight=weight, input_shape=shape, **neuron(rng, len(weight))))
    return IntegerNetwork(input_shape=first, layers=tuple(layers))


def assert_same(network, frames):
    ours, theirs = (simulate(network, frames, keep_layers=True, engine=engine) for engine in ("events", "dense"))
    for one, other in zip(ours.layer_spikes, theirs.layer_spikes, strict=True):
        np.testing.assert_array_equal(one, other)
    for key, counted in vars(ours.counts).items():
        np.testing.assert_array_equal(counted, getattr(theirs.counts, key), err_msg=key)
    return ours


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_many_channels(seed):
    rng = np.random.default_rng(seed)
    network = wide_network(rng)
    assert_same(network, (rng.random((2, 4, *network.input_shape)) < rng.choice([0.02, 0.2, 0.9])).astype(np.uint8))


def test_a_kernel_longer_than_a_run_may_be():
    """A run keeps one bit an output, so that 70 outputs side by side are three runs."""
    rng = np.random.default_rng(1)
    layer = IntegerLayer(
        name="conv", kind="conv", weight=2 * rng.integers(-60, 60, (3, 2, 2, 70)), bias=None, i_decay=4096, v_decay=10,
        vth_mant=90, input_shape=(2, 3, 150), padding=(0, 20),
    )  # fmt: skip
    network = IntegerNetwork(input_shape=(2, 3, 150), layers=(layer,))
    assert assert_same(network, (rng.random((2, 6, 2, 3, 150)) < 0.1).astype(np.uint8)).spikes.any()


@pytest.mark.parametrize("inputs", [20_000, 40_001])
def test_wide_inputs(inputs):
    rng = np.random.default_rng(2)
    weight = 2 * rng.integers(-60, 60, (5, inputs))
    layer = IntegerLayer(
        name="fc", kind="dense", weight=weight, bias=None, i_decay=4096, v_decay=10, vth_mant=900, input_shape=(inputs,)
    )
    network = IntegerNetwork(input_shape=(inputs,), layers=(layer,))
    assert assert_same(network, (rng.random((2, 6, inputs)) < 0.05).astype(np.uint8)).spikes.any()


@pytest.mark.parametrize("sign", [1, -1])
def test_a_current_that_no_turn_brings_back_stays_exact(sign):
    """2,540,000 enter each step: the current settles near 1.5e9, not far from what int32 holds."""
    weight = np.full((2, 10_000), 254 * sign)
    weight[:, 0] = [-2 * sign, 120 * sign]
    layer = IntegerLayer(
        name="fc",
        kind="dense",
        weight=weight,
        bias=None,
        i_decay=400,
        v_decay=4,
        vth_mant=131071,
        input_shape=(10_000,),
    )
    network = IntegerNetwork(input_shape=(10_000,), layers=(layer,), readout=Readout(kind="membrane"))
    frames = np.ones((1, 200, 10_000), np.uint8)
    frames[0, 60:] = 0
    expected_spikes, expected_voltages = integer_states(network, frames[0])[0]
    for engine in ENGINES:
        with warnings.catch_warnings(action="ignore"):
            trace = simulate(network, frames, engine=engine)
        np.testing.assert_array_equal(trace.spikes[0], expected_spikes)
        np.testing.assert_array_equal(trace.membrane[0], expected_voltages)
    assert len(np.unique(expected_voltages)) > 10  # it came back within its range, and the voltage followed
