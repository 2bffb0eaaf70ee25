"""What rounding kills is named, row by row: three files that go wrong, and numbers worked by hand."""

from __future__ import annotations

import dataclasses
import json
import re

import nir
import numpy as np
import pytest
from small_graphs import graph_of

from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.calibration.calibrate import calibrate
from spikeport.export.calibration.float_simulator import run_float
from spikeport.export.graph.spiking_graph import load_graph
from spikeport.export.quantization.quantize import quantize
from spikeport.pipeline.report.content.layer_rows import layer_notes


def lif(shape, *, tau=2e-3, threshold=1.0):
    """Gain 1: r = tau / dt."""
    full = [np.full(shape, value) for value in (tau, tau / 1e-3, 0.0, threshold, 0.0)]
    return nir.LIF(*full)


@pytest.mark.parametrize(
    ("case", "dead", "zeroed", "float_spikes", "sentence"),
    [
        (
            "dead-row",
            (0,),
            10,
            [100, 100],
            r"1 of 2 output neurons without any weight \(0\).*--calibrate FRAMES.npz.*--row-scales",
        ),
        ("dead-outlier", (), 9, [200], r"9 of 10 weights became 0.*--calibrate FRAMES.npz"),
        ("dead-channel", (0,), 2, [1600, 1600], r"1 of 2 output channels without any weight \(0\).*--calibrate"),
    ],
)
def test_the_files_whose_rows_die_say_so_and_calibrating_keeps_them(cases, case, dead, zeroed, float_spikes, sentence):
    """The float graph's spikes are those of the file's README; calibrated, no output spike differs."""
    graph = load_graph(cases / f"{case}.nir", dt_s=1e-3, reset="zero")
    frames = np.load(cases / f"{case}.npz")["frames"]
    network, (row,) = quantize(graph)
    rows = len(network.layers[0].weight)
    wanted = run_float(graph, frames).spikes
    assert wanted.sum((0, 1)).reshape(rows, -1).sum(1).tolist() == float_spikes
    assert row.loss.dead == dead
    assert row.loss.dead_rows == len(dead)
    assert row.loss.zeroed == zeroed
    assert row.loss.row_error == (1.0 if dead else pytest.approx(0.003, rel=1e-3))
    assert len([loss for loss in row.losses if "threshold is only 0.5 weight steps" in loss]) == 1
    assert any(re.search(sentence, note) for note in row.notes)
    assert json.loads(json.dumps(dataclasses.asdict(row)))["loss"]["dead"] == list(dead)
    notes = layer_notes([{"name": row.name}], [dataclasses.asdict(row)], "no device")
    assert any(re.search(sentence, note) for note in notes)
    alive, (kept,), _ = calibrate(graph, frames, None)
    assert np.array_equal(simulate(alive, frames).spikes, wanted)
    assert kept.loss.dead_rows == 0


def test_rows_weights_and_biases_are_counted_as_worked_by_hand():
    """Scale 254 / 127 = 2 with steps of 2: |w| < 0.5 becomes 0. Row 1 dies, row 3 was never alive, row 2 loses one of
    two weights: its error is 0.4 / sqrt(0.4^2 + 3^2). Of the biases 0.2 becomes 0 (0.4 rounds to 0), 3 stays; kept for
    ever half of it, 0.2 lifts the voltage to 0.4."""
    weight = np.array([[127.0, -20.0], [0.4, -0.3], [0.4, 3.0], [0.0, 0.0]])
    bias = np.array([3.0, 0.2, 0.0, 0.0])
    graph = graph_of(nir.Affine(weight, bias), lif(4, threshold=1.0), shape=(2,))
    network, (row,) = quantize(graph)
    assert network.layers[0].weight.tolist() == [[254, -40], [0, 0], [0, 6], [0, 0]]
    assert (row.loss.zeroed, row.loss.dead_rows, row.loss.dead, row.loss.lost_biases) == (3, 1, (1,), 1)
    assert (row.loss.worst_row, row.loss.row_error) == (1, 1.0)
    assert any("1 biases became 0" in note and "0.4 of the threshold" in note for note in row.notes)
    assert any("threshold is only 1 weight steps" in note for note in row.notes)


def test_the_worst_row_is_told_where_it_lives_on():
    """Scale 2: [1.4, 0.4] becomes [2, 0] / 2, off by (0.4, 0.4) of (1.4, 0.4): 0.39 of its norm, not told; [0.6, 0.4]
    becomes [1, 0], off by (0.4, 0.4) of (0.6, 0.4): 0.78, told."""
    quiet = np.array([[127.0, 100.0], [90.0, 50.0], [1.4, 0.4]])
    loud = np.array([[127.0, 100.0], [90.0, 50.0], [0.6, 0.4]])
    for weight, error, reported in ((quiet, 0.3885, False), (loud, 0.7845, True)):
        graph = graph_of(nir.Linear(weight), lif(3, threshold=40.0), shape=(2,))
        _, (row,) = quantize(graph)
        assert (row.loss.worst_row, row.loss.row_error) == (2, pytest.approx(error, abs=1e-3))
        assert any(f"weights of row 2 are off by {error:.2g}" in note for note in row.notes) == reported


@pytest.mark.parametrize(
    ("tau", "error", "words"),
    [
        (20.0, 1.0, "the voltage's leak of 5e-05 a step became 0"),
        (1.0001e-3, 1.0, "the voltage keeps 0.0001 of itself a step, which became nothing"),
        (3.0, 1 - 3000 / 4096, "the voltage's decay is off by 27 %"),
        (2e-3, 0.0, ""),
        (1e-3, 0.0, ""),
    ],
)
def test_leaks_that_round_to_nothing_or_to_all_are_named(tau, error, words):
    """4096 dt / tau: 0.2 and 4095.6 round to 0 and 4096; 4096 / 3000 to 1, which is 3000 / 4096 of what was meant."""
    graph = graph_of(nir.Linear(np.array([[1.0, 2.0]])), lif(1, tau=tau, threshold=5.0), shape=(2,))
    _, (row,) = quantize(graph)
    assert row.loss.decay_error == pytest.approx(error, abs=1e-4)
    assert [loss for loss in row.losses if "decay" in loss or "keeps" in loss or "leak" in loss] == [
        loss for loss in row.losses if words and words in loss
    ]
    assert any(words in note for note in row.losses) or not words


def test_a_graph_on_the_grid_and_an_ordinary_one_lose_nothing():
    weight = np.random.default_rng(3).normal(size=(5, 7))
    _, (row,) = quantize(graph_of(nir.Linear(weight), lif(5), shape=(7,)))
    assert row.losses == ()
    assert row.loss.dead_rows == 0
    assert 0 < row.loss.row_error < 0.02
