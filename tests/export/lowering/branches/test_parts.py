"""A layer whose neurons have decays of their own becomes several layers that fire the same spikes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import nir
import numpy as np
import pytest
from nir_oracle import run_integers, run_nodes
from random_branches import DT, SCALE, RandomBranches, inputs_of, spikes_of

from spikeport.errors import UserError
from spikeport.export.backends.compare_backends import compare_backends
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.graph.node_kinds import SPIKING
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.lowering.branches.needs_layout import needs_layout
from spikeport.export.lowering.branches.one_chain import lay_out
from spikeport.export.quantization.quantize import quantize


@pytest.mark.parametrize("seed", range(60))
def test_neurons_of_their_own_decay_fire_the_same_spikes(seed: int) -> None:
    """In float64, where all numbers are dyadic, as NIR says; in integers as NumPy node by node, as vectors too."""
    drawn = RandomBranches(np.random.default_rng(2000 + seed), own=True)
    graph, frames = drawn.graph, drawn.frames
    laid = lay_out(graph)
    names = [step.name for step in laid.graph.chain() if isinstance(step.node, SPIKING)]
    float_run = run_nodes(laid.graph.nir_graph, DT, frames)
    wanted = run_nodes(graph.nir_graph, DT, inputs_of(graph.nir_graph, frames))
    integers = run_integers(graph.nir_graph, DT, inputs_of(graph.nir_graph, frames), SCALE)
    network, _ = quantize(graph)
    assert all(np.ndim(value) == 0 for layer in network.layers for value in (layer.v_decay, layer.vth_mant))
    vector = replace(graph, allow_vector=True)
    traces = [simulate(each, frames[None], keep_layers=True).layer_spikes for each in (network, quantize(vector)[0])]
    ours, theirs = ([layer[0] for layer in layers or ()] for layers in traces)
    whole = lay_out(vector)
    for name, node in graph.nir_graph.nodes.items():
        if isinstance(node, SPIKING):
            expected = wanted[name].reshape(len(frames), -1)
            size = expected.shape[1]
            assert np.array_equal(spikes_of(name, laid, [float_run[key] for key in names], size), expected), name
            assert np.array_equal(spikes_of(name, laid, ours, size), integers[name].reshape(-1, size)), name
            assert np.array_equal(spikes_of(name, whole, theirs, size), integers[name].reshape(-1, size)), name
    assert network.readout.kind == "spikes", "the outputs keep their order"
    assert np.array_equal(simulate(network, frames[None]).spikes, simulate(quantize(vector)[0], frames[None]).spikes)


def channels(values: list[float], grid: tuple[int, int]) -> np.ndarray:
    return np.array(values)[:, None, None] * np.ones((len(values), *grid))


def convolutional(rng: np.random.Generator, **given: object) -> SpikingGraph:
    """Two convolutions, the first with stride 2 and three decays, and a matrix whose neurons have two."""
    keeps, grid = channels([0.5, 0.75, 0.5, 0.0, 0.75], (4, 3)), (4, 3)
    last = np.array([0.5, 0.25, 0.5, 0.25])

    def cell(keeps: np.ndarray, threshold: float) -> nir.LIF:
        tau = DT / (1 - keeps)
        return nir.LIF(tau=tau, r=tau / DT, v_leak=0 * tau, v_threshold=0 * tau + threshold, v_reset=0 * tau)

    def conv(weight: np.ndarray, stride: int, size: tuple[int, int]) -> nir.Conv2d:
        return nir.Conv2d(size, weight, (stride, stride), (1, 1), (1, 1), 1, rng.integers(0, 3, len(weight)) * 1.0)

    nodes = {
        "input": nir.Input({"input": np.array((2, 7, 6))}),
        "c0": conv(rng.integers(-4, 8, (5, 2, 3, 3)) * 1.0, 2, (7, 6)), "n0": cell(keeps, 19.0),
        "c1": conv(rng.integers(-4, 8, (3, 5, 3, 3)) * 1.0, 1, grid), "n1": cell(channels([0.5] * 3, grid), 18.0),
        "flat": nir.Flatten({"input": np.array((3, *grid))}, start_dim=0, end_dim=-1),
        "f2": nir.Linear(rng.integers(-4, 6, (4, 36)) * 1.0), "n2": cell(last, 21.0),
        "output": nir.Output({"output": np.array([4])}),
    }  # fmt: skip
    names = list(nodes)
    raw = nir.NIRGraph(nodes, list(pairwise(names)), type_check=False)
    scales = {"c0": 2.0, "c1": 2.0, "f2": 2.0}
    return SpikingGraph(nir_graph=raw, dt_s=DT, input_shape=(2, 7, 6), scales=scales, **given)  # type: ignore[arg-type]


def test_a_plain_chain_keeps_its_output_and_its_convolutions() -> None:
    """3 + 1 + 2 layers. Relays: the input's phases, 2 x 4 channels of 4 x 3, beside each part but the last; parts.
    One of the 36 neurons before the matrix is not read by its second part."""
    rng = np.random.default_rng(6)
    graph = convolutional(rng)
    assert needs_layout(graph)
    laid = lay_out(graph)
    network, rows = quantize(graph)
    assert [layer.kind for layer in network.layers] == ["conv"] * 4 + ["dense"] * 2
    assert [layer.v_decay for layer in network.layers] == [4096, 2048, 1024, 2048, 2048, 3072]
    assert laid.relays == (8 * 12, 8 * 12 + 12, 36, 0, 35, 2)
    assert all(row.exact for row in rows)
    assert "n0 became 3 layers with one set of decays each; the chain has 277 relays" in laid.graph.notes
    frames = (rng.random((4, 11, 2, 7, 6)) < 0.4).astype(np.uint8)
    wanted = np.stack([run_nodes(graph.nir_graph, DT, sample)["n2"] for sample in frames])
    vector, _ = quantize(replace(graph, allow_vector=True))
    assert len(vector.layers) == 3
    ours, theirs = simulate(network, frames).spikes, simulate(vector, frames).spikes
    assert 20 < ours.sum() < ours.size / 2
    assert np.array_equal(ours, theirs)
    float_run = np.stack([run_nodes(laid.graph.nir_graph, DT, sample)["output"] for sample in frames])
    assert np.array_equal(float_run, wanted)


@pytest.mark.lava
def test_parts_are_equal_in_lava() -> None:
    rng = np.random.default_rng(6)
    graph = convolutional(rng)
    frames = (rng.random((3, 11, 2, 7, 6)) < 0.4).astype(np.uint8)
    found = compare_backends(quantize(graph)[0], frames).comparison
    assert found.mismatches == 0
    assert found.spikes_compared > 500


def dense_graph(node: nir.NIRNode, back: np.ndarray | None = None, **given: object) -> SpikingGraph:
    size = node.tau.size if isinstance(node, nir.LIF) else node.tau_mem.size
    nodes = {
        "input": nir.Input({"input": np.array([3])}), "w": nir.Linear(np.arange(3.0 * size).reshape(size, 3) + 1),
        "n": node, "output": nir.Output({"output": np.array([size])}),
    }  # fmt: skip
    edges = [("input", "w"), ("w", "n"), ("n", "output")]
    if back is not None:
        nodes["back"] = nir.Linear(back)
        edges += [("n", "back"), ("back", "n")]
    raw = nir.NIRGraph(nodes, edges, type_check=False)
    return SpikingGraph(nir_graph=raw, dt_s=DT, input_shape=(3,), **given)  # type: ignore[arg-type]


def cells(decays: np.ndarray) -> nir.LIF:
    tau = DT / decays
    return nir.LIF(tau=tau, r=tau / DT, v_leak=0 * tau, v_threshold=1 + 0 * tau, v_reset=0 * tau)


def test_what_cannot_be_split_is_refused_with_its_reason() -> None:
    two = np.array([0.25, 0.5, 0.25])
    crossing = np.array([[0, 0, 1.0], [0, 2, 0], [1, 0, 0]])
    network, _ = quantize(dense_graph(cells(two), crossing))
    assert [layer.v_decay for layer in network.layers] == [2048, 1024], "neurons of one decay may be connected"
    with pytest.raises(UserError, match="n: neurons with different decays are connected by recurrent weights: they"):
        quantize(dense_graph(cells(two), crossing + 1.0))
    with pytest.raises(UserError, match="n: its neurons have 65 different decays, which would become 65 layers"):
        quantize(dense_graph(cells(np.linspace(0.1, 0.9, 65))))
    with pytest.raises(UserError, match="n: v_decay differs between neurons"):
        quantize(dense_graph(cells(two), readout="membrane-max"))
    slow = nir.CubaLIF(
        tau_syn=2 * DT * np.ones(3), tau_mem=DT / two, r=1 / two, v_leak=np.zeros(3), v_threshold=np.ones(3),
        w_in=2 * np.ones(3),
    )  # fmt: skip
    with pytest.raises(UserError, match="n: its neurons have different decays, and their currents last"):
        quantize(dense_graph(slow))


def test_decays_that_round_to_one_number_stay_one_layer() -> None:
    graph = dense_graph(cells(np.array([0.25, 0.25 + 1e-5, 0.25])))
    assert not needs_layout(graph)
    assert len(quantize(graph)[0].layers) == 1


def test_thresholds_on_a_grid_that_no_row_can_reach_become_layers() -> None:
    """Thresholds 20 and 30 share 30 where rows grow by 3/2, which leaves the even grid for 1 x 2 and not for 4 x 2."""
    for weight, layers in ((1.0, 2), (4.0, 1)):
        node = nir.LIF(
            tau=2 * DT * np.ones(2), r=2 * np.ones(2), v_leak=np.zeros(2), v_threshold=np.array([20.0, 30.0]),
            v_reset=np.zeros(2),
        )  # fmt: skip
        nodes = {"input": nir.Input({"input": np.array([3])}), "w": nir.Linear(np.full((2, 3), weight)), "n": node,
                 "output": nir.Output({"output": np.array([2])})}  # fmt: skip
        raw = nir.NIRGraph(nodes, [("input", "w"), ("w", "n"), ("n", "output")], type_check=False)
        network, _ = quantize(SpikingGraph(nir_graph=raw, dt_s=DT, input_shape=(3,), scales={"w": 2.0}))
        assert len(network.layers) == layers
        assert network.output_shape == (2,)
