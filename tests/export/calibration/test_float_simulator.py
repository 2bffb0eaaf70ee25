"""The float execution against NIR's equations written out, node by node, and against numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from more_graphs import grid_graphs, recurrent
from nir_oracle import run_nir
from numpy.testing import assert_allclose, assert_array_equal
from small_graphs import DT, graph_of, lif

from spikeport.errors import UserError
from spikeport.export.calibration.float_simulator import float_layers, run_float
from spikeport.export.graph.spiking_graph import SpikingGraph, load_graph
from spikeport.export.lowering.branches.needs_layout import needs_layout
from spikeport.export.lowering.branches.one_chain import one_chain
from spikeport.export.lowering.branches.populations import populations
from spikeport.export.lowering.branches.relays import divisor_of
from spikeport.export.lowering.fold import fold
from spikeport.export.quantization.quantize import quantize


def test_voltages_of_one_neuron_by_hand():
    """Decay 1/2, gain 1, inputs 0.75 0.75 0 1 0 with threshold 1: v 0.75, 1.125 (fires), 0, 1 (does not), 0.5."""
    graph = graph_of(nir.Linear(np.array([[0.25]])), lif((1,)), shape=(1,))
    frames = np.array([[[3], [3], [0], [4], [0]]])
    trace = run_float(graph, frames, keep_membrane=True)
    assert_array_equal(trace.spikes[0, :, 0], [0, 1, 0, 0, 0])
    assert_array_equal(trace.membrane[0, :, 0], [0.75, 0, 0, 1.0, 0.5])
    trace = run_float(graph, frames, keep_membrane=True, reset="subtract")
    assert_array_equal(trace.spikes[0, :, 0], [0, 1, 0, 1, 0])
    assert_array_equal(trace.membrane[0, :, 0], [0.75, 0.125, 0.0625, 0.03125, 0.015625])


def test_a_current_that_decays_and_a_leak_voltage():
    """CubaLIF with tau_syn 4 dt, tau_mem 2 dt, w_in 4, r 2 (gain 1), v_leak 0.5 (drive 0.25), input 0.5 once.

    i: 0.5, 0.375; v: 0.5 + 0.25, 0.375 + 0.375 + 0.25 = 1 (no spike: not above 1).
    """
    one = np.ones(1)
    cell = nir.CubaLIF(4 * DT * one, 2 * DT * one, 2 * one, 0.5 * one, one, w_in=4 * one)
    trace = run_float(
        graph_of(nir.Linear(np.array([[0.5]])), cell, shape=(1,)), np.array([[[1], [0]]]), keep_membrane=True
    )
    assert_array_equal(trace.membrane[0, :, 0], [0.75, 1.0])
    assert not trace.spikes.any()


def random_graph(rng: np.random.Generator):
    """Convolution, pool, convolution, flatten, dense; nothing square, nothing twice."""
    conv = nir.Conv2d(
        None, rng.normal(size=(4, 1, 3, 2)), (1, 2), (1, 0), (1, 2), 2, 0.1 * rng.normal(size=4)
    )  # (2, 7, 11) -> (4, 7, 5)
    pool = nir.AvgPool2d(np.array([1, 2]), np.array([1, 2]), np.array([0, 0]))  # -> (4, 7, 2)
    second = nir.Conv2d(None, rng.normal(size=(3, 4, 2, 2)), 1, 0, 1, 1, np.zeros(3))  # -> (3, 6, 1)
    pool2 = nir.SumPool2d(np.array([2, 1]), np.array([2, 1]), np.array([0, 0]))  # -> (3, 3, 1)
    cells = [
        lif((4, 7, 5), tau=3 * DT, r=4.0, threshold=0.7),
        nir.IF(r=1.5 / DT * np.ones((3, 6, 1)), v_threshold=0.6 * np.ones((3, 6, 1))),
        nir.CubaLIF(*[k * DT * np.ones(5) for k in (2.5, 6)], 5 * np.ones(5), 0 * np.ones(5), 0.2 * np.ones(5)),
    ]
    dense = nir.Linear(rng.normal(size=(5, 9)))
    flat = nir.Flatten({"input": np.array([3, 3, 1])}, 0, -1)
    return graph_of(conv, cells[0], pool, second, cells[1], pool2, flat, dense, cells[2], shape=(2, 7, 11))


@pytest.mark.parametrize("seed", range(8))
def test_random_chains_fire_as_the_equations_say(seed):
    """Spikes equal the node-by-node oracle's; a sum within float64 rounding of a threshold does not occur."""
    rng = np.random.default_rng(seed)
    graph = random_graph(rng)
    frames = (rng.random((3, 13, 2, 7, 11)) < 0.4).astype(np.uint8)
    trace = run_float(graph, frames, keep_layers=True)
    expected = np.stack([run_nir(graph.nir_graph, DT, sample) for sample in frames])
    assert_array_equal(trace.spikes, expected)
    assert [spikes.shape for spikes in trace.layer_spikes] == [(3, 13, 4, 7, 5), (3, 13, 3, 6, 1), (3, 13, 5)]
    assert_array_equal(trace.layer_spikes[-1], trace.spikes)
    assert trace.spikes.any()


@pytest.mark.parametrize("seed", range(4))
def test_subtractive_reset_in_random_chains(seed):
    rng = np.random.default_rng(seed)
    graph = random_graph(rng)
    frames = (rng.random((2, 13, 2, 7, 11)) < 0.5).astype(np.uint8)
    expected = np.stack([run_nir(graph.nir_graph, DT, sample, reset="subtract") for sample in frames])
    assert_array_equal(run_float(graph, frames, reset="subtract").spikes, expected)


def test_loops_delays_and_neurons_that_differ():
    """Off every grid: a loop with a bias, delays before weights, time constants, gains and thresholds by neuron."""
    rng = np.random.default_rng(11)
    cell = nir.CubaLIF(
        rng.uniform(1.5, 4, 6) * DT, rng.uniform(1.5, 9, 6) * DT, rng.uniform(1, 5, 6), rng.uniform(-0.1, 0.1, 6),
        rng.uniform(0.3, 0.9, 6), w_in=rng.uniform(1, 3, 6),
    )  # fmt: skip
    nodes = [
        nir.Delay(DT * np.array([0.0, 4, 1, 13, 2])), nir.Affine(rng.normal(size=(4, 5)), 0.1 * rng.normal(size=4)),
        lif((4,), tau=3 * DT, r=4.0), nir.Scale(rng.uniform(0.5, 2, 4)), nir.Linear(rng.normal(size=(6, 4))), cell,
    ]  # fmt: skip
    graph = graph_of(*nodes, shape=(5,))
    back = nir.Affine(rng.normal(size=(6, 6)), 0.1 * rng.normal(size=6))
    graph = recurrent(graph, "n5", back, allow_vector=True)
    frames = (rng.random((4, 40, 5)) < 0.4).astype(np.uint8)
    expected = np.stack([run_nir(graph.nir_graph, DT, sample) for sample in frames])
    assert 0.02 < expected.mean() < 0.9
    assert_array_equal(run_float(graph, frames).spikes, expected)


def test_a_membrane_that_is_read_out():
    """A leaky integrator's voltages; and those of a neuron that is kept from firing because its membrane is read."""
    rng, one = np.random.default_rng(12), np.ones(3)
    feed = nir.Affine(rng.normal(size=(3, 4)), rng.normal(size=3))
    silent = graph_of(feed, nir.LI(tau=4 * DT * one, r=3 * one, v_leak=0.5 * one), shape=(4,))
    fires = graph_of(feed, nir.LIF(4 * DT * one, 3 * one, 0.5 * one, 0.2 * one), shape=(4,))
    read = SpikingGraph(nir_graph=fires.nir_graph, dt_s=DT, input_shape=(4,), readout="membrane-max")
    frames = (rng.random((5, 20, 4)) < 0.4).astype(np.uint8)
    expected = np.stack([run_nir(silent.nir_graph, DT, sample) for sample in frames])
    for graph, scores in ((silent, expected.sum(axis=1)), (read, expected.max(axis=1))):
        trace = run_float(graph, frames, keep_membrane=True)
        assert not trace.spikes.any()
        assert_allclose(trace.membrane, expected, rtol=1e-12, atol=1e-12)
        assert_array_equal(trace.classes(quantize(graph)[0].readout), scores.argmax(axis=1))


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(grid_graphs())
def test_random_graphs_over_the_whole_table(case):
    """On the grid float64 is exact, so folding may not change a spike or a voltage."""
    graph, frames = case
    try:
        layers = float_layers(graph)
    except UserError as error:
        legal = ("delays the bias", "cannot become one", "a relay needs weight")
        assert any(words in str(error) for words in legal), error  # noqa: PT017
        reject()
    fires = bool(np.all(np.isfinite(layers[-1][1].threshold)))
    trace = run_float(graph, frames[None], keep_membrane=True)
    expected = run_nir(graph.nir_graph, DT, frames).reshape(len(frames), -1)
    host = fold(one_chain(graph).chain(), DT).host
    if not fires and needs_layout(graph):  # a layout has the divisor of the pools in its weights
        found = populations(graph.nir_graph, DT)
        expected = expected * divisor_of(next(p for p in found.values() if p.silent))
    if host is not None:  # weights behind the last neuron
        rows = trace.spikes[0] @ host.weight.T + host.bias
        assert_allclose(host.gain * rows / host.divisor, expected, rtol=1e-12, atol=1e-12)
    else:
        assert_array_equal(trace.spikes[0] if fires else trace.membrane[0], expected)


def test_chunks_change_nothing_and_are_reported(monkeypatch):
    rng = np.random.default_rng(3)
    graph = random_graph(rng)
    frames = (rng.random((5, 9, 2, 7, 11)) < 0.4).astype(np.uint8)
    whole = run_float(graph, frames, keep_layers=True, keep_membrane=True)
    monkeypatch.setattr("spikeport.export.calibration.float_simulator.CHUNK_BYTES", 2 * 8 * 154 * 9)
    reported: list[tuple[int, int]] = []
    parts = run_float(
        graph, frames, keep_layers=True, keep_membrane=True, progress=lambda done, total: reported.append((done, total))
    )
    assert reported == [(2, 5), (4, 5), (5, 5)]
    for left, right in zip(whole.layer_spikes, parts.layer_spikes, strict=True):
        assert_array_equal(left, right)
    assert_allclose(whole.membrane, parts.membrane, rtol=0, atol=1e-12)  # a batch of another size may sum otherwise


def test_subtractive_reset_against_a_loop():
    """LIF, tau 3 dt, r 2: v <- 2/3 v + 2/3 W x, fires above 0.9, then v - 0.9. Asymmetric, several spikes in a row."""
    rng = np.random.default_rng(5)
    weight, frames = rng.normal(size=(4, 3)), rng.integers(0, 3, (2, 25, 3))
    graph = graph_of(nir.Linear(weight), lif((4,), tau=3 * DT, r=2.0, threshold=0.9), shape=(3,))
    trace = run_float(graph, frames, reset="subtract", keep_membrane=True)
    for n in range(2):
        v = np.zeros(4)
        for t in range(25):
            v = 2 / 3 * v + 2 / 3 * (weight @ frames[n, t])
            assert_array_equal(trace.spikes[n, t], v > 0.9)
            v = v - 0.9 * (v > 0.9)
            assert_allclose(trace.membrane[n, t], v, atol=1e-12)
    assert trace.spikes.sum() > run_float(graph, frames).spikes.sum() > 0
    with pytest.raises(UserError, match="'soft' is not a reset"):
        run_float(graph, frames, reset="soft")


def test_the_sinabs_network_fires_as_the_equations_say(shared_data: Path):
    """Sum pools, folded here and executed as pools there."""
    graph = load_graph(shared_data / "nir" / "cnn_sinabs.nir", dt_s=1e-3, reset="zero", if_gain="per_step")
    frames = (np.random.default_rng(0).random((2, 12, 2, 34, 34)) < 0.1).astype(np.uint8)
    expected = np.stack([run_nir(graph.nir_graph, 1e-3, sample) for sample in frames])
    trace = run_float(graph, frames)
    assert trace.spikes.any()
    assert_array_equal(trace.spikes, expected)
