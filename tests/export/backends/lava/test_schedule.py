"""Samples share a Lava network where that is exact, and each rule is there because Lava differs without it."""

from dataclasses import replace

import numpy as np
import pytest
from random_networks import integer_states

from spikeport.export.backends.lava.process import LavaWorker
from spikeport.export.backends.lava.results import assemble
from spikeport.export.backends.lava.schedule import SampleSchedule, quiet, schedule
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork

STEPS = 11
BIASED = [200, -5, 160, 3]


def dense(rng, inputs, outputs, **given):
    values = {"bias": None, "i_decay": 4096, "v_decay": 300, "vth_mant": 150, "input_shape": (inputs,)} | given
    weight = 2 * rng.integers(-60, 70, (outputs, inputs))
    return IntegerLayer(name=f"fc{inputs}-{outputs}", kind="dense", weight=weight, **values)


def chain(*layers):
    return IntegerNetwork(input_shape=layers[0].input_shape, layers=layers)


def recurrent(rng, neurons):
    return 2 * rng.integers(-60, 70, (neurons, neurons))


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_plain_chains_run_back_to_back(rng):
    found = schedule(chain(dense(rng, 5, 4, bias=np.array(BIASED)), dense(rng, 4, 3)), STEPS)
    assert (found.shared, found.interval, found.period, found.emptied) == (True, STEPS, STEPS, ())


def test_a_delay_behind_the_frames_needs_blank_steps_as_long_as_itself(rng):
    """Its source falls silent with the frames, whatever the biases behind it do."""
    delayed = dense(rng, 5, 4, delay=rng.integers(0, 7, (4, 5)), bias=np.array(BIASED))
    found = schedule(chain(delayed, dense(rng, 4, 3, bias=np.array([300, 1, 2]))), STEPS)
    assert (found.shared, found.period) == (True, STEPS + delayed.max_delay)


def test_delays_behind_quiet_layers_wait_for_a_reset_and_for_the_delay_line(rng):
    """Worked out: reset every 11 steps. Layer 0 is silent from 11 on, the delay line of layer 1 empty from 17 on,
    layer 1 silent from 22 on, the line of layer 2 empty from 24 on: samples start every 33 steps. Resets every 12 or
    13 need 36 and 39; every 17 steps: silent from 17 on, empty from 23 on, silent from 34 on, empty from 36 on: 51.
    """
    first, second, third = (dense(rng, 5, 4), dense(rng, 4, 6, delay=[[6]]), dense(rng, 6, 3, delay=[[2]]))
    found = schedule(chain(first, second, third), STEPS)
    assert (found.shared, found.interval, found.period) == (True, 11, 33)


def test_spikes_that_a_bias_alone_fires_forbid_sharing_and_are_flushed(rng):
    network = chain(dense(rng, 5, 4, bias=np.array(BIASED)), dense(rng, 4, 6), dense(rng, 6, 3, delay=[[2]]))
    found = schedule(network, STEPS)
    assert (found.shared, found.emptied) == (False, ((2, 2, "synapse", "a_buff"),))
    slow = dense(rng, 5, 4, bias=np.array([0, 20, 0, 0]))
    assert not schedule(chain(slow, *network.layers[1:]), STEPS).shared


def test_recurrent_networks_get_a_network_a_sample(rng):
    loop = dense(rng, 5, 4, weight_rec=recurrent(rng, 4))
    assert (schedule(chain(loop), STEPS).shared, schedule(chain(loop), STEPS).emptied) == (False, ())
    loud = replace(loop, bias=np.array(BIASED))
    assert schedule(chain(loud), STEPS).emptied == ((1, 0, "synapse_rec", "a_buff"),)


@pytest.mark.parametrize(
    ("bias", "v_decay", "steps", "silent"),
    [
        (0, 0, 99, True),
        (-7, 0, 99, True),
        (150, 4096, 99, True),
        (151, 4096, 1, False),
        (50, 0, 3, True),
        (50, 0, 4, False),
        (75, 2048, 99, True),
        (76, 2048, 99, False),
    ],
)
def test_quiet_is_what_the_equations_say(rng, bias, v_decay, steps, silent):
    """Threshold 150: a bias of 50 without leak crosses it in the fourth step; 75 with half lost each step never gets
    beyond 150, 76 does.
    """
    layer = dense(rng, 2, 1, bias=np.array([bias]), v_decay=v_decay)
    assert quiet(layer, steps) is silent
    fired = integer_states(chain(layer), np.zeros((steps, 2), dtype=np.uint8))[0][0].any()
    assert silent is not bool(fired)


@pytest.fixture(scope="module")
def worker():
    with LavaWorker() as worker:
        yield worker


def mismatches(worker, network, frames, rule):
    """Positions at which Lava under `rule` differs from the equations, over all layers."""
    arrays = worker.run(network, rule, frames, range(len(frames)), keep_layers=True, timeout_s=1800)
    trace, _ = assemble(network, frames.shape[1], [(range(len(frames)), arrays)], keep_layers=True)
    expected = [integer_states(network, sample) for sample in frames]
    return sum(
        int((got != np.stack([states[k][0] for states in expected])).sum()) for k, got in enumerate(trace.layer_spikes)
    )


def back_to_back(**given):
    return SampleSchedule(shared=True, interval=STEPS, period=STEPS, **given)


@pytest.mark.lava
@pytest.mark.xdist_group("lava")
class TestLavaDiffersWithoutTheRule:
    @pytest.fixture
    def frames(self, rng):
        return (rng.random((4, STEPS, 5)) < 0.5).astype(np.uint8)

    def test_delays_of_one_sample_reach_into_the_next(self, worker, rng, frames):
        network = chain(dense(rng, 5, 6, i_decay=0), dense(rng, 6, 4, delay=rng.integers(0, 7, (4, 6))))
        assert mismatches(worker, network, frames, back_to_back()) > 0
        right = schedule(network, STEPS)
        assert right.shared
        assert mismatches(worker, network, frames, right) == 0

    def test_recurrent_spikes_of_one_sample_reach_into_the_next(self, worker, rng, frames):
        network = chain(dense(rng, 5, 4, weight_rec=recurrent(rng, 4)))
        assert mismatches(worker, network, frames, back_to_back()) > 0
        assert mismatches(worker, network, frames[:1], schedule(network, STEPS)) == 0

    def test_biased_layers_fire_before_the_first_frame(self, worker, rng, frames):
        network = chain(
            dense(rng, 5, 4, bias=np.array(BIASED)),
            dense(rng, 4, 6, delay=rng.integers(0, 7, (6, 4)), bias=np.full(6, 100)),
            dense(rng, 6, 3, weight_rec=recurrent(rng, 3), bias=np.array([60, 70, 80])),
        )
        right = schedule(network, STEPS)
        assert right.emptied == ((1, 1, "synapse", "a_buff"), (3, 2, "synapse_rec", "a_buff"))
        assert mismatches(worker, network, frames[:1], replace(right, emptied=())) > 0
        assert mismatches(worker, network, frames[:1], right) == 0
