"""How far reset to zero moves a network that subtracts: the numbers are those of runs by NIR's equations."""

from __future__ import annotations

from dataclasses import replace

import nir
import numpy as np
import pytest
from nir_oracle import run_nir, run_nodes
from numpy.testing import assert_array_equal
from random_branches import RandomBranches, inputs_of, spikes_of
from small_graphs import graph_of, lif

from spikeport.errors import UserError
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.calibration.float_comparison import compare_on_frames, compare_on_random_frames
from spikeport.export.calibration.float_simulator import run_float
from spikeport.export.calibration.own_resets import layer_resets
from spikeport.export.calibration.reset_comparison import other_reset
from spikeport.export.graph.node_kinds import SPIKING
from spikeport.export.graph.spiking_graph import SpikingGraph, load_graph
from spikeport.export.lowering.branches.one_chain import lay_out
from spikeport.export.network.readout import classify
from spikeport.export.quantization.quantize import quantize


def subtracting() -> SpikingGraph:
    rng = np.random.default_rng(4)
    first, second = rng.normal(0.2, 0.6, (6, 5)), rng.normal(0.3, 0.5, (4, 6))
    graph = graph_of(nir.Linear(first), lif((6,)), nir.Linear(second), lif((4,)), shape=(5,))
    return replace(graph, origins={"reset": "given"})


FRAMES = (np.random.default_rng(9).random((7, 23, 5)) < 0.4).astype(np.uint8)


def test_the_numbers_are_those_of_independent_runs():
    graph = subtracting()
    network, _ = quantize(graph)
    found = compare_on_frames(graph, network, FRAMES, "frames").other_reset
    subtract, zero = (
        np.stack([run_nir(graph.nir_graph, graph.dt_s, sample, reset) for sample in FRAMES])
        for reset in ("subtract", "zero")
    )
    spikes = simulate(network, FRAMES).spikes
    assert found is not None
    assert (found.reset, found.layer, found.entries, found.samples) == ("subtract", "n2", spikes.size, 7)
    assert found.integers_differ == np.count_nonzero(spikes != subtract) > 10
    assert found.zero_differs == np.count_nonzero(zero != subtract) > 10
    assert found.classes_differ == np.count_nonzero(classify(spikes) != classify(subtract.astype(np.uint8)))
    assert f"{found.integers_differ:,} of {found.entries:,}" in found.line()
    assert "if it was trained with a reset by subtraction" in found.line()
    assert "spikeport adapt" in found.line()


def test_random_frames_measure_it_too():
    graph = subtracting()
    network, _ = quantize(graph)
    found = compare_on_random_frames(graph, network)
    assert found.other_reset is not None
    assert found.other_reset.line() in found.lines()


def test_a_membrane_read_out_is_compared_by_the_layer_before():
    graph = replace(subtracting(), readout="membrane-sum")
    network, _ = quantize(graph)
    found = compare_on_frames(graph, network, FRAMES, "frames").other_reset
    assert found is not None
    assert (found.layer, found.entries) == ("n0", 7 * 23 * 6)


def test_frameworks_say_what_else_it_may_be(tmp_path):
    subtracting().save(tmp_path / "saved.nir")
    (tmp_path / "saved.nir").rename(tmp_path / "net.nir")  # without its metadata file
    words = {}
    for framework in ("snntorch", "sinabs", "norse"):
        graph = load_graph(tmp_path / "net.nir", framework=framework, reset="zero", dt_s=1e-3)
        words[framework] = other_reset(graph)
    assert words["norse"] is None  # its neurons reset to zero
    assert words["snntorch"].reset == "subtract-late"
    assert "snnTorch ran it with its default" in words["snntorch"].described
    assert "reset_mechanism='zero' was not set" in words["snntorch"].described
    assert words["sinabs"].reset == "subtract-many"


def test_types_of_neurons_that_subtract_at_different_times_are_named():
    """Spyx's CuBaLIF subtracts in the step of its spike, its LIF in the next."""
    tau = np.full(4, 2e-3)
    cell = nir.CubaLIF(tau_syn=tau, tau_mem=tau, r=np.full(4, 2.0), v_leak=0 * tau, v_threshold=np.ones(4),
                       w_in=np.full(4, 2.0), v_reset=0 * tau)  # fmt: skip
    rng = np.random.default_rng(4)
    graph = graph_of(
        nir.Linear(rng.normal(0.2, 0.6, (6, 5))), lif((6,)), nir.Linear(rng.normal(0.3, 0.5, (4, 6))), cell, shape=(5,)
    )
    graph = replace(graph, framework="spyx")
    found = other_reset(graph)
    assert found.described == (
        "if Spyx ran it with its default, a reset by subtraction in the next step (LIF) and a reset by subtraction "
        "(CubaLIF)"
    )
    measured = compare_on_frames(graph, quantize(graph)[0], FRAMES, "frames").other_reset
    kinds = {nir.LIF: "subtract-late", nir.CubaLIF: "subtract"}
    own, zero = (
        np.stack([run_nir(graph.nir_graph, graph.dt_s, sample, reset) for sample in FRAMES])
        for reset in (lambda node: kinds[type(node)], "zero")
    )
    assert measured.reset == "subtract-late and subtract"
    assert measured.zero_differs == np.count_nonzero(zero != own) > 10


def test_a_known_reset_is_not_doubted(tmp_path):
    graph = graph_of(nir.Linear(np.ones((2, 3))), lif((2,)), shape=(3,))
    assert other_reset(graph) is None  # nobody claimed it: a live network or a run
    graph.save(tmp_path / "net.nir")
    assert other_reset(load_graph(tmp_path / "net.nir")) is None


@pytest.mark.parametrize("reset", ["subtract", "subtract-late", "subtract-many"])
def test_each_subtraction_by_hand(reset):
    """One neuron, threshold 1, keeps half of v: in the same step, in the next, and as often as v holds it."""
    graph = graph_of(nir.Linear(np.array([[1.0]])), lif((1,), threshold=1.0), shape=(1,))
    keep, gain = 1 - 1e-3 / graph.nir_graph.nodes["n1"].tau[0], graph.nir_graph.nodes["n1"].r[0] * 1e-3
    gain = float(gain / graph.nir_graph.nodes["n1"].tau[0])
    frames = np.array([3.5, 0.0, 1.5, 0.25, 2.0, 0.0, 4.0, 0.0, 0.0]) / gain
    v, fired, wanted = 0.0, 0, []
    for x in frames:
        v = keep * v + gain * x
        if reset == "subtract-late":
            v -= fired
        fired = int(v > 1)
        if reset == "subtract-many" and fired:
            fired = int(v)
        if reset != "subtract-late":
            v -= fired
        wanted.append(fired)
    assert_array_equal(run_float(graph, frames.reshape(1, -1, 1), reset=reset).spikes[0, :, 0], wanted)
    assert sum(wanted) >= 3


def test_an_unknown_reset_is_refused():
    with pytest.raises(UserError, match="'soft' is not a reset"):
        run_float(subtracting(), FRAMES, reset="soft")  # type: ignore[arg-type]


def test_parts_in_several_layers_are_measured_too():
    """Four neurons with three decays become layers with relays, which reset to zero whatever the neurons do."""
    tau = np.array([2.0, 4.0, 2.0, 8.0]) * 1e-3
    cell = nir.LIF(tau=tau, r=tau / 1e-3, v_leak=np.zeros(4), v_threshold=np.ones(4), v_reset=np.zeros(4))
    weights = np.random.default_rng(3).normal(0.3, 0.5, (4, 5))
    graph = replace(graph_of(nir.Linear(weights), cell, shape=(5,)), origins={"reset": "given"})
    network, _ = quantize(graph)
    assert len(network.layers) > 1
    found = compare_on_frames(graph, network, FRAMES, "frames").other_reset
    subtract, zero = (
        np.stack([run_nir(graph.nir_graph, graph.dt_s, sample, reset) for sample in FRAMES])
        for reset in ("subtract", "zero")
    )
    assert found is not None
    assert found.entries == subtract.size
    assert found.zero_differs == np.count_nonzero(zero != subtract) > 10
    spikes = simulate(network, FRAMES).spikes
    assert found.integers_differ == np.count_nonzero(spikes != subtract)
    assert found.classes_differ == np.count_nonzero(classify(spikes) != classify(subtract.astype(np.uint8)))


def test_clones_of_the_layer_before_a_membrane_are_compared_once():
    graph = replace(subtracting(), readout="membrane-sum")
    plain, cloned = (
        compare_on_frames(graph, quantize(graph, clones=clones)[0], FRAMES, "frames").other_reset for clones in (1, 3)
    )
    assert plain == cloned  # the layer that is compared has no weights behind it that clones change


OF_KIND = {"IF": "subtract", "LIF": "subtract-late"}


@pytest.mark.parametrize("reset", ["subtract", "subtract-late", "subtract-many", "by kind"])
@pytest.mark.parametrize("options", [{}, {"slow": True}, {"own": True}], ids=["whole", "slow", "own"])
def test_every_population_of_a_branched_graph_runs_with_the_reset(reset, options):
    """Random graphs with branches against NIR's equations on the graph itself, which has no relays."""

    def of(node):
        return OF_KIND[type(node).__name__] if reset == "by kind" else reset

    relays = changed = 0
    for seed in range(12):
        drawn = RandomBranches(np.random.default_rng([5, seed]), **options)
        laid = lay_out(drawn.graph)
        frames = inputs_of(drawn.graph.nir_graph, drawn.frames)
        wanted = run_nodes(drawn.graph.nir_graph, drawn.graph.dt_s, frames, of)
        zero = run_nodes(drawn.graph.nir_graph, drawn.graph.dt_s, frames)
        trace = run_float(drawn.graph, drawn.frames[None], reset=layer_resets(drawn.graph, of), keep_layers=True)
        layers = [spikes[0] for spikes in trace.layer_spikes]
        for name, node in drawn.graph.nir_graph.nodes.items():
            if isinstance(node, SPIKING):
                expected = wanted[name].reshape(len(layers[0]), -1)
                if expected.max() > 255:
                    break  # counts of a spike train that grows, which nobody keeps
                assert_array_equal(spikes_of(name, laid, layers, expected.shape[1]), expected, err_msg=f"{seed} {name}")
                changed += int(np.count_nonzero(wanted[name] != zero[name]))
        relays += sum(laid.relays)
    assert relays > 100
    assert changed > 100
