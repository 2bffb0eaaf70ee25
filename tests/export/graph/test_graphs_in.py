"""Graphs of every kind in the table, in integers as the equations of NIR say: recurrence, delays and read-outs.

The oracle steps the graph in float64 by NIR's equations. On the grid (integer weights over a power of two, decays of
0, 1 or one whose truncation nothing reaches) float64 is exact, so integers must give the same spikes and voltages.
"""

from __future__ import annotations

import re
from dataclasses import replace

import nir
import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from more_graphs import FLATTEN, recurrent
from nir_oracle import run_nir
from numpy.testing import assert_allclose, assert_array_equal
from random_graphs import even, random_nested
from random_networks import integer_loop, integer_states
from small_graphs import DT, graph_of, lif

from spikeport.errors import UserError
from spikeport.export.graph.spiking_graph import SpikingGraph, load_graph
from spikeport.export.lowering.branches.needs_layout import needs_layout
from spikeport.export.lowering.branches.populations import populations
from spikeport.export.lowering.branches.relays import divisor_of
from spikeport.export.quantization.quantize import quantize

# Recurrence


@pytest.mark.parametrize("kind", ["affine", "linear", "diagonal", "scale", "scaled"])
def test_a_loop_becomes_recurrent_weights_with_its_bias(kind):
    rng = np.random.default_rng(3)
    loop = {
        "affine": [nir.Affine(even(rng, 5, 5) / 32, rng.integers(-20, 20, 5) / 32)],
        "linear": [nir.Linear(even(rng, 5, 5) / 32)],
        "diagonal": [nir.Linear(np.diag([20.0, -40, 60, 0, 84]) / 32)],
        "scale": [nir.Scale(np.array([20.0, -40, 60, 0, 84]) / 32)],
        "scaled": [nir.Scale(np.array([2.0, 1, 3, 1, 1])), nir.Affine(even(rng, 5, 5, largest=10) / 16, np.ones(5)),
                   nir.Scale(np.array([1.0, 1, 0.5, 2, 1]))],
    }[kind]  # fmt: skip
    feed = nir.Affine(even(rng, 5, 4) / 32, rng.integers(-20, 20, 5) / 32)
    graph = recurrent(graph_of(feed, lif((5,), tau=DT, r=1.0, threshold=33 / 32), shape=(4,)), "n1", *loop)
    network, (row,) = quantize(graph)
    scale = row.scale
    frames = (rng.random((60, 4)) < 0.4).astype(np.uint8)
    assert network.layers[0].weight_rec is not None
    exact, _ = quantize(replace(graph, scales={"n0": 32.0}))
    expected = run_nir(graph.nir_graph, DT, frames)
    assert_array_equal(integer_loop(exact, frames)[0], expected)
    assert 0 < expected.mean() < 1
    assert scale == 254 / max(np.abs(feed.weight).max(), np.abs(exact.layers[0].weight_rec).max() / 32)


def test_recurrent_and_forward_weights_share_one_scale():
    """Braille's pattern: the loop's weights are the larger, so they set the scale."""
    feed, loop = nir.Linear(np.array([[0.5, -1.0]])), nir.Linear(np.array([[-8.0]]))
    network, (row,) = quantize(recurrent(graph_of(feed, lif((1,)), shape=(2,)), "n1", loop))
    assert row.scale == 254 / 8
    assert_array_equal(network.layers[0].weight, [[16, -32]])
    assert_array_equal(network.layers[0].weight_rec, [[-254]])
    assert row.accumulator_bound == 16 + 32 + 254
    assert row.weights == 3


def test_a_pool_before_a_recurrent_layer_spares_the_loop_its_divisor():
    """Average of 2: the forward weights act doubled beside threshold, and so must the loop's and its bias."""
    pool = nir.AvgPool2d(*np.array([[1, 2], [1, 2], [0, 0]]))
    feed, loop = nir.Affine(np.array([[10.0, -6.0]]), np.array([1.0])), nir.Affine(np.array([[-4.0]]), np.array([3.0]))
    graph = graph_of(pool, FLATTEN, feed, lif((1,), tau=DT, r=1.0, threshold=5.0), shape=(1, 1, 4), scales={"n2": 1.0})
    graph = recurrent(graph, "n3", loop)
    network, _ = quantize(graph)
    assert_array_equal(network.layers[0].weight, [[10, 10, -6, -6]])
    assert_array_equal(network.layers[0].weight_rec, [[-8]])
    assert (int(network.layers[0].bias[0]), network.layers[0].vth_mant) == (8, 10)
    frames = (np.random.default_rng(1).random((40, 1, 1, 4)) < 0.5).astype(np.uint8)
    assert_array_equal(integer_loop(network, frames)[0], run_nir(graph.nir_graph, DT, frames))


# Delays


def test_delays_before_and_behind_a_dense_layer():
    rng = np.random.default_rng(4)
    for nodes in (
        [nir.Delay(DT * np.array([0.0, 3, 1, 7])), nir.Linear(even(rng, 3, 4))],
        [nir.Delay(np.array([2 * DT])), nir.Scale(np.array(1.0)), nir.Affine(even(rng, 3, 4), np.ones(3))],
        [nir.Linear(even(rng, 3, 4)), nir.Delay(DT * np.array([5.0, 0, 2]))],
        [nir.Delay(DT * np.array([0.0, 3, 1, 7])), nir.Linear(even(rng, 3, 4)), nir.Delay(DT * np.array([5.0, 0, 2]))],
    ):
        weights = next(f"n{index}" for index, node in enumerate(nodes) if hasattr(node, "weight"))
        cell = nir.IF(r=np.ones(3) / DT, v_threshold=np.full(3, 70.0))
        graph = graph_of(*nodes, cell, shape=(4,), scales={weights: 1.0})
        network, _ = quantize(graph)
        frames = (rng.random((50, 4)) < 0.4).astype(np.uint8)
        expected = run_nir(graph.nir_graph, DT, frames)
        assert 0 < expected.mean() < 1
        assert_array_equal(integer_loop(network, frames)[0], expected)


def test_a_delay_beside_a_recurrent_layer_is_refused():
    graph = graph_of(nir.Delay(np.array(DT)), nir.Linear(np.ones((3, 2))), lif((3,)), shape=(2,))
    with pytest.raises(UserError, match="n2: is recurrent behind the delayed layer n1"):
        quantize(recurrent(graph, "n2", nir.Scale(np.ones(3))))


# Read-outs


@pytest.mark.parametrize("kind", ["li", "cubali", "i", "lif"])
def test_an_output_that_never_fires_keeps_its_voltage(kind):
    """Voltages of the chip are scale * 64 times NIR's; decays of 1 or none leave nothing to truncate."""
    rng, one = np.random.default_rng(8), np.ones(3)
    node = {
        "li": nir.LI(tau=DT * one, r=one, v_leak=0 * one),
        "cubali": nir.CubaLI(DT * one, DT * one, one, 0 * one, one),
        "i": nir.I(r=one / DT),
        "lif": nir.IF(r=one / DT, v_threshold=one),
    }[kind]
    feed = nir.Affine(even(rng, 3, 4), np.array([1.0, -2, 3]))
    graph = graph_of(feed, node, shape=(4,), scales={"n0": 1.0})
    if kind == "lif":
        graph = SpikingGraph(
            nir_graph=graph.nir_graph, dt_s=DT, input_shape=(4,), scales={"n0": 1.0}, readout="membrane"
        )
        expected_of = graph_of(feed, nir.I(r=one / DT), shape=(4,)).nir_graph
    else:
        expected_of = graph.nir_graph
    network, (row,) = quantize(graph)
    assert (network.readout.kind, network.readout.over_time) == ("membrane", "sum")
    assert network.layers[0].vth_mant == 131071
    frames = (rng.random((30, 4)) < 0.4).astype(np.uint8)
    spikes, voltages = integer_states(network, frames)[0]
    assert not spikes.any()
    assert_array_equal(voltages, 64 * run_nir(expected_of, DT, frames))
    assert row.threshold_error == 0


def test_a_membrane_that_could_leave_24_bits_lowers_the_scale_or_says_so():
    """40 inputs of equal weight: |v| <= 64 * 40 * 254 / decay. With decay 1/8 5.2 million fit; 1/16 costs 1.24 of the
    scale; 1/64 would cost 5 times, which is said and left."""
    feed = nir.Linear(np.ones((1, 40)))
    for halvings, lost, message in [(3, 1.0, ""), (4, 40 * 16 * 254 / 131071, "voltage made"), (6, 1.0, "not proven")]:
        tau = 2.0**halvings
        node = nir.LI(tau=DT * np.array([tau]), r=np.array([tau]), v_leak=np.zeros(1))
        network, (row,) = quantize(graph_of(feed, node, shape=(40,)))
        assert row.scale == pytest.approx(254 / lost)
        assert message in " ".join(row.notes)
        assert (row.voltage_bound <= 131071 * 64 + 64 * 40 * 16) == (not message.startswith("not"))
        frames = np.ones((400, 40), np.uint8)
        spikes, voltages = integer_states(network, frames)[0]
        assert np.abs(voltages).max() <= row.voltage_bound
        if halvings < 6:
            assert not spikes.any()


def test_weights_behind_the_last_neuron_are_the_hosts():
    rng = np.random.default_rng(9)
    last = nir.Affine(np.eye(3, 5) + 0.1 * rng.normal(size=(3, 5)), 0.01 * rng.normal(size=3))
    graph = graph_of(nir.Linear(80 * np.eye(5, 4) - 2), lif((5,), tau=DT, r=1.0, threshold=30.0), last, shape=(4,))
    network, table = quantize(graph)
    assert network.readout.kind == "linear"
    assert len(network.layers) == len(table) == 1
    samples = (rng.random((20, 12, 4)) < rng.random((20, 1, 4))).astype(np.uint8)
    expected = [run_nir(graph.nir_graph, DT, frames).sum(axis=0).argmax() for frames in samples]
    spikes = np.array([integer_loop(network, frames)[-1] for frames in samples])
    assert_array_equal(network.readout.classes(spikes), expected)
    assert len(set(expected)) > 1


def test_read_outs_that_a_graph_does_not_have_are_refused():
    feed, li = nir.Linear(np.ones((3, 2))), nir.LI(tau=DT * np.ones(3), r=np.ones(3), v_leak=np.zeros(3))
    for nodes, asked, words in [
        ((feed, li), "spikes", "n1: read-out 'spikes' is not possible: it never fires"),
        ((feed, lif((3,))), "linear", "n1: read-out 'linear' is not possible: the graph ends in a neuron"),
        ((feed, lif((3,)), feed.__class__(np.ones((2, 3)))), "membrane", "n1: read-out 'membrane-sum' is not possible"),
    ]:
        graph = graph_of(*nodes, shape=(2,)).nir_graph
        with pytest.raises(UserError, match=words):
            quantize(SpikingGraph(nir_graph=graph, dt_s=DT, input_shape=(2,), readout=asked))
    with pytest.raises(UserError, match=r"readout 'loudest' is unknown.*membrane-max"):
        SpikingGraph(nir_graph=graph, dt_s=DT, input_shape=(2,), readout="loudest")


def test_what_was_chosen_is_kept_in_the_metadata_file(tmp_path):
    feed, li = nir.Linear(np.ones((3, 2))), nir.LI(tau=2 * DT * np.ones(3), r=2 * np.ones(3), v_leak=np.zeros(3))
    chain = graph_of(feed, lif((3,)), nir.Linear(np.ones((3, 3))), li, shape=(2,))
    graph = recurrent(chain, "n1", nir.Scale(np.ones(1)), readout="membrane-last", bias="neuron", allow_vector=True)
    graph.save(tmp_path / "net.nir")
    loaded = load_graph(tmp_path / "net.nir")
    assert (loaded.readout, loaded.bias, loaded.allow_vector) == ("membrane-last", "neuron", True)
    assert dict(loaded.origins) == {"dt_s": "the metadata file", "reset": "the metadata file"}
    assert [[inner.name for inner in step.recurrence] for step in loaded.chain()] == [[], ["r0"], [], []]
    assert load_graph(tmp_path / "net.nir", readout="membrane-max").readout == "membrane-max"
    assert quantize(loaded)[0].readout.over_time == "last"


# A search gives the scales


def test_given_scales_clip_what_leaves_the_grid_and_count_it():
    graph = graph_of(nir.Linear(np.array([[1.0, -0.5, 0.25, 0.1]])), lif((1,)), shape=(4,))
    network, (row,) = quantize(graph, scales={"n0": 600.0})
    assert_array_equal(network.layers[0].weight, [[254, -254, 150, 60]])
    assert (row.saturated, row.scale, row.exact, row.threshold_mant) == (2, 600.0, False, 600)
    assert row.scale_limit == 131071
    with pytest.raises(UserError, match=r"n0: at scale 200000 the threshold would not fit.*131071 at most"):
        quantize(graph, scales={"n0": 2e5})
    with pytest.raises(UserError, match="a scale was given for 'n9', which is not a layer"):
        quantize(graph, scales={"n9": 1.0})


# Everything at once


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32 - 1))
def test_random_graphs_over_the_whole_table_run_exactly_in_integers(seed):
    raw, graph, frames = random_nested(np.random.default_rng(seed))
    expected_words = "cannot become one|outside -25|netx would run|even integer|delayed unequally|a relay needs weight"
    try:
        network, table = quantize(graph)
    except UserError as error:
        assert re.search(expected_words, str(error)), error  # noqa: PT017
        reject()
    expected = run_nir(raw, DT, frames)
    states = integer_states(network, frames)
    if network.readout.kind == "membrane":
        scale = 64 * table[-1].scale * table[-1].divisor
        if needs_layout(graph):  # a layout has the divisor of the pools in its weights
            scale *= divisor_of(populations(graph.nir_graph, DT)[table[-1].neuron])
        assert_array_equal(states[-1][1].reshape(expected.shape), scale * expected)
    elif network.readout.kind == "linear":
        weight, bias = network.readout.weight, network.readout.bias
        found = states[-1][0].reshape(len(frames), -1) @ weight.T + bias
        assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    else:
        assert_array_equal(states[-1][0].reshape(expected.shape), expected)
    assert all(row.exact and row.weight_error == row.threshold_error == row.bias_error == 0 for row in table)
    for row, (_, voltages) in zip(table, states, strict=True):
        assert row.voltage_bound is None or np.abs(voltages).max() <= row.voltage_bound
