"""The counts of the reference: worked out by hand, and synapse by synapse."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from random_networks import all_states, random_frames, random_network
from reference_cases import ENGINES, runs

from spikeport.export.backends.reference.simulate import iter_simulate, simulate
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.network.spike_trace import joined, load_trace

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
    trace = simulate(network, frames, keep_layers=True, per_step=True, engine=engine)
    np.testing.assert_array_equal(trace.layer_spikes[0][0], [[0, 1], [0, 0], [1, 1], [0, 1]])
    np.testing.assert_array_equal(trace.spikes[0, :, 0], [0, 0, 1, 0])
    counts = trace.counts
    assert counts.events_in.tolist() == [[4, 4]]
    assert counts.synops.tolist() == [[8, 4]]
    assert counts.effective_synops.tolist() == [[8, 4]]
    assert counts.spikes_out.tolist() == [[4, 1]]
    assert counts.updates_active.tolist() == [[6, 3]]
    steps = trace.step_counts
    assert steps.events_in.tolist() == [[[2, 1], [0, 0], [1, 2], [1, 1]]]
    assert steps.synops.tolist() == [[[4, 1], [0, 0], [2, 2], [2, 1]]]
    assert steps.effective_synops.tolist() == [[[4, 1], [0, 0], [2, 2], [2, 1]]]
    assert steps.spikes_out.tolist() == [[[1, 0], [0, 0], [2, 1], [1, 0]]]
    assert steps.updates_active.tolist() == [[[2, 1], [0, 0], [2, 1], [2, 1]]]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_delayed_event_is_counted_when_it_is_sent_and_wakes_a_neuron_when_it_arrives(engine):
    """Two inputs to two neurons, delays 0 and 2: the event of the last step is counted and arrives nowhere."""
    layer = IntegerLayer(
        name="fc", kind="dense", weight=np.array([[2, 4], [6, 0]]), bias=None, i_decay=4096, v_decay=0, vth_mant=99,
        input_shape=(2,), delay=np.array([[0], [2]]),
    )  # fmt: skip
    network = IntegerNetwork(input_shape=(2,), layers=(layer,))
    trace = simulate(network, np.array([[[1, 0], [0, 0], [0, 0], [0, 1]]]), per_step=True, engine=engine)
    counts, steps = trace.counts, trace.step_counts
    assert (counts.events_in.item(), counts.synops.item(), counts.effective_synops.item()) == (2, 4, 3)
    assert counts.updates_active.item() == 3  # neuron 0 at steps 0 and 3, neuron 1 at step 2
    assert steps.synops[0, :, 0].tolist() == [2, 0, 0, 2]
    assert steps.effective_synops[0, :, 0].tolist() == [2, 0, 0, 1]
    assert steps.updates_active[0, :, 0].tolist() == [1, 0, 1, 1]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("v_decay", "nonzero"),
    [
        (0, [1, 2, 2, 2, 2, 1]),  # a voltage stays until a spike: that of neuron 1 at step 4
        (4096, [1, 2, 1, 0, 1, 1]),  # until the next step
        (3840, [1, 2, 2, 1, 1, 1]),  # a 16th stays, truncated: 128, 8, 0 and 192, 12, 0, so neuron 1 does not fire
    ],
)
def test_updates_off_rest_worked_out_by_hand(engine, v_decay, nonzero):
    """Two neurons with one input each: an event of 2 at step 0 for neuron 0, of 3 at steps 1 and 4 for neuron 1."""
    layer = IntegerLayer(
        name="conv", kind="conv", weight=np.array([[[[2]]], [[[3]]]]), bias=None, i_decay=4096, v_decay=v_decay,
        vth_mant=4, input_shape=(2, 1, 1), groups=2,
    )  # fmt: skip
    network = IntegerNetwork(input_shape=(2, 1, 1), layers=(layer,))
    events = np.array([[1, 0], [0, 1], [0, 0], [0, 0], [0, 1], [0, 0]], np.uint8).reshape(1, 6, 2, 1, 1)
    trace = simulate(network, events, per_step=True, engine=engine)
    assert trace.step_counts.updates_active[0, :, 0].tolist() == [1, 1, 0, 0, 1, 0]
    assert trace.step_counts.updates_nonzero[0, :, 0].tolist() == nonzero
    assert trace.counts.updates_nonzero.item() == sum(nonzero)


@pytest.mark.parametrize("engine", ENGINES)
def test_own_spikes_are_counted_a_step_later(engine):
    """One neuron fires at every step of three; its last spike reaches nobody."""
    layer = IntegerLayer(
        name="fc", kind="dense", weight=np.array([[4]]), bias=None, i_decay=4096, v_decay=0, vth_mant=1,
        input_shape=(1,), weight_rec=np.array([[2]]),
    )  # fmt: skip
    network = IntegerNetwork(input_shape=(1,), layers=(layer,))
    trace = simulate(network, np.ones((1, 3, 1), np.uint8), per_step=True, engine=engine)
    assert trace.step_counts.events_in[0, :, 0].tolist() == [1, 2, 2]
    counts = trace.counts
    assert (counts.spikes_out.item(), counts.events_in.item(), counts.synops.item()) == (3, 5, 5)


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_counts_equal_counting_every_synapse(engine, seed):
    rng = np.random.default_rng(seed)
    network = random_network(rng, deepest=2, rich=True)
    frames = random_frames(rng, network)[:1]
    assume(runs(network, frames, engine))
    plain = simulate(network, frames, engine=engine)
    assert plain.step_counts is None
    trace = simulate(network, frames, keep_layers=True, per_step=True, engine=engine)
    inputs = [frames[0], *(spikes[0] for spikes in trace.layer_spikes)]
    states = all_states(network, frames[0])
    for index, layer in enumerate(network.layers):
        received = inputs[index].reshape(len(frames[0]), -1).astype(np.int64)
        fired = inputs[index + 1].reshape(len(frames[0]), -1).astype(bool)
        for key, expected in counted(layer, received, fired, off_rest(states[index])).items():
            assert getattr(trace.step_counts, key)[0, :, index].tolist() == expected.tolist(), (key, index)
            assert getattr(trace.counts, key)[0, index] == expected.sum(), (key, index)
            assert getattr(plain.counts, key)[0, index] == expected.sum(), (key, index)


def conv_and_recurrent(rng):
    """2x5x4 -> 3x2x5 by a strided convolution with a leak -> 7 recurrent neurons
    with a bias here and there and a current -> 3 by delayed synapses."""
    conv = IntegerLayer(
        name="conv", kind="conv", weight=2 * rng.integers(-40, 60, (3, 2, 3, 2)), bias=None, i_decay=4096, v_decay=1024,
        vth_mant=60, input_shape=(2, 5, 4), padding=(0, 1), stride=(2, 1),
    )  # fmt: skip
    own = IntegerLayer(
        name="own", kind="dense", weight=2 * rng.integers(-40, 60, (7, 30)), bias=np.array([0, 3, 0, 0, -5, 0, 0]),
        weight_rec=2 * rng.integers(-40, 60, (7, 7)), i_decay=2000, v_decay=700, vth_mant=150, input_shape=(3, 2, 5),
    )  # fmt: skip
    late = IntegerLayer(
        name="late", kind="dense", weight=2 * rng.integers(-40, 60, (3, 7)), bias=None, i_decay=4096, v_decay=0,
        vth_mant=70, input_shape=(7,), delay=np.array([[0], [2], [1]]),
    )  # fmt: skip
    return IntegerNetwork(input_shape=(2, 5, 4), layers=(conv, own, late))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("steps", [1, 6])
def test_counts_of_a_step_do_not_depend_on_batches_or_order(engine, steps, tmp_path):
    rng = np.random.default_rng(11)
    network, frames = conv_and_recurrent(rng), (rng.random((9, steps, 2, 5, 4)) < 0.4).astype(np.uint8)
    trace = simulate(network, frames, keep_layers=True, per_step=True, engine=engine)
    assert all(spikes.any() for spikes in trace.layer_spikes[: 3 if steps > 1 else 1])
    held = [[off_rest(states) for states in all_states(network, sample)] for sample in frames]
    order = rng.permutation(9)
    alone = [simulate(network, frames[[row]], per_step=True, engine=engine) for row in order]
    chunks = joined([part for _, part in iter_simulate(network, frames, per_step=True, engine=engine)])
    trace.save(tmp_path / "trace.npz")
    loaded = load_trace(tmp_path / "trace.npz")
    for key, counted_here in vars(trace.step_counts).items():
        assert counted_here.dtype == np.int64
        assert counted_here.shape == (9, steps, 3)
        np.testing.assert_array_equal(getattr(joined(alone).step_counts, key), counted_here[order])
        np.testing.assert_array_equal(counted_here.sum(axis=1), getattr(trace.counts, key))
        for other in (chunks, loaded):
            np.testing.assert_array_equal(getattr(other.step_counts, key), counted_here)
        for index, layer in enumerate(network.layers):
            for sample in range(9):
                received = (frames if index == 0 else trace.layer_spikes[index - 1])[sample].reshape(steps, -1)
                fired = trace.layer_spikes[index][sample].reshape(steps, -1).astype(bool)
                expected = counted(layer, received.astype(np.int64), fired, held[sample][index])[key]
                np.testing.assert_array_equal(counted_here[sample, :, index], expected)


def off_rest(states):
    """Where a voltage was not 0 before a step, or a current is not 0 in it: `[T, neurons]`, from `all_states`."""
    _, voltages, currents = states
    before = np.concatenate([np.zeros_like(voltages[:1]), voltages[:-1]])
    return ((before != 0) | (currents != 0)).reshape(len(voltages), -1)


def counted(layer, received, fired, held):
    """The counts of one layer and sample, `[T]` each; `received` `[T, inputs]` (values), the others `[T, neurons]`."""
    events, own = received != 0, np.pad(fired, ((1, 0), (0, 0)))[:-1]
    biased = np.broadcast_to((layer.bias_map != 0).reshape(1, -1), fired.shape)
    counts = {"events_in": events.sum(axis=1), "spikes_out": fired.sum(axis=1)}
    if layer.kind == "input":
        drive = received * int(layer.weight[0]) + layer.bias_map.reshape(1, -1)
        none = np.zeros(len(events), dtype=np.int64)
        active = (drive != 0) | fired
        return counts | {"synops": none, "effective_synops": none, **updates(active, held)}
    matrix = connections(layer)
    counts["synops"] = (events @ matrix.any_synapse).sum(axis=1)
    counts["effective_synops"] = (events @ matrix.nonzero).sum(axis=1)
    touched = arrivals(events, matrix.any_synapse > 0, layer)
    if layer.weight_rec is not None:
        counts["events_in"] = counts["events_in"] + own.sum(axis=1)
        counts["synops"] += own.sum(axis=1) * layer.neurons
        counts["effective_synops"] += (own @ (layer.weight_rec.T != 0).astype(np.int64)).sum(axis=1)
        touched |= arrivals(own, np.ones((layer.neurons, layer.neurons), dtype=bool), layer)
    return counts | updates(touched | biased | fired, held)


def updates(active, held):
    return {"updates_active": active.sum(axis=1), "updates_nonzero": (active | held).sum(axis=1)}


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
