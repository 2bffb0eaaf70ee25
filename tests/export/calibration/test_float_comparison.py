"""How far rounding moved a network: places and classes that differ from the float graph, on given or random frames."""

from __future__ import annotations

import json
from dataclasses import replace

import nir
import numpy as np
import pytest
from small_graphs import graph_of, lif

from spikeport.errors import UserError
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.calibration.float_comparison import (
    SAMPLES,
    STEPS,
    affordable_size,
    compare_on_frames,
    compare_on_random_frames,
)
from spikeport.export.calibration.float_simulator import float_layers, run_float
from spikeport.export.formats.frames_file import write_frames
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.network.readout import SILENT, classify
from spikeport.export.quantization.quantize import quantize


def two_layers(rng: np.random.Generator) -> SpikingGraph:
    nodes = [
        nir.Conv2d(None, rng.normal(0, 0.5, (3, 2, 3, 3)), 1, 1, 1, 1, rng.normal(0, 0.1, 3)),
        lif((3, 4, 5)),
        nir.Flatten({"input": np.array([3, 4, 5])}, start_dim=0, end_dim=-1),
        nir.Linear(rng.normal(0, 0.3, (4, 60))),
        lif((4,)),
    ]
    return graph_of(*nodes, shape=(2, 4, 5))


def test_the_counts_are_those_of_both_runs_held_beside_each_other():
    rng = np.random.default_rng(5)
    graph = two_layers(rng)
    network, _ = quantize(graph, bits=3)
    frames = (rng.random((7, 11, 2, 4, 5)) < 0.3).astype(np.uint8)
    wanted = run_float(graph, frames, keep_layers=True)
    trace = simulate(network, frames, keep_layers=True)
    found = compare_on_frames(graph, network, frames, "frames of a test")
    for row, theirs, ours in zip(found.layers, wanted.layer_spikes, trace.layer_spikes, strict=True):
        assert (row.entries, row.mismatches) == (theirs.size, int((theirs != ours).sum()))
        assert (row.float_rate, row.rate) == (theirs.mean(), ours.mean())
    assert found.layers[0].mismatches > 0
    assert [row.name for row in found.layers] == ["n0", "n3"]
    classes = classify(wanted.spikes), classify(trace.spikes)
    assert found.classes_differ == int((classes[0] != classes[1]).sum()) > 0
    assert (found.float_silent, found.silent) == tuple(int((one == SILENT).sum()) for one in classes)
    assert found.notes == ()
    for mismatches, many in ((15, False), (16, True)):  # 5 % of 308 entries are 15.4
        last = replace(found.layers[-1], mismatches=mismatches)
        lines = replace(found, layers=(*found.layers[:-1], last)).lines()
        assert any("more than 5 % differ: --calibrate FRAMES.npz" in line for line in lines) == many


def test_without_rounding_nothing_differs_also_beside_a_bias_neuron():
    """Weights, threshold and decays on the grid; the neuron added for the slow bias is left out of the count."""
    one = np.ones(2)
    cell = nir.CubaLIF(tau_syn=2e-3 * one, tau_mem=2e-3 * one, r=2 * one, v_leak=0 * one, v_threshold=90 * one,
                       w_in=2 * one, v_reset=0 * one)  # fmt: skip
    weights = np.array([[254.0, -100], [90, 60], [20, 44]]), np.array([[254.0, 20, -60], [-40, 80, 0]])
    slow = nir.Affine(weights[1], np.array([6.0, 10]))
    first = graph_of(nir.Linear(weights[0]), lif((3,), threshold=100.0), slow, cell, shape=(2,))
    graph = SpikingGraph(nir_graph=first.nir_graph, dt_s=first.dt_s, input_shape=(2,), bias="neuron")
    network, _ = quantize(graph)
    assert network.layers[0].neurons == 4
    frames = (np.random.default_rng(8).random((5, 40, 2)) < 0.4).astype(np.uint8)
    found = compare_on_frames(graph, network, frames, "frames")
    assert found.layers[0].entries == 5 * 40 * 3
    assert [row.mismatches for row in found.layers] == [0, 0]
    assert found.layers[1].rate > 0
    assert found.classes_differ == 0


def test_counts_lost_samples_left_out_and_silence_are_reported():
    graph = graph_of(nir.Linear(np.array([[1.0, 0.5]])), lif((1,), threshold=50.0), shape=(2,))
    network, _ = quantize(graph)
    frames = np.full((400, 3, 2), 3, dtype=np.uint8)
    found = compare_on_frames(graph, network, frames, "c.npz")
    assert found.samples == 256
    text = "\n".join(found.lines())
    assert "checked on 256 of 400 samples drawn at random, seed 0, 3 of 3 steps" in text
    assert "3,072 of 4,608 events are counts above 1" in text
    assert "no spike in n0 of the float graph, so this says little" in text
    assert "256 samples have no output spike in the float graph, 256 in the integers" in text
    labeled = compare_on_frames(graph, network, frames, "c.npz", np.zeros(400, np.int64))
    assert "checked on 256 of 400 samples drawn by class, seed 0" in "\n".join(labeled.lines())
    with pytest.raises(UserError, match=r"c.npz: the frames for the check are empty"):
        compare_on_frames(graph, network, frames[:0], "c.npz")


def test_random_frames_are_the_same_each_time_and_state_what_they_are():
    graph = two_layers(np.random.default_rng(2))
    network, _ = quantize(graph)
    first = compare_on_random_frames(graph, network)
    assert first == compare_on_random_frames(graph, network)
    assert (first.samples, first.steps) == (SAMPLES, STEPS)
    assert first.frames == "16 random samples of 50 steps, 10 % of inputs active, seed 20261129"


def test_what_is_run_is_bounded_by_the_size_of_the_network():
    """A layer of 3 x 2 x 3 x 3 weights at 20 places and one of 240: 1,320 multiplications a step; 64 neurons. Beside
    them each layer's step costs 100,000."""
    layers = float_layers(two_layers(np.random.default_rng(2)))
    assert affordable_size(layers, 16, 50, 10**9) == (16, 50)
    assert affordable_size(layers, 16, 50, 50 * (200_000 + 4 * 1_320)) == (4, 50)
    assert affordable_size(layers, 16, 50, 20 * 201_320 + 5) == (1, 20)
    assert affordable_size(layers, 16, 50, 0) == (1, 1)


def test_the_command_checks_by_itself_on_frames_or_not_at_all(spikeport, cases, tmp_path):
    """dead-row: on its frames the float graph fires 100 and 100, the integers 0 and 100."""
    words = ("export", cases / "dead-row.nir", "--dt", "1e-3", "--reset", "zero", "--out", "made", "--json")
    code, out, _ = spikeport(*words)
    assert code == 0
    alone = json.loads(out)["check"]
    assert "random samples" in alone["frames"]
    assert alone["layers"][0]["mismatches"] > 0
    code, out, _ = spikeport(*words, "--check", cases / "dead-row.npz")
    given = json.loads(out)["check"]
    assert (given["classes_differ"], given["layers"][-1]["mismatches"], given["layers"][-1]["entries"]) == (1, 100, 200)
    assert json.loads((tmp_path / "made" / "dead-row.quantization.json").read_text())["check"] == given
    code, out, _ = spikeport(*words[:-1], "--check", cases / "dead-row.npz")
    assert "1 of 1 classes and 100 of 200 entries (neuron, step) of the output differ from the float graph" in out
    code, out, _ = spikeport(*words, "--calibrate", cases / "dead-row.npz", "-q")
    assert json.loads(out)["check"]["layers"][-1]["mismatches"] == 0
    code, out, _ = spikeport(*words, "--no-check")
    assert "check" not in json.loads(out)
    assert spikeport(*words, "--no-check", "--check", cases / "dead-row.npz")[0] == 2


def test_frames_that_do_not_fit_leave_nothing_behind(spikeport, cases, tmp_path):
    write_frames(tmp_path / "f.npz", np.ones((2, 3, 4)))
    code, _, err = spikeport(
        "export", cases / "dead-row.nir", "--dt", "1e-3", "--reset", "zero", "--out", "made", "--check", "f.npz"
    )
    assert code == 2
    assert "f.npz" in err
    assert not (tmp_path / "made").exists()
