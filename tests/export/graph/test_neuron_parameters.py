"""Gains, thresholds, decays and leaks that differ between neurons, in integers as the equations of NIR say."""

from __future__ import annotations

from dataclasses import replace

import nir
import numpy as np
import pytest
from more_graphs import recurrent
from nir_oracle import run_nir
from numpy.testing import assert_array_equal
from random_graphs import even
from random_networks import integer_loop
from small_graphs import DT, graph_of

from spikeport.errors import UserError
from spikeport.export.quantization.quantize import quantize


def test_gains_that_differ_go_into_rows():
    one = np.ones(3)
    node = nir.LIF(DT * one, np.array([1.0, 2.0, 4.0]), 0 * one, v_threshold=one)
    network, (row,) = quantize(graph_of(nir.Affine(np.eye(3) * 2, np.ones(3)), node, shape=(3,), scales={"n0": 4.0}))
    assert_array_equal(network.layers[0].weight, np.diag([8, 16, 32]))
    assert_array_equal(network.layers[0].bias, [4, 8, 16])
    assert row.gain == 4
    assert "gains of 1 to 4 went into rows" in row.notes[0]
    conv = nir.Conv2d(None, np.ones((2, 1, 1, 1)), 1, 0, 1, 1, np.zeros(2))
    per_channel = nir.IF(r=np.array([1.0, 3.0]).reshape(2, 1, 1) / DT, v_threshold=np.ones((2, 1, 1)))
    network, _ = quantize(graph_of(conv, per_channel, shape=(1, 2, 3), scales={"n0": 2.0}))
    assert_array_equal(network.layers[0].weight.ravel(), [2, 6])
    spatial = nir.IF(r=np.arange(1.0, 13).reshape(2, 2, 3), v_threshold=np.ones((2, 2, 3)))
    network, _ = quantize(graph_of(conv, spatial, shape=(1, 2, 3)))
    assert network.layers[0].kind == "dense", "a gain of its own for each neuron needs a weight of its own"
    kernel = np.concatenate([np.eye(6), np.eye(6)]) * np.arange(1, 13)[:, None]
    assert_array_equal(network.layers[0].weight, 2 * np.rint(254 * kernel / 12 / 2))


def test_gains_that_differ_from_place_to_place_become_thresholds_where_these_may_differ():
    """A gain of g with threshold 12 fires as one of 1 with threshold 12 / g."""
    rng = np.random.default_rng(16)
    conv = nir.Conv2d(None, even(rng, 2, 1, 1, 2), 1, 0, 1, 1, np.array([3.0, -1]))
    gain = 2.0 ** rng.integers(0, 4, (2, 2, 3))
    node = nir.IF(r=gain / DT, v_threshold=np.full((2, 2, 3), 800.0))
    graph = graph_of(conv, node, shape=(1, 2, 4), scales={"n0": 1.0})
    network, (row,) = quantize(replace(graph, allow_vector=True))
    assert_array_equal(network.layers[0].vth_mant, 800 / gain)
    assert "simulators only" in row.notes[0]
    frames = (rng.random((60, 1, 2, 4)) < 0.4).astype(np.uint8)
    expected = run_nir(graph.nir_graph, DT, frames)
    assert 0 < expected.mean() < 1
    assert_array_equal(integer_loop(network, frames)[0], expected)


def test_thresholds_that_differ_go_into_rows_and_fire_the_same():
    """Rows times 4, 2 and 1: the same spikes, since each neuron's state, bias and threshold scale together."""
    rng = np.random.default_rng(5)
    one = np.ones(3)
    node = nir.IF(r=one / DT, v_threshold=np.array([16.0, 32.0, 64.0]))
    feed = nir.Affine(2.0 * rng.integers(-9, 15, (3, 4)), rng.integers(-3, 5, 3) * 1.0)
    loop = nir.Linear(2.0 * rng.integers(-9, 15, (3, 3)))
    graph = recurrent(graph_of(feed, node, shape=(4,), scales={"n0": 1.0}), "n1", loop)
    network, (row,) = quantize(graph)
    assert network.layers[0].vth_mant == 64
    assert_array_equal(network.layers[0].weight, feed.weight * [[4], [2], [1]])
    frames = (rng.random((60, 4)) < 0.4).astype(np.uint8)
    assert_array_equal(integer_loop(network, frames)[0], run_nir(graph.nir_graph, DT, frames))
    assert "thresholds differ: rows were multiplied by 1 to 4" in row.notes[0]
    vector, (row,) = quantize(replace(graph, allow_vector=True))
    assert_array_equal(vector.layers[0].vth_mant, [16, 32, 64])
    assert "simulators only" in row.notes[0]
    assert_array_equal(integer_loop(vector, frames)[0], run_nir(graph.nir_graph, DT, frames))


def test_decays_that_differ_behind_lasting_currents_go_only_where_they_are_allowed():
    one = np.ones(3)
    node = nir.CubaLIF(DT * np.array([1.0, 2, 4]), DT * np.array([2.0, 4, 8]), one, 0 * one, one, w_in=one)
    with pytest.raises(UserError, match=r"n1: its neurons have different decays, and their currents last"):
        quantize(graph_of(nir.Linear(np.eye(3)), node, shape=(3,)))
    graph = graph_of(nir.Linear(np.eye(3)), node, shape=(3,))
    network, (row,) = quantize(replace(graph, allow_vector=True))
    assert_array_equal(network.layers[0].i_decay, [4096, 2048, 1024])
    assert_array_equal(network.layers[0].v_decay, [2048, 1024, 512])
    assert any("decays of its own: simulators only" in note for note in row.notes)


def test_leaks_that_differ_drive_each_neuron_or_shift_its_threshold():
    one = np.ones(3)
    leak = np.array([0.0, 2.0, -4.0])
    node = nir.LIF(2 * DT * one, 2 * one, leak, v_threshold=8 * one)
    network, _ = quantize(graph_of(nir.Linear(np.eye(3) * 4), node, shape=(3,), scales={"n0": 2.0}))
    assert_array_equal(network.layers[0].bias, [0, 2, -4])
    node = nir.LIF(2 * DT * one, 2 * one, leak, v_threshold=np.array([8.0, 10, 4]), v_reset=leak)
    network, _ = quantize(graph_of(nir.Linear(np.eye(3) * 4), node, shape=(3,), scales={"n0": 2.0}))
    assert network.layers[0].vth_mant == 16, "8 above rest in all three"
