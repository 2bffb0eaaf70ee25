"""The scale search: it finds what a hand can see, keeps the max-abs scale where that is not beaten, and its report's
numbers are those of independent executions."""

from __future__ import annotations

import json
from dataclasses import asdict

import nir
import numpy as np
import pytest
from more_graphs import recurrent
from nir_oracle import run_nir
from numpy.testing import assert_array_equal
from random_networks import integer_loop, integer_states
from small_graphs import DT, graph_of, lif

from spikeport.errors import UserError
from spikeport.export.calibration.calibrate import calibrate
from spikeport.export.calibration.report import CRITERION
from spikeport.export.calibration.spike_distance import spike_distance
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.network.fixed_point import ACCUMULATOR_LIMIT, THRESHOLD_LIMIT
from spikeport.export.quantization.quantize import quantize


def spikes(rng: np.random.Generator, *shape: int, density: float = 0.3) -> np.ndarray:
    return (rng.random(shape) < density).astype(np.uint8)


def with_outliers(rng: np.random.Generator):
    """Two dense layers whose largest weight stands far out, on an input that never spikes: the max-abs scale wastes its
    three bits on it."""
    first, second = rng.normal(0.25, 0.3, (12, 9)), rng.normal(0.1, 0.3, (5, 12))
    first[3, 8] = second[2, 7] = 6.0
    return graph_of(nir.Linear(first), lif((12,)), nir.Linear(second), lif((5,)), shape=(9,))


def frames_for_outliers(rng: np.random.Generator, samples: int) -> np.ndarray:
    frames = spikes(rng, samples, 30, 9)
    frames[..., 8] = 0
    return frames


def test_distance_by_hand():
    """One neuron, four steps, a spike wanted at step 1: late by one costs 1/4, one more at step 2 2/4, none 3/4."""
    wanted = np.array([[[0], [1], [0], [0]]], dtype=np.uint8)
    late = np.array([[[0], [0], [1], [0]]], dtype=np.uint8)
    one_more = np.array([[[0], [1], [1], [0]]], dtype=np.uint8)
    none = np.zeros_like(wanted)
    assert [spike_distance(given, wanted) for given in (wanted, late, one_more, none)] == [0, 0.25, 0.5, 0.75]
    two = np.concatenate([wanted, wanted]), np.concatenate([late, none])
    assert spike_distance(two[1], two[0]) == (0.25 + 0.75) / 2


def test_outliers_are_clipped_where_that_resolves_the_others():
    rng = np.random.default_rng(0)
    graph = with_outliers(rng)
    frames = frames_for_outliers(rng, 30)
    network, rows, report = calibrate(graph, frames, bits=3, samples=30)
    assert report.selected == "searched"
    assert (report.samples_searched, report.samples_checked) == (20, 10)
    assert report.searched_distance < 0.5 * report.max_abs_distance
    assert [row.clipped > 0 and row.max_abs_clipped == 0 for row in report.layers] == [True, True]
    assert [row.scale > 1.5 * row.max_abs_scale for row in report.layers] == [True, True]
    assert [row.scale for row in rows] == [row.scale for row in report.layers]
    for layer in network.layers:
        assert not np.any(layer.weight % 64)
        assert np.abs(layer.weight).max() <= 192


def test_the_numbers_of_the_report_are_those_of_independent_executions():
    """Float by the node-by-node oracle, integers by the plain loop, on the samples of the check (every third)."""
    rng = np.random.default_rng(1)
    graph = with_outliers(rng)
    frames, labels = frames_for_outliers(rng, 12), rng.integers(0, 5, 12)
    network, _, report = calibrate(graph, frames, labels, bits=3, samples=12)
    plain, _ = quantize(graph, bits=3)
    check = frames[2::3]
    wanted = np.stack([run_nir(graph.nir_graph, DT, sample) for sample in check]).astype(np.uint8)
    ours = [np.stack([integer_loop(one, sample)[-1] for sample in check]) for one in (plain, network)]
    last = report.layers[-1]
    assert last.spikes == wanted.sum() > 0
    assert (last.max_abs_mismatches, last.mismatches) == tuple(int((given != wanted).sum()) for given in ours)
    distances = [spike_distance(given, wanted) for given in ours]
    assert (report.max_abs_distance, report.searched_distance) == pytest.approx(distances)
    rates = [np.abs(given.sum(axis=1).astype(int) - wanted.sum(axis=1)).sum() / wanted.sum() for given in ours]
    assert (last.max_abs_rate_error, last.rate_error) == pytest.approx(rates)
    assert report.float_accuracy == np.mean(np.argmax(_scores(wanted), axis=1) == labels[2::3])
    assert report.searched_accuracy == np.mean(np.argmax(_scores(ours[1]), axis=1) == labels[2::3])
    assert report.criterion == CRITERION
    json.dumps(asdict(report), allow_nan=False)
    assert "searched scales selected" in "\n".join(report.lines())


def _scores(spikes: np.ndarray) -> np.ndarray:
    """Most spikes first, then the smallest sum of steps."""
    steps = spikes.shape[1]
    return spikes.sum(axis=1) * steps**2 - np.einsum("ntk,t->nk", spikes.astype(int), np.arange(steps))


def test_the_max_abs_scale_stays_where_it_is_exact():
    """Weights that are whole steps of the max-abs grid: nothing to gain, and the network is quantize's own."""
    rng = np.random.default_rng(2)
    weight = rng.integers(-127, 128, (6, 5)) / 127
    weight[0, 0] = 1.0
    graph = graph_of(nir.Linear(weight), lif((6,), threshold=127 / 127), shape=(5,))
    network, rows, report = calibrate(graph, spikes(rng, 9, 20, 5))
    assert (report.selected, report.max_abs_distance, report.searched_distance) == ("max_abs", 0, 0)
    assert report.max_abs_agreement == 1
    expected, expected_rows = quantize(graph)
    assert_array_equal(network.layers[0].weight, expected.layers[0].weight)
    assert rows == expected_rows
    assert report.layers[0].mismatches == 0


def test_layers_that_are_quantized_already_are_left_alone():
    weight = np.array([[2.0, -1.5, 0.5]])
    graph = graph_of(nir.Linear(weight), lif((1,), threshold=1.5), shape=(3,), scales={"n0": 64.0})
    network, _, report = calibrate(graph, spikes(np.random.default_rng(3), 6, 15, 3), bits=8)
    assert not report.layers[0].searched
    assert report.layers[0].tried == 1
    assert_array_equal(network.layers[0].weight, [[128, -96, 32]])


def test_the_same_frames_give_the_same_scales_and_progress_ends():
    rng = np.random.default_rng(4)
    graph, frames = with_outliers(rng), spikes(rng, 9, 20, 9)
    reported: list[tuple[int, int]] = []
    first = calibrate(graph, frames, bits=4, progress=lambda done, total: reported.append((done, total)))
    second = calibrate(graph, frames, bits=4)
    assert asdict(first[2]) == asdict(second[2])
    assert reported == sorted(reported)
    assert reported[-1][0] == reported[-1][1] == max(total for _, total in reported)


def test_no_time_means_no_search():
    rng = np.random.default_rng(5)
    graph = with_outliers(rng)
    _, _, report = calibrate(graph, spikes(rng, 6, 10, 9), bits=3, seconds=0)
    assert report.selected == "max_abs"
    assert [row.tried for row in report.layers] == [1, 1]


def test_scales_stay_legal_where_the_threshold_binds():
    """A threshold 2,000 times the largest weight: no larger scale is legal, so no weight is clipped by the search."""
    rng = np.random.default_rng(6)
    graph = graph_of(
        nir.Linear(rng.uniform(0.1, 1, (3, 4))), nir.IF(1 / DT * np.ones(3), 2000 * np.ones(3)), shape=(4,)
    )
    network, _, report = calibrate(graph, np.ones((3, 900, 4), dtype=np.uint8), bits=6)
    assert network.layers[0].vth_mant <= THRESHOLD_LIMIT
    assert report.layers[0].accumulator_bound < ACCUMULATOR_LIMIT
    assert report.layers[0].scale <= report.layers[0].max_abs_scale


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_weights_are_on_the_grid_of_their_bits(bits):
    rng = np.random.default_rng(bits)
    graph = with_outliers(rng)
    network, _, report = calibrate(graph, spikes(rng, 6, 12, 9), bits=bits)
    grid = 2 ** (9 - bits)
    for layer, row in zip(network.layers, report.layers, strict=True):
        assert not np.any(layer.weight % grid)
        assert np.abs(layer.weight).max() <= 256 - grid
        assert row.threshold_steps == layer.vth_mant / grid


def test_counts_become_spikes_or_messages_and_the_loss_is_reported():
    """3 of 10 events lost as spikes: a count of 3 keeps 1, one of 2 keeps 1. Two bits hold both."""
    rng = np.random.default_rng(7)
    graph = graph_of(nir.Linear(rng.normal(size=(3, 4))), lif((3,)), shape=(4,))
    frames = np.zeros((1, 6, 4), dtype=np.uint8)
    frames[0, [0, 1, 2, 3, 4, 5, 5], [0, 1, 2, 3, 0, 1, 2]] = [3, 2, 1, 1, 1, 1, 1]
    _, _, report = calibrate(graph, frames)
    assert (report.events, report.events_lost) == (10, 3)
    assert any("3 of 10 events (30.00 %) are lost: counts above 1" in note for note in report.notes)
    assert any("the check is on the frames of the search" in note for note in report.notes)
    network, _, report = calibrate(graph, frames, input_message_bits=2)
    assert (network.input_message_bits, report.events_lost) == (2, 0)
    assert report.layers[0].peaks.accumulated == np.abs(integer_sums(network, frames)).max()


def integer_sums(network, frames: np.ndarray) -> np.ndarray:
    return frames.astype(np.int64) @ network.layers[0].weight.astype(np.int64).T


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (np.zeros((0, 5, 9)), "the calibration frames are empty"),
        (np.zeros((2, 5, 8)), r"calibration frames have shape \(8,\), the graph takes \(9,\)"),
        (np.full((2, 5, 9), 0.5), "hold values that are not counts"),
        (np.full((2, 5, 9), -1), "hold values that are not counts"),
    ],
)
def test_frames_that_cannot_be_used_are_refused(frames, words):
    with pytest.raises(UserError, match=words):
        calibrate(with_outliers(np.random.default_rng(0)), frames)


def test_membranes_loops_and_delays_are_calibrated():
    """Four bits, a loop, a delay, an output that never fires: voltages come nearer, and are those of the plain loop."""
    rng = np.random.default_rng(8)
    first, last = rng.normal(0.2, 0.3, (8, 5)), rng.normal(size=(3, 8))
    first[0, 4] = last[1, 7] = 5.0  # outliers: input 4 and neuron 7 never spike
    first[7] = -0.3
    nodes = [
        nir.Linear(first), lif((8,), tau=4 * DT, r=3.0), nir.Delay(DT * np.arange(8.0)), nir.Linear(last),
        nir.LI(tau=4 * DT * np.ones(3), r=4 * np.ones(3), v_leak=np.zeros(3)),
    ]  # fmt: skip
    graph = recurrent(graph_of(*nodes, shape=(5,)), "n1", nir.Linear(rng.normal(-0.1, 0.2, (8, 8))))
    frames = spikes(rng, 18, 25, 5)
    frames[..., 4] = 0
    network, rows, report = calibrate(graph, frames, bits=4)
    assert network.readout.kind == "membrane"
    assert network.layers[0].weight_rec is not None
    assert network.layers[1].max_delay == 7
    assert report.selected == "searched"
    assert report.searched_distance < report.max_abs_distance
    check = frames[2::3]
    wanted = np.stack([run_nir(graph.nir_graph, DT, sample) for sample in check])
    given = np.stack([integer_states(network, sample)[-1][1] for sample in check]) / (64 * rows[1].scale)
    expected = np.sqrt(np.mean((given - wanted) ** 2) / np.mean(wanted**2))
    assert report.searched_distance == pytest.approx(expected)


def test_bias_neurons_stay_out_of_the_comparison():
    """Biases before a synaptic current: the integer network has a relay layer, and its first one neuron more."""
    rng = np.random.default_rng(9)

    def slow(size: int) -> nir.CubaLIF:
        one = np.ones(size)
        return nir.CubaLIF(3 * DT * one, 4 * DT * one, 3 * one, 0 * one, one, w_in=2 * one)

    first, last = (nir.Affine(rng.normal(size=shape), rng.normal(size=shape[0])) for shape in ((6, 5), (3, 6)))
    nodes = [first, slow(6), last, slow(3)]
    plain = graph_of(*nodes, shape=(5,))
    graph = SpikingGraph(nir_graph=plain.nir_graph, dt_s=DT, input_shape=(5,), bias="neuron")
    frames = spikes(rng, 9, 20, 5)
    network, _, report = calibrate(graph, frames, bits=5)
    assert len(network.layers) > len(report.layers) == 2
    assert [layer.neurons for layer in network.layers] == [6, 7, 3]
    check = frames[2::3]
    wanted = np.stack([run_nir(plain.nir_graph, DT, sample) for sample in check])
    given = np.stack([integer_loop(network, sample)[-1] for sample in check])
    assert report.layers[-1].spikes == wanted.sum() > 0
    assert report.layers[-1].mismatches == (given != wanted).sum()


def test_layers_of_clones_are_compared_copy_by_copy():
    """Copies of hidden neurons change the weights behind them only: the hidden layer differs at the same entries."""
    rng = np.random.default_rng(0)
    graph, frames = with_outliers(rng), frames_for_outliers(rng, 12)
    _, _, plain = calibrate(graph, frames, bits=3)
    network, _, cloned = calibrate(graph, frames, bits=3, clones=3)
    assert network.layers[0].output_shape == (36,)
    assert plain.layers[0].max_abs_mismatches > 0
    for key in ("max_abs_scale", "max_abs_mismatches", "max_abs_distance", "spikes"):
        assert getattr(cloned.layers[0], key) == getattr(plain.layers[0], key), key
    assert cloned.layers[1].max_abs_scale == pytest.approx(3 * plain.layers[1].max_abs_scale)
    assert cloned.layers[1].max_abs_distance < plain.layers[1].max_abs_distance
