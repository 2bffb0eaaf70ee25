"""Neurons that fire at v >= threshold: exact where states are whole units, said where they are not."""

from __future__ import annotations

from dataclasses import replace

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.calibration.float_simulator import run_float
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.quantization.quantize import quantize
from spikeport.export.quantization.thresholds import AT_THRESHOLD

DT = 1e-3


def graph_of(weights: np.ndarray, threshold: float, neuron: str, fires_at: str) -> SpikingGraph:
    """Weights m / 128 with 127 / 128 the largest: the chip's units are 1 / 256."""
    full = lambda value: np.full(len(weights), value)  # noqa: E731
    cell = {
        "integrator": nir.IF(r=full(1 / DT), v_threshold=full(threshold), v_reset=full(0.0)),
        "without memory": nir.LIF(tau=full(DT), r=full(1.0), v_leak=full(0.0), v_threshold=full(threshold)),
        "leaky": nir.LIF(tau=full(2 * DT), r=full(2.0), v_leak=full(0.0), v_threshold=full(threshold)),
    }[neuron]
    nodes = {
        "input": nir.Input({"input": np.array([weights.shape[1]])}), "fc": nir.Linear(weights), "cell": cell,
        "output": nir.Output({"output": np.array([len(weights)])}),
    }  # fmt: skip
    edges = [("input", "fc"), ("fc", "cell"), ("cell", "output")]
    graph = nir.NIRGraph(nodes, edges, type_check=False)
    return SpikingGraph(nir_graph=graph, dt_s=DT, input_shape=(weights.shape[1],), fires_at=fires_at)


def by_hand(weights: np.ndarray, threshold: float, keep: float, frames: np.ndarray, fires_at: str) -> np.ndarray:
    """Ten lines of NumPy: all numbers are multiples of 1 / 256 or dyadic, so that float64 is exact."""
    result = []
    for sample in frames:
        v, spikes = np.zeros(len(weights)), []
        for frame in sample:
            v = keep * v + weights @ frame
            fired = v >= threshold if fires_at == ">=" else v > threshold
            v = np.where(fired, 0, v)
            spikes.append(fired)
        result.append(spikes)
    return np.array(result, dtype=np.uint8)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    neuron=st.sampled_from(["integrator", "without memory"]),
    units=st.integers(2, 200),
    between=st.sampled_from([0.0, 0.25, 0.5, 0.75]),
)
def test_whole_states_are_exact_for_every_threshold(seed, neuron, units, between):
    """k >= T of whole k is k > ceil(T) - 1; T itself need not be whole."""
    random = np.random.default_rng(seed)
    weights = random.integers(-60, 127, (5, 7)) / 128
    weights.flat[0] = 127 / 128
    threshold, keep = (units + between) / 256, 1.0 if neuron == "integrator" else 0.0
    frames = (random.random((3, 11, 7)) < 0.4).astype(np.uint8)
    graph = graph_of(weights, threshold, neuron, ">=")
    wanted = by_hand(weights, threshold, keep, frames, ">=")
    network, _ = quantize(graph)
    assert_array_equal(simulate(network, frames).spikes, wanted)
    assert_array_equal(run_float(graph, frames).spikes, wanted)


def test_the_comparison_matters_and_above_is_as_before():
    """v meets a threshold of 64 / 128 exactly: the two comparisons fire at other times, each as by hand."""
    weights = np.array([[127, 64, -64, 32], [64, 32, 32, -32]]) / 128
    frames = (np.random.default_rng(3).random((4, 13, 4)) < 0.4).astype(np.uint8)
    fired = {}
    for fires_at in (">", ">="):
        network, (row,) = quantize(graph_of(weights, 0.5, "integrator", fires_at))
        fired[fires_at] = simulate(network, frames).spikes
        assert_array_equal(fired[fires_at], by_hand(weights, 0.5, 1.0, frames, fires_at))
        assert row.threshold_error == 0
    assert np.count_nonzero(fired[">"] != fired[">="]) > 10


def test_leaky_states_are_one_sixty_fourth_off_and_say_so():
    """With v in 64ths of a unit the comparison stays v > T, which differs from v >= T at one value alone."""
    weights = np.array([[127, 64, -64, 32], [64, 32, 32, -32]]) / 128
    at, above = (graph_of(weights, 0.5, "leaky", fires_at) for fires_at in (">=", ">"))
    (network, (row,)), (same, (plain,)) = quantize(at), quantize(above)
    assert AT_THRESHOLD in row.notes
    assert AT_THRESHOLD not in plain.notes
    assert int(network.layers[0].vth_mant) == int(same.layers[0].vth_mant) == 128
    frames = (np.random.default_rng(5).random((4, 13, 4)) < 0.4).astype(np.uint8)
    assert_array_equal(run_float(at, frames).spikes, by_hand(weights, 0.5, 0.5, frames, ">="))


def test_a_read_out_of_membranes_has_no_comparison():
    weights = np.array([[127, 64, -64, 32], [64, 32, 32, -32]]) / 128
    _, (row,) = quantize(replace(graph_of(weights, 0.5, "leaky", ">="), readout="membrane-sum"))
    assert AT_THRESHOLD not in row.notes


@pytest.mark.parametrize("scale", [256.0])
def test_a_layer_on_the_grid_is_exact_too(scale):
    weights = np.array([[127, 64, -64, 32], [64, 32, 32, -32]]) / 128
    graph = replace(graph_of(weights, 0.5, "integrator", ">="), scales={"fc": scale})
    network, _ = quantize(graph)
    assert int(network.layers[0].vth_mant) == 127
