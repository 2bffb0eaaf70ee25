"""The reference equals Lava itself, every layer, spike by spike."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import random_networks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_networks import integer_states, random_frames, random_network

from spikeport.errors import MissingDependencyError, UserError
from spikeport.export.backends.lava import driver, environment
from spikeport.export.backends.lava.process import LavaWorker
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.formats.netx.write import read_netx
from spikeport.export.graph.spiking_graph import load_graph
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.network.readout import Readout
from spikeport.export.quantization.quantize import quantize

pytestmark = [pytest.mark.lava, pytest.mark.xdist_group("lava")]


@pytest.fixture(scope="module")
def worker():
    with LavaWorker() as worker:
        yield worker


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), rich=st.booleans())
def test_the_reference_fires_as_lava_does(worker, seed, rich):
    """Half of the networks with recurrence, delays, parameters of each neuron, counts, input neurons; voltages too."""
    rng = np.random.default_rng(seed)
    network = replace(random_network(rng, rich=rich), readout=Readout(kind="membrane"))
    frames = random_frames(rng, network)
    expected = worker.simulate(network, frames, keep_layers=True, timeout_s=1800)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*membrane read-out is meant for")
        got = simulate(network, frames, keep_layers=True)
    for layer, ours, lavas in zip(network.layers, got.layer_spikes, expected.layer_spikes, strict=True):
        np.testing.assert_array_equal(ours, lavas, err_msg=layer.name)
    np.testing.assert_array_equal(got.membrane, expected.membrane)


def one_neuron(**given):
    values = {"kind": "dense", "weight": np.array([[3]]), "bias": None, "i_decay": 4096, "v_decay": 2048}
    layer = IntegerLayer(name="one", **(values | {"vth_mant": 10, "input_shape": (1,)} | given))
    return {"input_shape": (1,), "layers": (layer,)}


def test_the_membrane_is_probed_at_the_end_of_each_step(worker):
    """By hand, in 64ths: half of the voltage stays, a spike adds 3 * 64 = 192, above 640 it would fire and be 0.
    Two samples: the second starts at 0.
    """
    frames = np.array([[1, 0, 1, 0], [0, 1, 1, 1]], dtype=np.uint8)[..., None]
    network = IntegerNetwork(**one_neuron(), readout=Readout(kind="membrane"))
    membrane = worker.simulate(network, frames).membrane[..., 0]
    assert membrane.tolist() == [[192, 96, 240, 120], [0, 192, 288, 336]]
    assert membrane.dtype == np.int32
    low = IntegerNetwork(**one_neuron(vth_mant=4), readout=Readout(kind="membrane"))
    trace = worker.simulate(low, frames)
    assert trace.membrane[..., 0].tolist() == [[192, 96, 240, 120], [0, 192, 0, 192]]
    assert trace.spikes[..., 0].tolist() == [[0, 0, 0, 0], [0, 0, 1, 0]]


def test_counts_are_messages_of_that_many_bits(worker):
    """By hand: 3 times the count, in 64ths, and no leak of the current; without message bits Lava takes any count as
    one spike, which is refused instead.
    """
    frames = np.array([[0, 1, 2, 3]], dtype=np.uint8)[..., None]
    network = IntegerNetwork(**one_neuron(v_decay=4096), readout=Readout(kind="membrane"), input_message_bits=2)
    assert worker.simulate(network, frames).membrane[..., 0].tolist() == [[0, 192, 384, 576]]
    with pytest.raises(UserError, match=r"sample 0 has a value of 2, outside 0\.\.1.*--message-bits"):
        worker.simulate(replace(network, input_message_bits=0), frames)


def test_input_neurons_are_driven_through_their_bias_each_step(worker):
    """By hand: the voltage, halved each step, gains 64 (5 x - 2); the frame changes each step."""
    layer = one_neuron(kind="input", weight=np.array([5]), bias=np.array([-2]), vth_mant=20)
    network = IntegerNetwork(**layer, readout=Readout(kind="membrane"))
    frames = np.array([[4, 0, 2, 1], [0, 4, 4, 4]], dtype=np.uint8)[..., None]
    trace = worker.simulate(network, frames)
    first, second = 64 * 18, 64 * -2
    assert trace.membrane[0, :, 0].tolist() == [first, 448, 736, 560]
    assert trace.membrane[1, :, 0].tolist() == [second, 1088, 0, first]
    assert trace.spikes[..., 0].tolist() == [[0, 0, 0, 0], [0, 0, 1, 0]]
    with pytest.raises(UserError, match=r"sample 0 has a value of 100, outside 0\.\.81: input x drives one by .* 4095"):
        worker.simulate(replace(network, layers=(replace(network.layers[0], weight=np.array([50])),)), 25 * frames)


@pytest.mark.filterwarnings("ignore:one fired in")
def test_counts_drive_input_neurons_to_the_limits_of_their_voltage(worker):
    """-30 x + 2000 with x = 203, the largest: 64 * 4090 a step leave 24 bits in step 33, where v saturates. Then x = 0
    raises it; in Lava, in both engines, and in a loop over Python integers.
    """
    layer = one_neuron(kind="input", weight=np.array([-30]), bias=np.array([2000]), v_decay=0, vth_mant=900)
    network = IntegerNetwork(**layer, readout=Readout(kind="membrane"))
    assert network.input_limit == 203
    frames = np.repeat(np.array([203, 0], dtype=np.uint8), [40, 110])[None, :, None]
    voltage, expected = 0, []
    for count in frames.ravel().tolist():
        voltage = min(max(voltage + 64 * (2000 - 30 * count), 1 - (1 << 23)), (1 << 23) - 1)
        voltage = 0 if voltage > 64 * 900 else voltage
        expected.append(voltage)
    assert min(expected) == 1 - (1 << 23)
    assert expected[-1] == 0
    for trace in (
        worker.simulate(network, frames),
        *(simulate(network, frames, engine=e) for e in ("events", "dense")),
    ):
        assert trace.membrane[0, :, 0].tolist() == expected


def test_samples_back_to_back_do_not_leak_into_each_other(worker):
    """Four samples of a biased three-layer chain: the default reset offset would leak (4 to 16 spikes)."""
    rng = np.random.default_rng(7)
    layers = tuple(
        IntegerLayer(
            name=f"fc{k}",
            kind="dense",
            weight=2 * rng.integers(-60, 70, (n_out, n_in)),
            v_decay=300,
            i_decay=4096,
            bias=rng.integers(-40, 90, n_out),
            vth_mant=150,
            input_shape=(n_in,),
        )
        for k, (n_in, n_out) in enumerate([(6, 7), (7, 5), (5, 3)])
    )
    network = IntegerNetwork(input_shape=(6,), layers=layers)
    frames = (rng.random((4, 11, 6)) < 0.5).astype(np.uint8)
    alone = np.concatenate([worker.simulate(network, frames[n : n + 1]).spikes for n in range(4)])
    together = worker.simulate(network, frames).spikes
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(together, simulate(network, frames).spikes)
    assert together.sum() > 20


def test_the_current_wraps_in_lava_as_in_the_reference(worker):
    weight = np.full((1, 40), 254)
    weight[0, 0] = -2
    layer = IntegerLayer(
        name="fc",
        kind="dense",
        weight=weight,
        bias=None,
        i_decay=0,
        v_decay=0,
        vth_mant=131071,
        input_shape=(40,),
    )
    network = IntegerNetwork(input_shape=(40,), layers=(layer,))
    frames = np.ones((1, 60, 40), dtype=np.uint8)
    expected = worker.simulate(network, frames).spikes
    assert 0 < expected.sum() < 60
    np.testing.assert_array_equal(simulate(network, frames).spikes, expected)


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_sums_beyond_32_bits_overflow_in_lava_as_in_the_reference(worker, kind, monkeypatch):
    """Counts of 8 bits over hundreds of inputs: 64 a passes 2^31, where one turn no longer brings the current back."""
    rng = np.random.default_rng(4)
    shape = (70, 3, 4) if kind == "conv" else (300,)
    weight = 2 * rng.integers(-20, 127, (2, 70, 2, 3) if kind == "conv" else (2, 300))
    layer = IntegerLayer(
        name="big", kind=kind, weight=weight, bias=None, i_decay=5, v_decay=9, vth_mant=131071, input_shape=shape
    )
    network = IntegerNetwork(
        input_shape=shape, layers=(layer,), input_message_bits=8, readout=Readout(kind="membrane")
    )  # fmt: skip
    frames = rng.integers(128, 256, (2, 12, *shape)).astype(np.uint8)
    expected = worker.simulate(network, frames)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*membrane read-out is meant for")
        got = simulate(network, frames)
    np.testing.assert_array_equal(got.spikes, expected.spikes)
    np.testing.assert_array_equal(got.membrane, expected.membrane)
    np.testing.assert_array_equal(by_equations(network, frames), expected.membrane)
    monkeypatch.setattr(random_networks, "_in_32_bits", lambda x: x)
    assert np.any(by_equations(network, frames) != expected.membrane), "nothing overflows here"


def by_equations(network, frames):
    """Voltages of the last layer `[N, T, K]` as the equations say."""
    states = [integer_states(network, sample)[-1][1] for sample in frames]
    return np.stack(states).reshape(*frames.shape[:2], -1)


@pytest.mark.parametrize("name", ["oxford", "mnist_slayer"])
def test_networks_that_slayer_wrote_run_alike(worker, shared_data, name):
    network = read_netx(shared_data / "netx" / f"{name}.net")
    frames = (np.random.default_rng(3).random((5, 23, *network.input_shape)) < 0.1).astype(np.uint8)
    expected = worker.simulate(network, frames, keep_layers=True)
    got = simulate(network, frames, keep_layers=True)
    for ours, lavas in zip(got.layer_spikes, expected.layer_spikes, strict=True):
        np.testing.assert_array_equal(ours, lavas)
    assert got.spikes.sum() > 0


def test_a_network_that_norse_wrote_runs_alike(worker, shared_data):
    """Compiled from its .nir: v_decay 164 of 4096 by hand (4096 * 1e-4 / 0.0025)."""
    network, _ = quantize(load_graph(shared_data / "nir" / "lif_norse.nir", dt_s=1e-4, reset="zero"))
    assert network.layers[0].v_decay == 164
    frames = (np.random.default_rng(5).random((4, 90, 1)) < 0.6).astype(np.uint8)
    expected = worker.simulate(network, frames).spikes
    np.testing.assert_array_equal(simulate(network, frames).spikes, expected)
    assert 0 < expected.sum() < frames.sum()


def test_lava_gives_the_answer_worked_out_by_hand():
    assert driver.known_answer()


def test_progress_counts_samples_up_to_all(worker):
    network = random_network(np.random.default_rng(0), deepest=1)
    frames = np.zeros((3, 2, *network.input_shape), dtype=np.uint8)
    seen = []
    worker.simulate(network, frames, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (3, 3)
    assert seen == sorted(seen)


def test_a_missing_lava_names_the_command_that_brings_it(monkeypatch, tmp_path):
    monkeypatch.delenv(environment.VARIABLE, raising=False)
    monkeypatch.setattr(environment, "default_folder", lambda: tmp_path / "nothing")
    with pytest.raises(MissingDependencyError, match="spikeport lava install") as raised:
        environment.interpreter()
    assert raised.value.exit_code == 3


def test_an_interpreter_without_lava_is_distinguished(monkeypatch):
    import sys

    monkeypatch.setenv(environment.VARIABLE, sys.executable)
    with pytest.raises(MissingDependencyError, match=r"Lava does not start.*No module named 'lava'"), LavaWorker():
        pass
