"""The batched reference equals Loihi's equations written out step by step."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import integer_loop, random_frames, random_network

from export.fixed_point import decay
from export.integer_network import IntegerLayer, IntegerNetwork
from export.reference import simulate


def dense(weight, **given):
    options = {
        "bias": None,
        "i_decay": 4096,
        "v_decay": 0,
        "vth_mant": 1,
        "name": "fc",
        "kind": "dense",
    } | given
    weight = np.array(weight)
    layer = IntegerLayer(weight=weight, input_shape=(weight.shape[1],), **options)
    return IntegerNetwork(input_shape=layer.input_shape, layers=(layer,))


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_layer_fires_as_the_equations_say(seed):
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    frames = random_frames(rng, network)
    trace = simulate(network, frames, keep_layers=True, chunk=2)
    for sample in range(len(frames)):
        for expected, got in zip(integer_loop(network, frames[sample]), trace.layer_spikes, strict=True):
            np.testing.assert_array_equal(got[sample], expected)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_sample_does_not_depend_on_its_batch(seed):
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    frames = random_frames(rng, network)
    together = simulate(network, frames)
    order = rng.permutation(len(frames))
    shuffled = simulate(network, frames[order], chunk=1)
    np.testing.assert_array_equal(shuffled.spikes, together.spikes[order])
    for key, counted in vars(together.counts).items():
        np.testing.assert_array_equal(getattr(shuffled.counts, key), counted[order], err_msg=key)


def test_a_voltage_at_the_threshold_does_not_fire():
    at_threshold = simulate(dense([[10]], vth_mant=10), np.ones((1, 1, 1)))
    above = simulate(dense([[10]], vth_mant=9), np.ones((1, 1, 1)))
    assert (at_threshold.spikes.sum(), above.spikes.sum()) == (0, 1)


def test_decay_truncates_toward_zero():
    np.testing.assert_array_equal(decay(np.array([-1, 1, -4097, 4097]), 1), [0, 0, -4095, 4095])


@pytest.mark.parametrize("sign", [1, -1])
def test_the_current_wraps_and_the_voltage_saturates_at_24_bits(sign):
    weight = np.full((1, 40), 2 * sign * 127)
    weight[0, 0] = -2 * sign
    network = dense(weight, i_decay=0, v_decay=0, vth_mant=131071)
    frames = np.ones((1, 60, 40), dtype=np.uint8)
    # 254 * 39 * 64 a step passes 2^23 after 14 steps, so that currents wrap to the other sign
    np.testing.assert_array_equal(simulate(network, frames).spikes[0], integer_loop(network, frames[0])[-1])
    assert integer_loop(network, frames[0])[-1].any()


def test_a_layer_whose_sums_pass_float32_stays_exact():
    """More than 2^24 in one sum: float32 would round, the reference must not."""
    inputs = 70_000
    weight = np.full((2, inputs), 254)
    weight[0, :2] = -2
    weight[1, 0] = 252
    network = dense(weight, vth_mant=131071)
    frames = np.ones((1, 3, inputs), dtype=np.uint8)
    np.testing.assert_array_equal(simulate(network, frames).spikes[0], integer_loop(network, frames[0])[-1])


def test_counts_of_a_network_worked_out_by_hand():
    """Oracle O1 of the energy account: 3 -> 2 -> 1, four steps."""
    first = IntegerLayer(
        name="a", kind="dense", weight=np.array([[-2, -2, 2], [4, 4, 2]]), bias=None, i_decay=4096, v_decay=4096,
        vth_mant=1, input_shape=(3,),
    )  # fmt: skip
    second = IntegerLayer(
        name="b", kind="dense", weight=np.array([[2, 2]]), bias=None, i_decay=4096, v_decay=4096, vth_mant=3,
        input_shape=(2,),
    )  # fmt: skip
    network = IntegerNetwork(input_shape=(3,), layers=(first, second))
    frames = np.array([[[1, 0, 1], [0, 0, 0], [0, 0, 1], [0, 1, 0]]], dtype=np.uint8)
    trace = simulate(network, frames, keep_layers=True)
    np.testing.assert_array_equal(trace.layer_spikes[0][0], [[0, 1], [0, 0], [1, 1], [0, 1]])
    np.testing.assert_array_equal(trace.spikes[0, :, 0], [0, 0, 1, 0])
    counts = trace.counts
    assert counts.events_in.tolist() == [[4, 4]]
    assert counts.synops.tolist() == [[8, 4]]
    assert counts.effective_synops.tolist() == [[8, 4]]
    assert counts.spikes_out.tolist() == [[4, 1]]
    assert counts.updates_active.tolist() == [[6, 3]]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_counts_equal_counting_every_synapse(seed):
    """Synapses and reached neurons counted by pushing single events through a layer of ones."""
    rng = np.random.default_rng(seed)
    network = random_network(rng, deepest=2)
    frames = random_frames(rng, network)[:1]
    trace = simulate(network, frames, keep_layers=True)
    inputs = [frames[0], *(spikes[0] for spikes in trace.layer_spikes)]
    for index, layer in enumerate(network.layers):
        matrix = connections(layer)
        events = inputs[index].reshape(len(inputs[index]), -1).astype(np.int64)
        assert trace.counts.synops[0, index] == (events @ matrix.any_synapse).sum()
        assert trace.counts.effective_synops[0, index] == (events @ matrix.nonzero).sum()
        bias = np.zeros(layer.output_shape[0]) if layer.bias is None else layer.bias
        biased = np.broadcast_to((bias != 0).reshape(-1, *[1] * (len(layer.output_shape) - 1)), layer.output_shape)
        fired = inputs[index + 1].reshape(len(events), -1).astype(bool)
        active = (events @ matrix.any_synapse > 0) | biased.reshape(1, -1) | fired
        assert trace.counts.updates_active[0, index] == active.sum()
        assert trace.counts.events_in[0, index] == events.sum()
        assert trace.counts.spikes_out[0, index] == fired.sum()


class connections:  # noqa: N801
    """Input-to-neuron connection matrices `[inputs, neurons]`, built tap by tap."""

    def __init__(self, layer):
        shape = (*layer.input_shape, *layer.output_shape)
        self.any_synapse = np.zeros(shape, dtype=np.int64)
        self.nonzero = np.zeros(shape, dtype=np.int64)
        if layer.kind == "dense":
            weight = layer.weight.T.reshape(shape)
            self.any_synapse += 1
            self.nonzero += weight != 0
        else:
            per_group, inputs = layer.weight.shape[0] // layer.groups, layer.weight.shape[1]
            for o, y, x in np.ndindex(*layer.output_shape):
                for i, ky, kx in np.ndindex(*layer.weight.shape[1:]):
                    at = [
                        place * layer.stride[a] + tap * layer.dilation[a] - layer.padding[a]
                        for a, (place, tap) in enumerate([(y, ky), (x, kx)])
                    ]
                    if all(0 <= at[a] < layer.input_shape[1 + a] for a in (0, 1)):
                        source = (o // per_group * inputs + i, *at)
                        self.any_synapse[(*source, o, y, x)] += 1
                        self.nonzero[(*source, o, y, x)] += layer.weight[o, i, ky, kx] != 0
        size = int(np.prod(layer.input_shape))
        self.any_synapse = self.any_synapse.reshape(size, -1)
        self.nonzero = self.nonzero.reshape(size, -1)
