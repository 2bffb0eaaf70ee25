"""Neurons in several copies: the network fires the spikes of one whose weights have a step of 1/K."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import nir
import numpy as np
import pytest
import torch
from nir_oracle import run_nir
from small_graphs import DT, graph_of

from spikeport.errors import UserError
from spikeport.export.backends.compare_backends import compare_backends
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.formats.netx.rules import netx_fault
from spikeport.export.graph.spiking_graph import SpikingGraph
from spikeport.export.network.spike_trace import SpikeTrace
from spikeport.export.quantization.bias_neurons import with_messages
from spikeport.export.quantization.clones import kept_by_netx, spread, without_clones
from spikeport.export.quantization.quantize import quantize

SHAPE = (2, 7, 6)
DECAYS = {"n0": 0.3, "n1": 0.125, "n2": 0.6, "n3": 0.25}


def network_of(seed: int) -> SpikingGraph:
    """A convolution, one with groups and a stride, a recurrent matrix, and the output."""
    rng = np.random.default_rng(seed)

    def cell(name: str, shape: tuple[int, ...], threshold: float) -> nir.LIF:
        tau = np.full(shape, DT / DECAYS[name])
        return nir.LIF(tau=tau, r=tau / DT, v_leak=0 * tau, v_threshold=0 * tau + threshold, v_reset=0 * tau)

    def conv(size: tuple[int, int], stride: int, groups: int, *shape: int) -> nir.Conv2d:
        weight, bias = rng.normal(0.1, 0.4, shape), rng.normal(0.05, 0.02, shape[0])
        return nir.Conv2d(size, weight, (stride, stride), (1, 1), (1, 1), groups, bias)

    nodes = {
        "input": nir.Input({"input": np.array(SHAPE)}),
        "c0": conv((7, 6), 1, 1, 4, 2, 3, 3), "n0": cell("n0", (4, 7, 6), 0.8),
        "c1": conv((7, 6), 2, 2, 6, 2, 3, 3), "n1": cell("n1", (6, 4, 3), 0.8),
        "flat": nir.Flatten({"input": np.array((6, 4, 3))}, start_dim=0, end_dim=-1),
        "f2": nir.Linear(rng.normal(0.05, 0.3, (5, 72))), "n2": cell("n2", (5,), 0.7),
        "f3": nir.Affine(rng.normal(0.2, 0.5, (3, 5)), np.array([0.1, 0.0, -0.05])), "n3": cell("n3", (3,), 0.6),
        "output": nir.Output({"output": np.array([3])}), "back": nir.Linear(rng.normal(0, 0.4, (5, 5))),
    }  # fmt: skip
    chain = [name for name in nodes if name != "back"]
    edges = [*pairwise(chain), ("n2", "back"), ("back", "n2")]
    return SpikingGraph(nir_graph=nir.NIRGraph(nodes, edges, type_check=False), dt_s=DT, input_shape=SHAPE)


def wide_spikes(graph: SpikingGraph, scales: dict[str, float], frames: np.ndarray) -> dict[str, np.ndarray]:
    """Each layer's spikes `[T, ...]` where its weights are rounded to the even numbers, however large they are."""
    nodes = graph.nir_graph.nodes
    found: dict[str, np.ndarray] = {}
    arriving = frames
    for weights, neurons in (("c0", "n0"), ("c1", "n1"), ("f2", "n2"), ("f3", "n3")):
        node, scale = nodes[weights], scales[weights]
        weight = 2 * np.rint(scale * node.weight / 2)
        bias = np.rint(scale * getattr(node, "bias", np.zeros(len(weight))))
        threshold = np.rint(scale * nodes[neurons].v_threshold.flat[0])
        back = 2 * np.rint(scale * nodes["back"].weight / 2) if weights == "f2" else None
        if isinstance(node, nir.Conv2d):
            maps, kernel = torch.tensor(arriving).double(), torch.tensor(weight)
            sums = torch.nn.functional.conv2d(maps, kernel, None, node.stride, node.padding, 1, node.groups).numpy()
            bias = bias[:, None, None]
        else:
            sums = arriving.reshape(len(arriving), -1) @ weight.T
        keeps = 4096 - np.rint(4096 * DECAYS[neurons])
        voltage = fired = np.zeros(sums.shape[1:])
        spikes = []
        for each in sums:
            total = each if back is None else each + back @ fired
            voltage = np.trunc(voltage * keeps / 4096) + 64 * (total + bias)
            fired = (voltage > 64 * threshold).astype(np.float64)
            voltage = voltage * (1 - fired)
            spikes.append(fired)
        found[weights] = arriving = np.array(spikes)
    return found


@pytest.mark.parametrize(("seed", "count"), [(0, 2), (1, 3), (2, 4), (3, 8)])
def test_every_copy_fires_as_the_wide_network(seed: int, count: int) -> None:
    graph = network_of(seed)
    network, rows = quantize(graph, clones=count)
    assert [layer.clones for layer in network.layers] == [count, count, count, 1]
    assert all(np.abs(layer.weight).max() <= 254 for layer in network.layers)
    plain = {row.name: row for row in quantize(graph)[1]}
    for row in rows:
        bits = 1 if row.name == "c0" else count
        assert row.scale == pytest.approx(bits * plain[row.name].scale)
        assert row.weight_error == pytest.approx(plain[row.name].weight_error / bits, rel=0.5)
    frames = (np.random.default_rng(seed).random((2, 15, *SHAPE)) < 0.3).astype(np.uint8)
    trace = simulate(network, frames, keep_layers=True)
    assert trace.layer_spikes is not None
    for sample, each in enumerate(frames):
        wanted = wide_spikes(graph, {row.name: row.scale for row in rows}, each)
        for layer, spikes in zip(network.layers, trace.layer_spikes, strict=True):
            copies = spikes[sample].reshape(len(each), -1, layer.clones, *layer.output_shape[1:])
            expected = wanted[layer.name]
            assert 0.02 < expected.mean() < 0.98, layer.name
            for copy in range(layer.clones):
                assert np.array_equal(copies[:, :, copy], expected), layer.name
            assert np.array_equal(without_clones(spikes, layer)[sample], expected)


@pytest.mark.lava
def test_clones_are_equal_in_lava() -> None:
    network, _ = quantize(network_of(1), clones={"input": 2, "c0": 3, "n2": 4})
    frames = (np.random.default_rng(5).random((2, 12, *SHAPE)) < 0.3).astype(np.uint8)
    found = compare_backends(network, frames).comparison
    assert found.mismatches == 0
    assert found.spikes_compared > 500


def test_clones_of_the_input_refine_the_first_layer() -> None:
    graph = network_of(0)
    network, rows = quantize(graph, clones={"input": 4})
    plain = quantize(graph)[1][0]
    assert network.layers[0].name == "input.clones"
    assert network.layers[0].output_shape == (8, 7, 6)
    assert rows[1].scale == pytest.approx(4 * plain.scale)
    frames = (np.random.default_rng(1).random((1, 15, *SHAPE)) < 0.3).astype(np.uint8)
    spikes = simulate(network, frames, keep_layers=True).layer_spikes
    assert spikes is not None
    assert np.array_equal(spikes[0][0], np.repeat(frames[0], 4, axis=1)), "in the same logical step"
    wanted = wide_spikes(graph, {row.name: row.scale for row in rows[1:]}, frames[0])
    assert np.array_equal(spikes[1][0], wanted["c0"])
    with pytest.raises(UserError, match=r"input.clones: counts of 2 bits would become single spikes"):
        with_messages(network, 2, graph)


def slow_graph() -> SpikingGraph:
    """Weights of k/127, so that 254 and 508 are exact scales; currents that halve, behind a bias: a bias neuron."""
    rng, half, one = np.random.default_rng(4), 2 * DT * np.ones(3), np.ones(3)
    first = nir.IF(r=np.ones(4) / DT, v_threshold=np.full(4, 100 / 127))
    slow = nir.CubaLIF(half, half, 2 * one, 0 * one, np.full(3, 160 / 127), w_in=2 * one)
    weights = [rng.integers(-40, 127, shape) / 127 for shape in ((4, 3), (3, 4))]
    for weight in weights:
        weight.flat[0] = 1.0
    return graph_of(
        nir.Linear(weights[0]), first, nir.Affine(weights[1], np.array([6.0, -2, 0]) / 127), slow, shape=(3,)
    )


@pytest.mark.parametrize("clones", [2, {"n1": 4}, {"input": 2, "n0": 2}])
def test_bias_neurons_are_cloned_with_their_layer(clones: int | dict[str, int]) -> None:
    graph = replace(slow_graph(), bias="neuron")
    network, _ = quantize(graph, clones=clones)
    frames = (np.random.default_rng(3).random((7, 3)) < 0.5).astype(np.uint8)
    expected = run_nir(graph.nir_graph, DT, frames)
    assert 0 < expected.mean() < 1
    trace: SpikeTrace = simulate(network, frames[None])
    assert np.array_equal(trace.spikes[0], expected)
    count = clones if isinstance(clones, int) else max(clones.values())
    hidden = next(layer for layer in network.layers if layer.name == "n0")
    assert hidden.output_shape == (5 * count,)


def test_sums_over_copies_stay_where_netx_would_change_a_matrix() -> None:
    """Copies of -64: netx would clip a matrix without positive weights whose lowest is a power of two."""
    sums = np.array([[-128, -128, -8], [-128, -6, -4]])
    parts = spread({"weight": sums}, (3,), 2, 2, 1)
    assert netx_fault(parts["weight"])
    changed = kept_by_netx(parts, (3,), 2, 2)
    assert not netx_fault(changed["weight"])
    assert np.array_equal(changed["weight"].reshape(2, 3, 2).sum(axis=2), sums)


@pytest.mark.parametrize(
    ("clones", "words"),
    [
        (0, "0 clones are not possible. Hint: use 1 to 16"),
        (17, "17 clones are not possible"),
        ({"f4": 2}, "clones were asked for 'f4', which is not a layer. Hint: layers are c0, c1, f2, and input"),
        ({"f3": 2}, "f3: its neurons are the output, which is not cloned"),
        ({"n3": 2}, "n3: its neurons are the output"),
    ],
)
def test_requests_that_are_not_possible_are_refused(clones: int | dict[str, int], words: str) -> None:
    with pytest.raises(UserError, match=words):
        quantize(network_of(0), clones=clones)


def test_a_quantized_layer_takes_no_clones_and_costs_are_noted() -> None:
    graph = network_of(0)
    with pytest.raises(UserError, match="c1: is quantized already: clones refine weights that are rounded"):
        quantize(replace(graph, scales={"c1": 2.0}), clones=2)
    _, rows = quantize(graph, clones={"f2": 4})
    notes = [note for row in rows for note in row.notes if "copies" in note]
    assert len(notes) == 1
    assert "each of its 5 neurons has 4 copies that fire together: 15 neurons more" in notes[0]
    assert "2 bits more" in notes[0]
