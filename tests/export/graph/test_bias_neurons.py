"""Biases of synaptic currents become the weights of a neuron that always fires."""

from __future__ import annotations

import re
from dataclasses import replace

import nir
import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from more_graphs import FLATTEN, recurrent
from nir_oracle import run_nodes
from numpy.testing import assert_array_equal
from random_graphs import even, random_graph
from random_networks import delayed_sum, integer_loop, weighted_sum
from small_graphs import DT, graph_of

from spikeport.errors import UserError
from spikeport.export.graph.spiking_graph import SpikingGraph, load_graph
from spikeport.export.quantization.bias_neurons import with_messages
from spikeport.export.quantization.quantize import quantize


def slow(shape: tuple[int, ...], threshold: float) -> nir.CubaLIF:
    """Current and voltage keep 1/2 and 3/4 a step; gain 1."""
    one = np.ones(shape)
    return nir.CubaLIF(2 * DT * one, 4 * DT * one, 4 * one, 0 * one, threshold * one, w_in=2 * one)


def bias_as_neuron(graph: SpikingGraph) -> SpikingGraph:
    return replace(graph, bias="neuron")


def untruncated(network, frames) -> list[np.ndarray]:
    """Each layer's spikes with truncation undone: Loihi's steps in float64, to compare with NIR's exactly."""
    outputs, arriving = [], frames.astype(np.int64)
    for layer in network.layers:
        u = v = np.zeros(layer.output_shape)
        own = np.zeros((len(frames), *layer.output_shape), dtype=np.int64)
        for t, frame in enumerate(arriving):
            a = weighted_sum(layer, frame) if layer.kind == "conv" else delayed_sum(layer.weight, layer, arriving, t)
            if layer.weight_rec is not None:
                a = a + layer.weight_rec @ (own[t - 1] if t else 0 * own[0])
            u = u * (1 - layer.i_decay / 4096) + 64.0 * a
            v = v * (1 - layer.v_decay / 4096) + u + 64 * layer.bias_map
            own[t] = v > 64 * layer.vth_mant
            v = np.where(own[t] > 0, 0, v)
        arriving = own
        outputs.append(own)
    return outputs


def test_a_bias_of_slow_currents_becomes_the_weight_of_a_neuron_that_always_fires():
    """The first layer is recurrent and reads the input, so a layer is put before it; the second is fed by the first."""
    rng = np.random.default_rng(11)
    feed = nir.Affine(even(rng, 5, 4), 2.0 * rng.integers(-5, 9, 5))
    second = nir.Affine(even(rng, 3, 5), 2.0 * rng.integers(2, 9, 3))
    graph = graph_of(feed, slow((5,), 71.0), second, slow((3,), 101.0), shape=(4,), scales={"n0": 1.0, "n2": 1.0})
    graph = bias_as_neuron(recurrent(graph, "n1", nir.Affine(even(rng, 5, 5), 2.0 * rng.integers(-5, 9, 5))))
    network, table = quantize(graph)
    assert [layer.output_shape for layer in network.layers] == [(5,), (6,), (3,)]
    assert [row.name for row in table] == [layer.name for layer in network.layers]
    assert "hands every spike on" in table[0].notes[0]
    assert "a neuron that always fires was added; its weights are the bias of n2" in table[1].notes[-1]
    frames = (rng.random((24, 4)) < 0.3).astype(np.uint8)
    expected = run_nodes(graph.nir_graph, DT, frames)
    found = untruncated(network, frames)
    assert_array_equal(found[0][:, :4], frames)
    assert found[0][:, 4].all()
    assert found[1][:, 5].all(), "from the first step on"
    assert_array_equal(found[1][:, :5], expected["n1"])
    assert_array_equal(found[2], expected["n3"])
    assert 0 < expected["n3"].mean() < 1
    assert integer_loop(network, frames)[1][:, 5].all(), "and in integers"


def test_bias_channels_of_convolutions():
    """Padding, groups and a dense layer behind a convolution; the tap in use never reads padding."""
    rng = np.random.default_rng(12)
    first = nir.Conv2d(None, even(rng, 4, 2, 3, 2), (1, 2), (1, 0), (1, 1), 1, 2.0 * rng.integers(1, 9, 4))
    second = nir.Conv2d(None, even(rng, 4, 2, 3, 3), 1, "same", 1, 2, 2.0 * rng.integers(1, 9, 4))
    third = nir.Affine(even(rng, 3, 4 * 5 * 3), 2.0 * rng.integers(2, 9, 3))
    nodes = [first, slow((4, 5, 3), 91.0), second, slow((4, 5, 3), 121.0), FLATTEN, third, slow((3,), 151.0)]
    scales = {"n0": 1.0, "n2": 1.0, "n5": 1.0}
    graph = bias_as_neuron(graph_of(*nodes, shape=(2, 5, 7), scales=scales))
    network, _ = quantize(graph)
    assert [layer.output_shape[0] for layer in network.layers] == [3, 5, 5, 3]
    frames = (rng.random((16, 2, 5, 7)) < 0.2).astype(np.uint8)
    expected, found = run_nodes(graph.nir_graph, DT, frames), untruncated(network, frames)
    assert_array_equal(found[1][:, :4], expected["n1"])
    assert_array_equal(found[2][:, :4], expected["n3"])
    assert_array_equal(found[3], expected["n6"])
    assert all(0 < expected[name].mean() < 1 for name in ("n1", "n3", "n6"))


def test_a_kernel_that_always_reads_padding_somewhere_gets_neurons_in_the_padding():
    rng = np.random.default_rng(15)
    conv = nir.Conv2d(None, even(rng, 2, 1, 1, 2), 1, (2, 0), 1, 1, np.array([14.0, -6.0]))
    graph = bias_as_neuron(graph_of(conv, slow((2, 7, 4), 31.0), shape=(1, 3, 5), scales={"n0": 1.0}))
    network, _ = quantize(graph)
    assert [layer.output_shape for layer in network.layers] == [(2, 7, 5), (2, 7, 4)]
    assert network.layers[1].padding == (0, 0)
    frames = (rng.random((16, 1, 3, 5)) < 0.3).astype(np.uint8)
    expected = run_nodes(graph.nir_graph, DT, frames)["n1"]
    assert expected[:, :, 0].any(), "the bias fires where no input ever arrives"
    assert_array_equal(untruncated(network, frames)[1], expected)


def test_the_braille_network_runs_with_bias_neurons(shared_data):
    """Each of its 12 inputs alone: hidden spikes of the float graph but for rounding (weights of 8 bits, spread over
    13.4 where most lie below 1)."""
    graph = load_graph(shared_data / "nir" / "braille_noDelay_bias_zero.nir", reset="zero", bias="neuron")
    network, table = quantize(graph)
    assert [layer.output_shape for layer in network.layers] == [(13,), (39,), (7,)]
    assert table[1].scale == pytest.approx(254 / 13.388693, rel=1e-6)
    rng, wrong, fired = np.random.default_rng(13), [], 0
    for channel in range(12):
        frames = (np.eye(12)[channel] * (rng.random((100, 1)) < 0.5)).astype(np.uint8)
        expected = run_nodes(graph.nir_graph, graph.dt_s, frames)["lif1.lif"]
        hidden = integer_loop(network, frames)[1][:, :38]
        wrong.append(np.mean(hidden != expected))
        fired += int(expected.sum())
    assert fired > 1000
    assert max(wrong) < 0.04


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32 - 1))
def test_random_graphs_of_slow_currents_with_biases_fire_as_nir_says(seed):
    """But for truncation, which is undone here: the rewrite itself changes no spike, in any layer."""
    graph, frames = random_graph(np.random.default_rng(seed), slow=True)
    try:
        network, table = quantize(graph)
    except UserError as error:
        words = "cannot become one|outside -25|netx would run|even integer|differs within a channel"
        assert re.search(words, str(error)), error  # noqa: PT017
        reject()
    expected, found = run_nodes(graph.nir_graph, DT, frames), untruncated(network, frames)
    for row, spikes in zip(table, found, strict=True):
        nodes = [name for name in expected if name == row.neuron or name.startswith(f"{row.neuron}.lif")]
        if nodes and isinstance(graph.nir_graph.nodes[row.neuron], nir.CubaLIF):
            neurons = expected[nodes[0]].reshape(len(frames), -1)
            channels = spikes.reshape(len(frames), -1)
            assert_array_equal(channels[:, : neurons.shape[1]], neurons)
            assert channels[:, neurons.shape[1] :].all()


def test_counts_do_not_pass_a_layer_that_hands_spikes_on():
    graph = graph_of(nir.Affine(np.eye(3) * 2, np.ones(3) * 2), slow((3,), 9.0), shape=(3,))
    with pytest.raises(UserError, match=r"^n0\.bias_neuron: counts of 4 bits would become single spikes"):
        with_messages(quantize(bias_as_neuron(graph))[0], 4, graph)
    network = quantize(graph_of(nir.Linear(np.eye(3) * 2), slow((3,), 9.0), shape=(3,)))[0]
    assert with_messages(network, 4, graph).input_limit == 15


def test_a_layer_that_cannot_take_a_neuron_that_always_fires_gets_one_behind_it():
    """Thresholds of 4095 and more are out of a bias's reach, and so are groups of channels."""
    rng = np.random.default_rng(14)
    second = nir.Affine(even(rng, 3, 4), 2.0 * rng.integers(2, 9, 3))
    high = nir.IF(r=np.ones(4) / DT, v_threshold=np.full(4, 4095.0))
    graph = graph_of(
        nir.Linear(even(rng, 4, 4)),
        high,
        second,
        slow((3,), 101.0),
        shape=(4,),
        scales=dict.fromkeys(["n0", "n2"], 1.0),
    )
    network, table = quantize(bias_as_neuron(graph))
    assert [layer.name for layer in network.layers] == ["n0", "n2.bias_neuron", "n2"]
    assert [row.name for row in table] == ["n0", "n2.bias_neuron", "n2"]
    grouped = nir.Conv2d(None, even(rng, 4, 1, 1, 1), 1, 0, 1, 4, np.zeros(4))
    cell = nir.IF(r=np.ones((4, 2, 3)) / DT, v_threshold=np.full((4, 2, 3), 9.0))
    last = nir.Conv2d(None, even(rng, 2, 4, 1, 2), 1, 0, 1, 1, np.ones(2) * 4)
    graph = graph_of(
        grouped, cell, last, slow((2, 2, 2), 31.0), shape=(4, 2, 3), scales=dict.fromkeys(["n0", "n2"], 1.0)
    )
    network, _ = quantize(bias_as_neuron(graph))
    assert [layer.output_shape for layer in network.layers] == [(4, 2, 3), (5, 2, 3), (2, 2, 2)]
    frames = (rng.random((12, 4, 2, 3)) < 0.4).astype(np.uint8)
    assert_array_equal(untruncated(network, frames)[2], run_nodes(graph.nir_graph, DT, frames)["n3"])
