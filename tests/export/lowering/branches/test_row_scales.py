"""Rows of like size become layers with a scale of their own; the float network stays, and weights become finer."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import nir
import numpy as np
import pytest
import torch
from nir_oracle import run_nodes
from random_branches import DT, RandomBranches, inputs_of, spikes_of
from small_graphs import graph_of, lif

from spikeport.errors import UserError
from spikeport.export.backends.compare_backends import compare_backends
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.graph.node_kinds import SPIKING, SYNAPSES
from spikeport.export.graph.spiking_graph import SpikingGraph, load_graph
from spikeport.export.lowering.branches.one_chain import lay_out
from spikeport.export.lowering.branches.row_scales import _best
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.quantization.layer_report import LayerReport
from spikeport.export.quantization.quantize import quantize

CASES = Path(__file__).resolve().parents[4] / ".." / "shared" / "cases"
SHAPE = (2, 7, 6)
KEEPS = {"n0": 0.75, "n1": 0.5, "n2": 0.625}
LEVELS = {"n0": 1.0, "n1": 0.75, "n2": 1.25}


def uneven(seed: int) -> SpikingGraph:
    """Two convolutions and a matrix, where the weights of some rows are 12 times as large as those of others."""
    rng = np.random.default_rng(seed)

    def cell(name: str, shape: tuple[int, ...]) -> nir.LIF:
        tau = np.full(shape, DT / (1 - KEEPS[name]))
        return nir.LIF(tau=tau, r=tau / DT, v_leak=0 * tau, v_threshold=0 * tau + LEVELS[name], v_reset=0 * tau)

    def rows(*shape: int) -> np.ndarray:
        weight = rng.normal(0.04, 0.25, shape)
        weight[rng.choice(len(weight), 2, replace=False)] *= 12
        return weight

    nodes = {
        "input": nir.Input({"input": np.array(SHAPE)}),
        "c0": nir.Conv2d((7, 6), rows(5, 2, 3, 3), (2, 2), (1, 1), (1, 1), 1, rng.normal(0.05, 0.02, 5)),
        "n0": cell("n0", (5, 4, 3)),
        "c1": nir.Conv2d((4, 3), rows(6, 5, 3, 3), (1, 1), (1, 1), (1, 1), 1, np.zeros(6)), "n1": cell("n1", (6, 4, 3)),
        "flat": nir.Flatten({"input": np.array((6, 4, 3))}, start_dim=0, end_dim=-1),
        "f2": nir.Affine(rows(4, 72), rng.normal(0.1, 0.05, 4)), "n2": cell("n2", (4,)),
        "output": nir.Output({"output": np.array([4])}),
    }  # fmt: skip
    raw = nir.NIRGraph(nodes, list(pairwise(nodes)), type_check=False)
    return SpikingGraph(nir_graph=raw, dt_s=DT, input_shape=SHAPE)


def wanted_spikes(graph: SpikingGraph, scales: dict[str, np.ndarray], frames: np.ndarray) -> dict[str, np.ndarray]:
    """Spikes `[T, ...]` of each population by the chip's equations, each row rounded on its own scale."""
    nodes = graph.nir_graph.nodes
    found, arriving = {}, frames.astype(np.float64)
    for weights, neurons in (("c0", "n0"), ("c1", "n1"), ("f2", "n2")):
        node, scale = nodes[weights], scales[neurons]
        by_row = scale.reshape(-1, *[1] * (node.weight.ndim - 1))
        weight, threshold = 2 * np.rint(by_row * node.weight / 2), np.rint(scale * LEVELS[neurons])
        bias = np.rint(scale * node.bias)
        if isinstance(node, nir.Conv2d):
            kernel = torch.tensor(weight)
            sums = torch.nn.functional.conv2d(torch.tensor(arriving), kernel, None, node.stride, node.padding).numpy()
            bias, threshold = bias[:, None, None], threshold[:, None, None]
        else:
            sums = arriving.reshape(len(arriving), -1) @ weight.T
        voltage, spikes = np.zeros(sums.shape[1:]), []
        for each in sums:
            voltage = np.trunc(voltage * np.rint(4096 * KEEPS[neurons]) / 4096) + 64 * (each + bias)
            spikes.append(voltage > 64 * threshold)
            voltage = voltage * ~spikes[-1]
        found[neurons] = arriving = np.array(spikes, dtype=np.float64)
    return found


def scales_of(graph: SpikingGraph, network: IntegerNetwork, table: list[LayerReport]) -> dict[str, np.ndarray]:
    """The scale of each row of each population, from the reports of the layers that compute its parts."""
    laid, found = lay_out(graph), {}
    for name, node in graph.nir_graph.nodes.items():
        if isinstance(node, SPIKING):
            rows = len(node.v_threshold)
            found[name] = np.zeros(rows)
            for part in laid.parts.get(name, (None,)):
                scale = table[laid.places[name if part is None else part.name][0]].scale
                size = node.v_threshold.size // rows
                found[name][np.arange(rows) if part is None else np.unique(part.neurons // size)] = scale
    return found


@pytest.mark.parametrize("seed", range(8))
def test_every_row_is_rounded_on_the_scale_of_its_group(seed: int) -> None:
    """In integers: all populations fire as the equations say with these scales, which are finer in most rows."""
    plain = uneven(seed)
    graph = replace(plain, row_scales=2)
    network, table = quantize(graph)
    laid = lay_out(graph)
    assert set(laid.parts) == {"n0", "n1", "n2"}
    scales = scales_of(graph, network, table)
    before = {row.neuron: row.scale for row in quantize(plain)[1]}
    for name, weights in (("n0", "c0"), ("n1", "c1"), ("n2", "f2")):
        largest = np.abs(plain.nir_graph.nodes[weights].weight).reshape(len(scales[name]), -1).max(axis=1)
        for scale in np.unique(scales[name]):
            own = largest[scales[name] == scale].max()
            assert scale == pytest.approx(254 / max(own, 1.02 * LEVELS[name])), "relays hold it below the threshold"
        assert scales[name].max() > 2 * before[name]
        assert scales[name].min() == pytest.approx(before[name])
    frames = (np.random.default_rng(seed).random((3, 17, *SHAPE)) < 0.3).astype(np.uint8)
    traces = simulate(network, frames, keep_layers=True).layer_spikes
    assert traces is not None
    for sample, each in enumerate(frames):
        wanted = wanted_spikes(plain, scales, each)
        for name, spikes in wanted.items():
            ours = spikes_of(name, laid, [layer[sample] for layer in traces], spikes[0].size)
            assert np.array_equal(ours, spikes.reshape(len(each), -1)), name
            assert 0.02 < spikes.mean() < 0.98, name
        assert np.array_equal(simulate(network, each[None]).spikes[0], wanted["n2"])


@pytest.mark.parametrize("seed", range(40))
def test_branches_fire_the_same_spikes_in_float(seed: int) -> None:
    rng = np.random.default_rng(4000 + seed)
    drawn = RandomBranches(rng, slow=bool(seed % 2))
    for node in drawn.graph.nir_graph.nodes.values():
        if isinstance(node, SYNAPSES):
            node.weight[rng.random(len(node.weight)) < 0.3] *= 32.0
    graph = replace(drawn.graph, scales={})
    laid = lay_out(replace(graph, row_scales=3))
    names = [step.name for step in laid.graph.chain() if isinstance(step.node, SPIKING)]
    wanted = run_nodes(graph.nir_graph, DT, inputs_of(graph.nir_graph, drawn.frames))
    found = run_nodes(laid.graph.nir_graph, DT, drawn.frames)
    layers = [found[name] for name in names]
    for name, node in graph.nir_graph.nodes.items():
        if isinstance(node, SPIKING):
            spikes = wanted[name].reshape(len(drawn.frames), -1)
            assert np.array_equal(spikes_of(name, laid, layers, spikes.shape[1]), spikes), name
    assert len(names) == len({layer for layer, _ in laid.places.values()})
    assert len(names) >= len(lay_out(graph).relays)


@pytest.mark.lava
def test_row_scales_are_equal_in_lava() -> None:
    network, _ = quantize(replace(uneven(3), row_scales={"c0": 3, "n2": 2}))
    frames = (np.random.default_rng(5).random((2, 12, *SHAPE)) < 0.3).astype(np.uint8)
    found = compare_backends(network, frames).comparison
    assert found.mismatches == 0
    assert found.spikes_compared > 500


@pytest.mark.parametrize("name", ["dead-row", "dead-channel"])
def test_rows_that_rounding_took_fire_again(name: str) -> None:
    """Their weights are 1,000 times smaller than those of the other row, and above the threshold after a few inputs."""
    if not CASES.is_dir():
        pytest.skip(f"{CASES} is absent")
    graph = load_graph(CASES / f"{name}.nir", dt_s=1e-3, reset="zero")
    frames = np.load(CASES / f"{name}.npz")["frames"]
    wanted = np.stack([run_nodes(graph.nir_graph, 1e-3, sample)["output"] for sample in frames])
    plain = simulate(quantize(graph)[0], frames).spikes.reshape(wanted.shape)
    split = simulate(quantize(replace(graph, row_scales=2))[0], frames).spikes.reshape(wanted.shape)
    assert np.count_nonzero(plain != wanted) == wanted.size // 2
    assert np.array_equal(split, wanted)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_groups_have_the_least_error_of_all(count: int) -> None:
    """Against every way to cut the sorted sizes."""
    rng = np.random.default_rng(count)
    for _ in range(20):
        octaves = np.sort(rng.choice(np.arange(64), 6, replace=False)) / 16
        numbers = rng.integers(1, 9, 6)
        errors = []
        for cuts in (cut for some in range(count) for cut in combinations(range(1, 6), some)):
            groups = [range(low, high) for low, high in pairwise([0, *cuts, 6])]
            errors.append(sum(numbers[list(group)].sum() * 4 ** octaves[group[-1]] for group in groups))
        error, ends = _best(octaves, numbers, count)
        assert error == pytest.approx(min(errors))
        groups = np.split(np.arange(6), ends[:-1] + 1)
        assert sum(numbers[each].sum() * 4 ** octaves[each[-1]] for each in groups) == pytest.approx(min(errors))


@pytest.mark.parametrize("asked", [2, {"c1": 3, "n2": 2}])
def test_a_file_keeps_the_request(tmp_path: Path, asked: int | dict[str, int]) -> None:
    graph = replace(uneven(1), row_scales=asked)
    graph.save(tmp_path / "net.nir")
    read = load_graph(tmp_path / "net.nir")
    assert read.row_scales == asked
    ours, theirs = quantize(read)[0], quantize(graph)[0]
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert all(np.array_equal(a.weight, b.weight) for a, b in zip(ours.layers, theirs.layers, strict=True))


def test_rows_that_are_even_stay_together() -> None:
    """Below the threshold: relays would hold the scale of every group."""
    weight = np.array([[0.5, -0.25, 0.125], [0.0625, 0.03, 0.01]])
    graph = graph_of(nir.Linear(weight), lif((2,)), shape=(3,))
    laid = lay_out(replace(graph, row_scales=2))
    assert not laid.parts
    assert "one row scale, since more would not be finer beside relays: n1" in laid.graph.notes
    plain, split = quantize(graph)[0], quantize(replace(graph, row_scales=2))[0]
    assert [layer.name for layer in split.layers] == [layer.name for layer in plain.layers]
    assert np.array_equal(plain.layers[0].weight, split.layers[0].weight)
    assert plain.layers[0].vth_mant == split.layers[0].vth_mant


def test_what_has_one_scale_is_named() -> None:
    two = np.array([[30.0, 8.0], [0.25, 0.5]])
    one = np.ones(2)
    slow = nir.CubaLIF(tau_syn=4e-3 * one, tau_mem=2e-3 * one, r=one, v_leak=0 * one, v_threshold=one, v_reset=0 * one)
    current = graph_of(nir.Linear(two), slow, shape=(2,))
    voltage = graph_of(nir.Linear(two), nir.LI(tau=2e-3 * one, r=one, v_leak=0 * one), shape=(2,))
    grid = graph_of(nir.Linear(two), lif((2,)), shape=(2,), scales={"n0": 8.0})
    raw = graph_of(nir.Linear(two), lif((2,)), shape=(2,)).nir_graph
    loop = nir.NIRGraph(
        {**raw.nodes, "back": nir.Linear(two)}, [*raw.edges, ("n1", "back"), ("back", "n1")], type_check=False
    )
    recurrent = SpikingGraph(nir_graph=loop, dt_s=DT, input_shape=(2,))
    cases = ((current, "has a current that lasts"), (voltage, "is read out by its voltage"),
             (grid, "is quantized already"), (recurrent, "has recurrent weights"))  # fmt: skip
    for graph, why in cases:
        with pytest.raises(UserError, match=f"rows cannot have scales of their own: it {why}"):
            quantize(replace(graph, row_scales={"n0": 2}))
        laid = lay_out(replace(graph, row_scales=2))
        assert f"n1: one row scale, since it {why}" in laid.graph.notes
        quantize(replace(graph, row_scales=2))
    late = graph_of(nir.Delay(np.array([1e-3, 0.0])), nir.Linear(two), lif((2,)), shape=(2,))
    with pytest.raises(UserError, match="n0: row scales were asked for in a network with delays"):
        quantize(replace(late, row_scales=2))
    quantize(late)
    with pytest.raises(UserError, match="row scales were asked for 'n7', which is not a layer"):
        quantize(replace(current, row_scales={"n7": 2}))
    for wrong in (0, 17, {"n0": 2.5}):
        with pytest.raises(UserError, match="row scales are not possible"):
            quantize(replace(current, row_scales=wrong))  # type: ignore[arg-type]
