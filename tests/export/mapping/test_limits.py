"""Public limits: cores, axons and synapse memory worked out by hand, on layers where nothing is square or even."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from dense_layers import dense
from numpy.testing import assert_array_equal
from random_networks import _convolution, weighted_sum

from spikeport.export.mapping.core_partition import Storage, inputs_of
from spikeport.export.mapping.limits import check_limits
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.hardware_profiles.profile import load_profile

LOIHI1, LOIHI2 = load_profile("loihi1"), load_profile("loihi2")


def check(*layers: IntegerLayer, profile=LOIHI1, **changes):
    return check_limits(IntegerNetwork(input_shape=layers[0].input_shape, layers=layers, **changes), profile)


def found(report, limit: str, layer: int = 0):
    return next(entry for entry in (*report.layers[layer].checks, *report.checks) if entry.limit == limit)


def test_a_list_of_synapses_takes_whole_words():
    """5 weights of 8 bits and a header of 10: 50, so one word of 64. 130: two blocks of 64 (522 -> 576), then 2."""
    table = Storage(word=64, block_weights=64, header=10).table(130, 8)
    assert (table[0], table[5], table[6], table[7], table[64], table[130]) == (0, 64, 64, 128, 576, 2 * 576 + 64)


def test_one_small_layer():
    report = check(dense(5, 3))
    (layer,) = report.layers
    assert (layer.cores, layer.synapses, layer.weight_bits, layer.synapse_bits_per_core) == (1, 15, 8, 3 * 64)
    assert (layer.axons_in_per_core, layer.axons_out_per_core) == (3, 5)
    assert layer.accumulator_bound == 254 + 2 + 2
    assert report.passes
    assert report.summary == "passes these public limits: 1 core on 1 chip in a greedy partition"
    assert "fits" not in "\n".join(report.lines())
    json.dumps(asdict(report), allow_nan=False)


def test_a_convolution_whose_axons_overflow_one_core():
    """1 x 1 kernel over 9 channels of 20 x 50: a neuron reads 9 inputs of its own, so 455 = 4096 // 9 a core."""
    conv = IntegerLayer(
        name="c", kind="conv", weight=np.arange(2, 20, 2).reshape(1, 9, 1, 1), bias=None, i_decay=4096, v_decay=0,
        vth_mant=9, input_shape=(9, 20, 50),
    )  # fmt: skip
    (layer,) = check(conv).layers
    assert (layer.cores, layer.neurons_per_core, layer.axons_in_per_core) == (3, 455, 9 * 455)
    assert layer.closed_by == "axons in"
    assert layer.synapse_bits_per_core == 9 * 455 * 64  # a list of one: 5 + 10 + 10 bits


def test_synapse_memory_of_one_layer_and_output_axons_of_the_one_before():
    """1,000 lists on a core of 1,048,576 bits: up to 1,048 each, so 576 + 448 = 1,024 with 64 + 54 weights: 118 neurons
    a core and 43 cores for 5,000. Each of the 1,000 neurons before then has 43 output axons: 95 = 4096 // 43 a core."""
    before, behind = check(dense(1000, 8), dense(5000, 1000)).layers
    assert (behind.cores, behind.neurons_per_core, behind.closed_by) == (43, 118, "synapse bits")
    assert behind.synapse_bits_per_core == 1000 * 1024
    assert (before.cores, before.neurons_per_core, before.axons_out_per_core) == (11, 95, 43 * 95)
    assert before.closed_by == "axons out"


def test_a_recurrent_layer_reads_and_reaches_itself():
    """407 lists: 2,576 bits each at most, 4 * 576 + 256 with 256 + 30 weights: 286 neurons, then 114. Each neuron
    reaches both cores of its own layer and the host."""
    layer = replace(dense(400, 7), weight_rec=np.full((400, 400), -4))
    (found_layer,) = check(layer).layers
    assert (found_layer.cores, found_layer.neurons_per_core, found_layer.axons_in_per_core) == (2, 286, 407)
    assert found_layer.axons_out_per_core == 3 * 286
    assert found_layer.synapse_bits_per_core == 407 * (4 * 576 + 256)
    assert found_layer.synapses == 400 * 407
    assert found_layer.accumulator_bound == 254 + 6 * 2 + 400 * 4


def test_delays_take_bits_beside_each_weight_and_have_slots():
    """A delay of 5 takes 3 bits: 10 weights of 8 + 3 bits and 10 are 120, two words."""
    delay = np.zeros((10, 1), dtype=int)
    delay[4] = 5
    report = check(dense(10, 3, delay=delay))
    assert report.layers[0].synapse_bits_per_core == 3 * 128
    assert found(report, "delay").result == "passes"
    delay[4] = 8
    slots = found(check(dense(10, 3, delay=delay)), "delay slots")
    assert (slots.used, slots.allowed, slots.result) == (9, 8, "unknown")


def test_profiles_split_layers_whose_neurons_differ():
    """20 thresholds, 8 a core: 8, 8, 4. 33 decays, 32 a core: two cores."""
    (layer,) = check(dense(20, 3, vth_mant=np.arange(1, 21))).layers
    assert (layer.cores, layer.neurons_per_core, layer.closed_by) == (3, 8, "threshold profiles")
    (layer,) = check(dense(33, 3, v_decay=np.arange(33))).layers
    assert (layer.cores, layer.closed_by) == (2, "decay profiles")


@pytest.mark.parametrize(
    ("weights", "bits"),
    [([-254, 2], 8), ([-64, 128], 3), ([-2, 2], 2), ([1, 255], 8), ([4, 252], 6), ([-6, -4], 2), ([64], 1)],
)
def test_bits_that_weights_take(weights, bits):
    """-64, 128: 3 bits of a step of 64. -2, 2 move up to -128, 128: 2 bits. 4..252: multiples of 4, one sign.
    -6, -4 move up to -192, -128 (one sign, multiples of 64): 2 bits. 64: 1 bit."""
    layer = dense(1, len(weights))
    assert check(replace(layer, weight=np.array([weights]))).layers[0].weight_bits == bits


def test_accumulator_between_two_readings_and_beyond_both():
    """130 inputs of 254: 33,020 is above 2^15 (weights shifted by 6 into 21 bits), below 2^21 (not shifted).

    8,257 of them are beyond both, and beyond the 4,096 axons that even one neuron's core has.
    """
    weight = np.full((1, 130), 254)
    weight[0, 0] = -254
    report = check(replace(dense(1, 130), weight=weight))
    assert found(report, "accumulator bound").result == "sources differ"
    assert report.passes
    assert "sources differ on accumulator bound" in report.summary
    report = check(replace(dense(2, 8257), weight=np.full((2, 8257), 254)))
    assert found(report, "accumulator bound").result == "exceeds"
    assert found(report, "axons in per core").result == "exceeds"
    assert not report.passes
    assert report.summary == "exceeds public limits: accumulator bound, axons in per core"
    assert report.layers[0].cores == 2


def test_decays_that_no_field_holds():
    assert check(dense(2, 3, v_decay=4095, i_decay=1)).passes
    assert found(check(dense(2, 3, v_decay=4096)), "voltage decay").result == "exceeds"
    assert not check(dense(2, 3, i_decay=0)).passes
    assert found(check(dense(2, 3, i_decay=1)), "current bound").result == "depends on the input"


def test_counts_as_inputs_need_graded_spikes():
    assert not check(dense(2, 3), input_message_bits=3).passes
    report = check(dense(2, 3), profile=LOIHI2, input_message_bits=3)
    assert report.passes
    assert report.layers[0].accumulator_bound == 7 * (254 + 2 + 2)


def test_loihi2_says_what_is_not_public():
    """20,000 neurons at 8,192 a core: 3 cores; 40,000 synapses."""
    report = check(dense(20000, 2), profile=LOIHI2)
    assert (report.cores, report.chips, report.layers[0].closed_by) == (3, 1, "neurons")
    assert report.layers[0].synapse_bits_per_core is None
    assert "synapse bytes per core" in report.unknown
    assert "axons in per core" in report.unknown
    assert found(report, "synapses per chip").used == 40000
    assert any("no public number for" in line for line in report.lines())
    assert report.summary == "passes these public limits: at least 3 cores on 1 chip in a greedy partition"


def test_many_cores_take_several_chips():
    """150 cores of 1,024 neurons: two chips of 128."""
    report = check(dense(150 * 1024, 2))
    assert (report.cores, report.chips) == (150, 2)


def test_input_neurons_take_no_synapses():
    layer = IntegerLayer(
        name="in", kind="input", weight=np.array([3]), bias=None, i_decay=4096, v_decay=0, vth_mant=9,
        input_shape=(2, 3, 5),
    )  # fmt: skip
    (entry,) = check(layer).layers
    assert (entry.synapses, entry.synapse_bits_per_core, entry.axons_in_per_core, entry.cores) == (0, 0, 0, 1)


@pytest.mark.parametrize("seed", range(6))
def test_connections_of_a_convolution_against_impulses(seed):
    """With weights of one, the outputs that one input spike moves are the neurons that have a synapse from it."""
    rng = np.random.default_rng(seed)
    layer = _convolution(rng, "c", (int(rng.integers(1, 4)), int(rng.integers(3, 7)), int(rng.integers(3, 7))))
    layer = replace(layer, weight=np.ones_like(layer.weight))
    expected = np.zeros((layer.neurons, int(np.prod(layer.input_shape))), dtype=int)
    for source in range(expected.shape[1]):
        impulse = np.zeros(layer.input_shape, dtype=np.int64)
        impulse.flat[source] = 1
        expected[:, source] = weighted_sum(layer, impulse).ravel()
    ours = np.zeros_like(expected)
    order = []
    for neuron, inputs in inputs_of(layer):
        ours[neuron, inputs] += 1
        order.append(neuron)
    assert_array_equal(ours, expected)
    assert sorted(order) == list(range(layer.neurons))
