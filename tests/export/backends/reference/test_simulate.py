"""The batched reference equals Loihi's equations written out step by step."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from random_networks import integer_loop, integer_states, random_frames, random_network
from reference_cases import ENGINES, runs

from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.network.fixed_point import decay
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork

pytestmark = pytest.mark.filterwarnings("ignore:.*a membrane read-out is meant for a layer that never fires")


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


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=120, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_layer_fires_as_the_equations_say(engine, seed):
    """Recurrence, delays, vectors, counts, input layers and membranes included."""
    rng = np.random.default_rng(seed)
    network = random_network(rng, rich=True)
    frames = random_frames(rng, network)
    assume(runs(network, frames, engine))
    trace = simulate(network, frames, keep_layers=True, engine=engine)
    for sample in range(len(frames)):
        states = integer_states(network, frames[sample])
        for (expected, _), got in zip(states, trace.layer_spikes, strict=True):
            np.testing.assert_array_equal(got[sample], expected)
        if trace.membrane is not None:
            np.testing.assert_array_equal(trace.membrane[sample], states[-1][1].reshape(len(frames[sample]), -1))
    assert (trace.membrane is None) == (network.readout.kind != "membrane")
    np.testing.assert_array_equal(trace.spikes, trace.layer_spikes[-1].reshape(trace.spikes.shape))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_both_engines_count_the_same(seed):
    rng = np.random.default_rng(seed)
    network = random_network(rng, rich=True)
    frames = random_frames(rng, network)
    assume(runs(network, frames, "events"))
    events, dense = (simulate(network, frames, engine=engine).counts for engine in ENGINES)
    for key, counted in vars(events).items():
        np.testing.assert_array_equal(counted, getattr(dense, key), err_msg=key)


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_sample_does_not_depend_on_its_batch(engine, seed):
    rng = np.random.default_rng(seed)
    network = random_network(rng, rich=True)
    frames = random_frames(rng, network)
    assume(runs(network, frames, engine))
    together = simulate(network, frames, engine=engine)
    order = rng.permutation(len(frames))
    shuffled = [simulate(network, frames[n : n + 1], engine=engine) for n in order]
    np.testing.assert_array_equal(np.concatenate([one.spikes for one in shuffled]), together.spikes[order])
    for key, counted in vars(together.counts).items():
        alone = np.concatenate([getattr(one.counts, key) for one in shuffled])
        np.testing.assert_array_equal(alone, counted[order], err_msg=key)


def test_a_voltage_at_the_threshold_does_not_fire():
    at_threshold = simulate(dense([[10]], vth_mant=10), np.ones((1, 1, 1)))
    above = simulate(dense([[10]], vth_mant=9), np.ones((1, 1, 1)))
    assert (at_threshold.spikes.sum(), above.spikes.sum()) == (0, 1)


def test_decay_truncates_toward_zero():
    np.testing.assert_array_equal(decay(np.array([-1, 1, -4097, 4097]), 1), [0, 0, -4095, 4095])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("sign", [1, -1])
def test_the_current_wraps_and_the_voltage_saturates_at_24_bits(sign, engine):
    weight = np.full((1, 40), 2 * sign * 127)
    weight[0, 0] = -2 * sign
    network = dense(weight, i_decay=0, v_decay=0, vth_mant=131071)
    frames = np.ones((1, 60, 40), dtype=np.uint8)
    # 254 * 39 * 64 a step passes 2^23 after 14 steps, so that currents wrap to the other sign
    got = simulate(network, frames, engine=engine).spikes[0]
    np.testing.assert_array_equal(got, integer_loop(network, frames[0])[-1])
    assert got.any()


@pytest.mark.parametrize("engine", ["auto", "dense"])
def test_a_layer_whose_sums_pass_float32_stays_exact(engine):
    """More than 2^24 in one sum: float32 would round, the reference must not."""
    inputs = 70_000
    weight = np.full((2, inputs), 254)
    weight[0, :2] = -2
    weight[1, 0] = 252
    network = dense(weight, vth_mant=131071)
    frames = np.ones((1, 3, inputs), dtype=np.uint8)
    got = simulate(network, frames, engine=engine).spikes[0]
    np.testing.assert_array_equal(got, integer_loop(network, frames[0])[-1])


def test_the_work_around_a_chain_grows_with_its_length(monkeypatch):
    """Counted, not timed: how often a layer is asked for its size by chains of 30 and of 60 layers."""
    asked = 0
    size = IntegerLayer.neurons.fget

    def counted(layer):
        nonlocal asked
        asked += 1
        return size(layer)

    monkeypatch.setattr(IntegerLayer, "neurons", property(counted))
    found = []
    for length in (30, 60):
        layers = tuple(dense(np.array([[2, 4, -2]] * 3), name=f"fc{n}").layers[0] for n in range(length))
        network = IntegerNetwork(input_shape=(3,), layers=layers)
        asked = 0
        simulate(network, np.ones((2, 4, 3), np.uint8), keep_layers=True)
        found.append(asked)
    assert found[1] < 2.5 * found[0]
