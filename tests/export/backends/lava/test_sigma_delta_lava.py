"""Sigma-delta networks: the reference equals Lava itself, every layer, value by value."""

from dataclasses import replace

import numpy as np
import pytest
from lava_scripts import run_script
from random_sdnn import random_case

from spikeport.export.backends.lava.process import LavaWorker
from spikeport.export.backends.lava.results import assemble
from spikeport.export.backends.lava.schedule import schedule
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.network.readout import Readout

pytestmark = [pytest.mark.lava, pytest.mark.xdist_group("lava")]


@pytest.fixture(scope="module")
def worker():
    with LavaWorker() as worker:
        yield worker


def equal(network, frames, lava):
    ours = simulate(network, frames, keep_layers=True)
    return all(np.array_equal(a, b) for a, b in zip(ours.layer_values, lava.layer_values, strict=True))


def test_random_networks(worker):
    """Convolutions, matrices, delays, biases; with and without a delta layer and a sigma; 12 networks."""
    for seed in range(100, 112):
        network, frames, _ = random_case(np.random.default_rng(seed))
        assert equal(network, frames, worker.simulate(network, frames, keep_layers=True, timeout_s=600)), seed


def test_without_setting_states_to_zero_samples_would_reach_into_each_other(worker):
    """The rule of `schedule` is needed: netx ignores its reset for these neurons."""
    for seed in range(200):
        network, frames, _ = random_case(np.random.default_rng(seed))
        if len(frames) > 1 and len(network.layers) > 1 and not any(layer.max_delay for layer in network.layers):
            break
    planned = replace(schedule(network, frames.shape[1]), emptied=())
    arrays = worker.run(network, planned, frames, range(len(frames)), keep_layers=True, timeout_s=600)
    lava, _ = assemble(network, frames.shape[1], [(range(len(frames)), arrays)], keep_layers=True)
    assert not equal(network, frames, lava)


@pytest.mark.parametrize("delayed", [False, True])
def test_the_script_gives_the_values_of_the_reference(delayed, tmp_path):
    """A delta layer, biases, a sigma; three samples of which each begins at zero. With delays, blank steps between."""
    rng = np.random.default_rng(6)
    weight = 2 * rng.integers(-40, 60, (4, 60))
    layers = [
        IntegerLayer(name="in", kind="input", neuron="delta", weight=np.array([3]), bias=np.full(2, -7), vth_mant=4,
                     i_decay=0, v_decay=0, input_shape=(2, 4, 5)),
        IntegerLayer(name="c", kind="conv", neuron="sigma-delta", weight=2 * rng.integers(-9, 20, (5, 2, 2, 2)),
                     bias=np.array([300, 0, -40, 60, 5]), vth_mant=9, i_decay=0, v_decay=0, input_shape=(2, 4, 5)),
        IntegerLayer(name="d", kind="dense", neuron="sigma", weight=weight, bias=None, vth_mant=0, i_decay=0, v_decay=0,
                     input_shape=(5, 3, 4), delay=rng.integers(0, 3, (4, 60)) if delayed else None),
    ]  # fmt: skip
    network = IntegerNetwork(
        input_shape=(2, 4, 5), layers=tuple(layers), readout=Readout(kind="values", over_time="last")
    )
    frames = rng.integers(-90, 90, (3, 6, 2, 4, 5)).astype(np.int16)
    expected = simulate(network, frames)
    classes = network.readout.classes(expected.spikes, expected.levels)
    archive, printed = run_script(network, frames, classes, tmp_path)
    np.testing.assert_array_equal(archive["values"], expected.values)
    assert archive["classes"].tolist() == classes.tolist()
    assert f"{np.count_nonzero(expected.values)} output messages" in printed
