"""The counts of the reference: worked out by hand, and synapse by synapse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import random_network
from reference_cases import ENGINES, legal_frames, runs

from export.integer_network import IntegerLayer, IntegerNetwork
from export.reference import simulate

pytestmark = pytest.mark.filterwarnings("ignore:.*a membrane read-out is meant for a layer that never fires")


@pytest.mark.parametrize("engine", ENGINES)
def test_counts_of_a_network_worked_out_by_hand(engine):
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
    trace = simulate(network, frames, keep_layers=True, engine=engine)
    np.testing.assert_array_equal(trace.layer_spikes[0][0], [[0, 1], [0, 0], [1, 1], [0, 1]])
    np.testing.assert_array_equal(trace.spikes[0, :, 0], [0, 0, 1, 0])
    counts = trace.counts
    assert counts.events_in.tolist() == [[4, 4]]
    assert counts.synops.tolist() == [[8, 4]]
    assert counts.effective_synops.tolist() == [[8, 4]]
    assert counts.spikes_out.tolist() == [[4, 1]]
    assert counts.updates_active.tolist() == [[6, 3]]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_delayed_event_is_counted_when_it_is_sent_and_wakes_a_neuron_when_it_arrives(engine):
    """Two inputs to two neurons, delays 0 and 2: the event of the last step is counted and arrives nowhere."""
    layer = IntegerLayer(
        name="fc", kind="dense", weight=np.array([[2, 4], [6, 0]]), bias=None, i_decay=4096, v_decay=0, vth_mant=99,
        input_shape=(2,), delay=np.array([[0], [2]]),
    )  # fmt: skip
    network = IntegerNetwork(input_shape=(2,), layers=(layer,))
    counts = simulate(network, np.array([[[1, 0], [0, 0], [0, 0], [0, 1]]]), engine=engine).counts
    assert (counts.events_in.item(), counts.synops.item(), counts.effective_synops.item()) == (2, 4, 3)
    assert counts.updates_active.item() == 3  # neuron 0 at steps 0 and 3, neuron 1 at step 2


@pytest.mark.parametrize("engine", ENGINES)
def test_own_spikes_are_counted_a_step_later(engine):
    """One neuron fires at every step of three; its last spike reaches nobody."""
    layer = IntegerLayer(
        name="fc", kind="dense", weight=np.array([[4]]), bias=None, i_decay=4096, v_decay=0, vth_mant=1,
        input_shape=(1,), weight_rec=np.array([[2]]),
    )  # fmt: skip
    network = IntegerNetwork(input_shape=(1,), layers=(layer,))
    counts = simulate(network, np.ones((1, 3, 1), np.uint8), engine=engine).counts
    assert (counts.spikes_out.item(), counts.events_in.item(), counts.synops.item()) == (3, 5, 5)


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_counts_equal_counting_every_synapse(engine, seed):
    rng = np.random.default_rng(seed)
    network = random_network(rng, deepest=2, rich=True)
    frames = legal_frames(rng, network)[:1]
    if not runs(network, frames, engine):
        return
    trace = simulate(network, frames, keep_layers=True, engine=engine)
    inputs = [frames[0], *(spikes[0] for spikes in trace.layer_spikes)]
    for index, layer in enumerate(network.layers):
        received = inputs[index].reshape(len(frames[0]), -1).astype(np.int64)
        fired = inputs[index + 1].reshape(len(frames[0]), -1).astype(bool)
        for key, expected in counted(layer, received, fired).items():
            assert getattr(trace.counts, key)[0, index] == expected, (key, index)


def counted(layer, received, fired):
    """The counts of one layer and sample, `received` `[T, inputs]` (values) and `fired` `[T, neurons]`."""
    events, own = received != 0, np.pad(fired, ((1, 0), (0, 0)))[:-1]
    biased = np.broadcast_to((layer.bias_map != 0).reshape(1, -1), fired.shape)
    counts = {"events_in": events.sum() + (own.sum() if layer.weight_rec is not None else 0), "spikes_out": fired.sum()}
    if layer.kind == "input":
        drive = received * int(layer.weight[0]) + layer.bias_map.reshape(1, -1)
        return counts | {"synops": 0, "effective_synops": 0, "updates_active": ((drive != 0) | fired).sum()}
    matrix = connections(layer)
    counts["synops"] = (events @ matrix.any_synapse).sum()
    counts["effective_synops"] = (events @ matrix.nonzero).sum()
    touched = arrivals(events, matrix.any_synapse > 0, layer)
    if layer.weight_rec is not None:
        counts["synops"] += own.sum() * layer.neurons
        counts["effective_synops"] += (own @ (layer.weight_rec.T != 0).astype(np.int64)).sum()
        touched |= arrivals(own, np.ones((layer.neurons, layer.neurons), dtype=bool), layer)
    return counts | {"updates_active": (touched | biased | fired).sum()}


def arrivals(events, connected, layer):
    """Whether an event arrives at each neuron in each step; `connected` is `[inputs, neurons]`."""
    delays = np.broadcast_to(0 if layer.delay is None else layer.delay.T, connected.shape)
    touched = np.zeros((len(events), connected.shape[1]), dtype=bool)
    for t, j in zip(*np.nonzero(events), strict=True):
        for i in np.flatnonzero(connected[j]):
            if t + delays[j, i] < len(events):
                touched[t + delays[j, i], i] = True
    return touched


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
