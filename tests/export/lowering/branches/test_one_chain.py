"""Graphs with branches become one chain of layers that fires the same spikes, in float and in integers."""

from __future__ import annotations

import nir
import numpy as np
import pytest
from nir_oracle import run_nodes
from random_branches import DT, RandomBranches

from spikeport.export.backends.compare_backends import compare_backends
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.graph.node_kinds import SPIKING
from spikeport.export.graph.structure import is_chain
from spikeport.export.lowering.branches.one_chain import lay_out
from spikeport.export.quantization.quantize import quantize


def inputs_of(graph, frames):
    """Each Input of a graph by name, from frames whose channels follow each other."""
    found, first = {}, 0
    for name, node in graph.nodes.items():
        if isinstance(node, nir.Input):
            channels = int(node.input_type["input"][0])
            found[name] = frames[:, first : first + channels]
            first += channels
    return found


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


@pytest.mark.lava
@pytest.mark.parametrize("seed", [100, 103, 105])
def test_laid_out_graphs_are_equal_in_lava(seed: int) -> None:
    drawn = RandomBranches(np.random.default_rng(seed))
    network, _ = quantize(drawn.graph)
    frames = (np.random.default_rng(seed).random((3, *drawn.frames.shape)) < 0.35).astype(np.uint8)
    found = compare_backends(network, frames).comparison
    assert found.mismatches == 0
    assert found.spikes_compared > 500
