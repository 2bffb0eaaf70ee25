"""Graphs with branches become one chain of layers that fires the same spikes, in float and in integers."""

from __future__ import annotations

import math

import nir
import numpy as np
import pytest
from nir_oracle import run_nodes
from random_branches import DT, KINDS, RandomBranches, inputs_of

from spikeport.errors import UserError
from spikeport.export.backends.compare_backends import compare_backends
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.graph.node_kinds import SPIKING
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.graph.structure import is_chain
from spikeport.export.lowering.branches.one_chain import lay_out
from spikeport.export.quantization.bias_neurons import with_messages
from spikeport.export.quantization.quantize import quantize


@pytest.mark.parametrize("seed", range(60))
def test_every_population_fires_the_same_spikes(seed: int) -> None:
    drawn = RandomBranches(np.random.default_rng(seed))
    graph, frames = drawn.graph, drawn.frames
    laid = lay_out(graph)
    assert is_chain(laid.graph.nir_graph)
    wanted = run_nodes(graph.nir_graph, DT, inputs_of(graph.nir_graph, frames))
    chain = laid.graph.chain()
    names = [step.name for step in chain if isinstance(step.node, SPIKING)]
    found = run_nodes(laid.graph.nir_graph, DT, frames)
    network, _ = quantize(graph)
    trace = simulate(network, frames[None], keep_layers=True)
    assert trace.layer_spikes is not None
    populations = [name for name, node in graph.nir_graph.nodes.items() if isinstance(node, SPIKING)]
    assert sorted(laid.places) == sorted(populations)
    for name, (layer, places) in laid.places.items():
        expected = wanted[name].reshape(len(frames), -1)
        for spikes in (found[names[layer]], trace.layer_spikes[layer][0]):
            assert np.array_equal(spikes.reshape(len(frames), -1)[:, places.ravel()], expected), name


@pytest.mark.parametrize("seed", range(30))
def test_gains_leaks_and_thresholds_of_channels_are_laid_out_too(seed: int) -> None:
    """Exact in float64, where all numbers are dyadic; integers would round them."""
    drawn = RandomBranches(np.random.default_rng(1000 + seed), slow=True)
    graph, frames = drawn.graph, drawn.frames
    laid = lay_out(graph)
    wanted = run_nodes(graph.nir_graph, DT, inputs_of(graph.nir_graph, frames))
    names = [step.name for step in laid.graph.chain() if isinstance(step.node, SPIKING)]
    found = run_nodes(laid.graph.nir_graph, DT, frames)
    for name, (layer, places) in laid.places.items():
        spikes = found[names[layer]].reshape(len(frames), -1)[:, places.ravel()]
        assert np.array_equal(spikes, wanted[name].reshape(len(frames), -1)), name


def test_a_bias_behind_a_sum_of_spikes_counts_once() -> None:
    """Spikes of two populations are added and enter one matrix with biases 2 and -1; by hand at scale 2: 4 and -2."""

    def neurons(size: int) -> nir.IF:
        return nir.IF(r=np.full(size, 1 / DT), v_threshold=np.full(size, 5.0), v_reset=np.zeros(size))

    nodes = {
        "input": nir.Input({"input": np.array([3])}), "a": nir.Linear(np.arange(1.0, 13).reshape(4, 3)),
        "one": neurons(4), "b": nir.Linear(np.arange(16.0).reshape(4, 4) - 5), "two": neurons(4),
        "c": nir.Affine(np.arange(8.0).reshape(2, 4) - 3, np.array([2.0, -1.0])), "out": neurons(2),
        "output": nir.Output({"output": np.array([2])}),
    }  # fmt: skip
    edges = [("input", "a"), ("a", "one"), ("one", "b"), ("b", "two"), ("one", "c"), ("two", "c"), ("c", "out"),
             ("out", "output")]  # fmt: skip
    graph = SpikingGraph(
        nir_graph=nir.NIRGraph(nodes, edges, type_check=False), dt_s=DT, input_shape=(3,),
        scales=dict.fromkeys("abc", 2.0),
    )  # fmt: skip
    network, _ = quantize(graph)
    assert network.layers[-1].bias is not None
    assert network.layers[-1].bias.tolist() == [4, -2]
    frames = (np.random.default_rng(1).random((9, 3)) < 0.4).astype(np.uint8)
    wanted = run_nodes(graph.nir_graph, DT, frames)["out"]
    assert 0 < wanted.sum() < wanted.size
    assert np.array_equal(simulate(network, frames[None]).spikes[0], wanted)


def residual_graph(shapes: list[tuple[int, int]], rng: np.random.Generator) -> SpikingGraph:
    """A ResNet of 3 x 3 convolutions with padding 1: (channels, stride) of each block, with shortcuts around it."""
    grid, channels = (9, 6), 2
    nodes: dict[str, nir.NIRNode] = {"input": nir.Input({"input": np.array((channels, *grid))})}
    edges, before = [], "input"

    def conv(name: str, wide: int, kernel: int, stride: int, source: str, entering: int, size: tuple[int, int]) -> None:
        nodes[name] = nir.Conv2d(
            input_shape=size, weight=rng.integers(-4, 9, (wide, entering, kernel, kernel)).astype(float),
            stride=(stride, stride), padding=(kernel // 2, kernel // 2), dilation=(1, 1), groups=1, bias=np.zeros(wide),
        )  # fmt: skip
        edges.append((source, name))

    def cell(name: str, shape: tuple[int, ...], sources: list[str]) -> None:
        nodes[name] = nir.IF(r=np.full(shape, 1 / DT), v_threshold=np.full(shape, 22.0), v_reset=np.zeros(shape))
        edges.extend((source, name) for source in sources)

    for number, (wide, stride) in enumerate(shapes):
        behind = tuple(-(-size // stride) for size in grid)
        conv(f"a{number}", wide, 3, stride, before, channels, grid)
        cell(f"a{number}-if", (wide, *behind), [f"a{number}"])
        conv(f"b{number}", wide, 3, 1, f"a{number}-if", wide, behind)
        joined = [f"b{number}"]
        if stride == 1 and wide == channels:
            joined.append(before)
        else:
            conv(f"s{number}", wide, 1, stride, before, channels, grid)
            joined.append(f"s{number}")
        cell(f"b{number}-if", (wide, *behind), joined)
        before, channels, grid = f"b{number}-if", wide, behind
    nodes["output"] = nir.Output({"output": np.array((channels, *grid))})
    edges.append((before, "output"))
    scales = {name: 2.0 for name, node in nodes.items() if isinstance(node, nir.Conv2d)}
    raw = nir.NIRGraph(nodes, edges, type_check=False)
    return SpikingGraph(nir_graph=raw, dt_s=DT, input_shape=(2, 9, 6), scales=scales)


@pytest.mark.parametrize("shapes", [[(2, 1), (3, 2)], [(3, 2), (3, 1), (5, 2)], [(2, 1), (2, 1), (4, 3), (4, 1)]])
def test_residual_networks_stay_convolutions(shapes: list[tuple[int, int]]) -> None:
    rng = np.random.default_rng(len(shapes))
    graph = residual_graph(shapes, rng)
    laid = lay_out(graph)
    frames = (rng.random((8, 2, 9, 6)) < 0.4).astype(np.uint8)
    network, _ = quantize(graph)
    assert {layer.kind for layer in network.layers} == {"conv"}
    assert len(network.layers) == 2 * len(shapes)
    trace = simulate(network, frames[None], keep_layers=True)
    assert trace.layer_spikes is not None
    wanted = run_nodes(graph.nir_graph, DT, frames)
    for name, (layer, places) in laid.places.items():
        expected = wanted[name].reshape(len(frames), -1)
        assert 0 < expected.sum() < expected.size
        spikes = trace.layer_spikes[layer][0].reshape(len(frames), -1)
        assert np.array_equal(spikes[:, places.ravel()], expected), name
    # A relay for each neuron that the shortcut reads: behind a 1 x 1 shortcut of stride s one position of s^2.
    expected, grid, channels = [], (9, 6), 2
    for wide, stride in shapes:
        grid = tuple(-(-size // stride) for size in grid)
        expected += [channels * math.prod(grid), 0]
        channels = wide
    assert list(laid.relays) == expected


@pytest.mark.parametrize(("threshold", "cost"), [(3.0, ""), (20.0, "2.55 times the largest weight of their layer")])
def test_what_relays_cost_is_noted(threshold: float, cost: str) -> None:
    """Largest weight 8, a threshold of 20: the relay's weight is 1.02 x 20 = 20.4, and 20.4 / 8 = 2.55."""
    graph = residual_graph([(2, 1)], np.random.default_rng(0))
    nodes = dict(graph.nir_graph.nodes)
    shape = (2, 9, 6)
    nodes["a0-if"] = nir.IF(r=np.full(shape, 1 / DT), v_threshold=np.full(shape, threshold), v_reset=np.zeros(shape))
    raw = nir.NIRGraph(nodes, graph.nir_graph.edges, type_check=False)
    laid = lay_out(SpikingGraph(nir_graph=raw, dt_s=DT, input_shape=(2, 9, 6)))
    assert float(np.abs(nodes["a0"].weight).max()) == 8
    notes = [note for note in laid.graph.notes if "relays" in note]
    assert len(notes) == bool(cost)
    assert all(cost in note for note in notes)


def skip_from_input(bias: float, back: float) -> nir.NIRGraph:
    """input -> a -> cell -> b -> out and input -> skip -> out, so that relays of the input stand beside `cell`."""
    rng = np.random.default_rng(5)

    def cell(size: int) -> nir.IF:
        return nir.IF(r=np.full(size, 1 / DT), v_threshold=np.full(size, 4.0), v_reset=np.zeros(size))

    nodes = {
        "input": nir.Input({"input": None}), "a": nir.Affine(rng.uniform(-1, 3, (4, 3)), np.array([bias, 0, 0, 0])),
        "cell": cell(4), "rec": nir.Linear(np.diag([back, 0, 0, -back])), "b": nir.Linear(rng.uniform(-1, 3, (2, 4))),
        "skip": nir.Linear(rng.uniform(-1, 3, (2, 3))), "out": cell(2), "output": nir.Output({"output": np.array([2])}),
    }  # fmt: skip
    edges = [("input", "a"), ("a", "cell"), ("cell", "rec"), ("rec", "cell"), ("cell", "b"), ("b", "out"),
             ("input", "skip"), ("skip", "out"), ("out", "output")]  # fmt: skip
    return nir.NIRGraph(nodes, edges, type_check=False)


@pytest.mark.parametrize(("bias", "back"), [(0.0, 300.0), (2000.0, 1.0), (3200.0, -50.0)])
def test_relays_fire_beside_large_recurrent_weights_and_biases(bias: float, back: float) -> None:
    """They set a scale at which the threshold 4 and a relay of 1.02 x 4 would round to one number."""
    graph = SpikingGraph(nir_graph=skip_from_input(bias, back), dt_s=DT, input_shape=(3,))  # no stated shape: inferred
    network, _ = quantize(graph)
    frames = (np.random.default_rng(1).random((2, 12, 3)) < 0.4).astype(np.uint8)
    trace = simulate(network, frames, keep_layers=True)
    assert trace.layer_spikes is not None
    assert np.array_equal(trace.layer_spikes[0][:, :, 4:], frames)
    assert lay_out(graph).relayed_inputs == ("input",)


def test_a_relay_that_would_not_fire_is_refused() -> None:
    """A searched scale of 100 clips the relay at 254, and the threshold is 400."""
    graph = SpikingGraph(nir_graph=skip_from_input(0.0, 1.0), dt_s=DT, input_shape=(3,))
    with pytest.raises(UserError, match=r"^a: a relay of weight 254 would not reach the threshold 400"):
        quantize(graph, scales={"a": 100.0})


def test_several_inputs_are_in_the_order_of_their_names() -> None:
    """Whatever the order of nodes and edges, which a file does not keep."""
    nodes = {
        "right": nir.Input({"input": np.array([2])}), "left": nir.Input({"input": np.array([3])}),
        "b": nir.Linear(np.eye(2) * 9), "a": nir.Linear(np.ones((2, 3)) * 9),
        "one": nir.IF(r=np.full(2, 1 / DT), v_threshold=np.full(2, 4.0), v_reset=np.zeros(2)),
        "two": nir.IF(r=np.full(2, 1 / DT), v_threshold=np.full(2, 4.0), v_reset=np.zeros(2)),
        "second": nir.Output({"output": np.array([2])}), "first": nir.Output({"output": np.array([2])}),
    }  # fmt: skip
    edges = [("right", "b"), ("b", "one"), ("one", "second"), ("left", "a"), ("a", "two"), ("two", "first")]
    for order in (edges, edges[::-1]):
        raw = nir.NIRGraph(nodes, order, type_check=False)
        graph = SpikingGraph(nir_graph=raw, dt_s=DT, input_shape=(5,))
        frames = np.array([[[0, 0, 0, 1, 0], [0, 1, 0, 0, 1]]], dtype=np.uint8)
        found = simulate(quantize(graph)[0], frames, keep_layers=True).layer_spikes[0][0]
        places = lay_out(graph).places
        assert found[:, places["one"][1]].tolist() == [[1, 0], [0, 1]]
        assert found[:, places["two"][1]].tolist() == [[0, 0], [1, 1]]
        notes = lay_out(graph).graph.notes
        assert "the inputs are side by side, in entries: left is 0 to 2, right is 3 to 4" in notes
        assert "the outputs follow each other: first is 0 to 1, second is 2 to 3" in notes


def test_counts_cannot_pass_relays() -> None:
    graph = SpikingGraph(nir_graph=skip_from_input(0.0, 1.0), dt_s=DT, input_shape=(3,))
    network, _ = quantize(graph)
    assert with_messages(network, 0, graph).input_message_bits == 0
    with pytest.raises(UserError, match="input: counts of 4 bits would become single spikes: a branch of this input"):
        with_messages(network, 4, graph)


LAVA_SEEDS = (103, 108, 110)


def test_the_graphs_in_lava_have_branches_of_each_kind() -> None:
    drawn = [RandomBranches(np.random.default_rng(seed)) for seed in LAVA_SEEDS]
    assert set.union(*(each.kinds for each in drawn)) == KINDS


@pytest.mark.lava
@pytest.mark.parametrize("seed", LAVA_SEEDS)
def test_laid_out_graphs_are_equal_in_lava(seed: int) -> None:
    drawn = RandomBranches(np.random.default_rng(seed))
    network, _ = quantize(drawn.graph)
    frames = (np.random.default_rng(seed).random((3, *drawn.frames.shape)) < 0.35).astype(np.uint8)
    found = compare_backends(network, frames).comparison
    assert found.mismatches == 0
    assert found.spikes_compared > 500
