"""Random networks for the fuzz test: live modules and graphs with branches, some with parts that the chip refuses.

A network that converts must fire the spikes of an independent execution; one that does not must raise UserError. Each
is drawn from two numbers in a small JSON file, so that it is a file like the others.
"""

from __future__ import annotations

import json
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import snntorch
import torch
from nir_oracle import run_nir, run_nodes
from random_branches import DT, SCALE, RandomBranches, inputs_of
from random_modules import DT as MODULE_DT
from random_modules import NAMELESS, RandomModule

from spikeport.errors import UserError
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.frontends.convert import convert
from spikeport.export.graph.node_kinds import SPIKING
from spikeport.export.graph.spiking_graph import SpikingGraph, load_graph
from spikeport.export.lowering.branches.one_chain import lay_out
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.quantization.quantize import quantize
from spikeport.pipeline.adaptation.source import source_of_modules
from spikeport.pipeline.adaptation.student import student_of
from spikeport.pipeline.stages.network_check import NetworkCheck, check_network
from spikeport.pipeline.training.qat import convert as convert_quantized
from spikeport.pipeline.training.qat import prepare_qat
from spikeport.pipeline.training.scaling import rescale

FACTORY = "spikeport_fuzz_drawn"  # module that holds the factory of a drawn network
FAULTS = {"needs adapt", "impossible", "not looked at"}


def write_seed(path: Path, seed: int, index: int) -> None:
    """Writes the numbers from which a network is drawn."""
    path.write_text(json.dumps([seed, index]), encoding="utf-8")


def check_module(path: Path) -> None:
    """A network of torch modules: converted with its own spikes, or refused with every part that has no place."""
    seed = json.loads(path.read_text(encoding="utf-8"))
    rng = np.random.default_rng(seed)
    torch.manual_seed(0)
    drawn = RandomModule(rng, refuse=rng.random() < 0.5)
    sys.modules[FACTORY] = types.SimpleNamespace(network=lambda: drawn.model)  # type: ignore[assignment]
    found = check_network(f"{FACTORY}:network", dt_s=MODULE_DT, input_shape=drawn.shape)
    try:
        graph = convert(drawn.model, drawn.shape, MODULE_DT)
    except UserError:
        assert drawn.refused, "a network of parts that the chip has was refused"
        _assert_agrees(found, goes=False)
        statuses = {node.node: node.status for node in found.nodes}
        if not NAMELESS & set(drawn.refused.values()):
            names = [name for name, word in drawn.refused.items() if word != "functional relu"]
            assert all(statuses[name] in FAULTS for name in names), f"{statuses} for {drawn.refused}"
        raise
    assert not drawn.refused, f"a network with {drawn.refused} was accepted"
    assert np.array_equal(run_nir(graph.nir_graph, MODULE_DT, drawn.frames), drawn.spikes()), "other spikes"
    _compiled(graph, drawn.frames, found)


def check_adapt(path: Path) -> None:
    """A network as a source of `adapt`: the source fires as the network does, the rounded student as the reference."""
    rng = np.random.default_rng(json.loads(path.read_text(encoding="utf-8")))
    torch.manual_seed(0)
    drawn = RandomModule(rng, refuse=rng.random() < 0.3)
    source = source_of_modules(drawn.model, drawn.shape, MODULE_DT)
    slow = any(isinstance(module, snntorch.Synaptic) for module in drawn.model.modules())
    if not drawn.refused and not slow:  # their decays round in float32, the oracle is in float64
        with torch.no_grad():
            found = source.network(torch.from_numpy(drawn.frames[:, None]).float()).output[:, 0].numpy()
        spikes = drawn.spikes()
        assert np.array_equal(found, spikes.reshape(len(spikes), -1)), "the source fires other spikes"
    trained = rescale(student_of(source.nearest, []))
    prepare_qat(trained)
    trained = convert_quantized(trained)
    with torch.no_grad():
        own = trained(torch.from_numpy(drawn.frames[:, None]).float()).output[:, 0].numpy()
    network, _ = quantize(trained.graph())
    trace = simulate(network, drawn.frames[None])
    if trace.membrane is None and network.readout.kind == "spikes":
        assert np.array_equal(trace.spikes[0], own), "the student and the reference fire other spikes"


def check_branches(path: Path) -> None:
    """A graph with branches, changed at random: written, read and compiled with the same spikes, or refused."""
    rng = np.random.default_rng(json.loads(path.read_text(encoding="utf-8")))
    drawn = RandomBranches(rng)
    graph = drawn.graph
    nodes, edges = dict(graph.nir_graph.nodes), list(graph.nir_graph.edges)
    for _ in range(int(rng.integers(0, 3))):
        _change(rng, nodes, edges)
    raw = nir.NIRGraph(nodes, edges, type_check=False)
    shape = graph.input_shape
    scales = {
        name: SCALE
        for name, node in nodes.items()
        if isinstance(node, (nir.Conv2d, nir.Linear, nir.Affine)) and not name.endswith("rec")
    }
    file = path.with_suffix(".again.nir")
    SpikingGraph(nir_graph=raw, dt_s=DT, input_shape=shape, scales=scales).save(file)
    loaded = load_graph(file)
    network = _compiled(loaded, drawn.frames, check_network(file))
    laid = lay_out(loaded)
    trace = simulate(network, drawn.frames[None], keep_layers=True)
    assert trace.layer_spikes is not None
    wanted = run_nodes(loaded.nir_graph, DT, inputs_of(loaded.nir_graph, drawn.frames))
    for name, (layer, places) in laid.places.items():
        if isinstance(loaded.nir_graph.nodes[name], SPIKING):
            spikes = trace.layer_spikes[layer][0].reshape(len(drawn.frames), -1)[:, places.ravel()]
            assert np.array_equal(spikes, wanted[name].reshape(len(spikes), -1)), f"{name} fires other spikes"


def _compiled(graph: SpikingGraph, frames: np.ndarray, found: NetworkCheck) -> IntegerNetwork:
    """The integer network, which runs; `check-network` must agree that there is one."""
    try:
        network, _ = quantize(graph)
    except UserError:
        _assert_agrees(found, goes=False)
        raise
    _assert_agrees(found, goes=True)
    assert found.layers == len(network.layers)
    assert simulate(network, frames[None]).spikes.shape[1] == len(frames)
    return network


def _assert_agrees(found: NetworkCheck, *, goes: bool) -> None:
    statuses = {node.status for node in found.nodes}
    assert found.goes == goes, f"check-network says {'go' if found.goes else 'does not go'}"
    assert (statuses <= {"exact", "rewritten"}) == goes, f"check-network says {statuses}"
    assert goes or found.missing or statuses & {"needs adapt", "impossible"}, "check-network names no reason"


def _change(rng: np.random.Generator, nodes: dict[str, nir.NIRNode], edges: list[tuple[str, str]]) -> None:
    """Changes one node or edge; all numbers stay whole, so that what still compiles is exact."""
    names = [name for name, node in nodes.items() if not isinstance(node, (nir.Input, nir.Output))]
    name = str(rng.choice(names))
    node = nodes[name]
    choice = int(rng.integers(9))
    if choice == 0 and edges:
        edges.pop(int(rng.integers(len(edges))))
    elif choice == 1:
        edges.append((str(rng.choice(list(nodes))), name))
    elif choice == 2:
        del nodes[name]
        edges[:] = [edge for edge in edges if name not in edge]
    elif choice == 3:
        nodes[name] = _other(rng, node)
    elif choice == 4 and isinstance(node, SPIKING):
        odd = [np.nan, -1.0, 0.0, np.inf, 3.0]
        nodes[name] = replace(node, v_threshold=np.full_like(node.v_threshold, odd[int(rng.integers(len(odd)))]))
    elif choice == 5 and hasattr(node, "weight"):
        weight = np.array(node.weight)
        weight.flat[int(rng.integers(weight.size))] = [np.nan, np.inf, 1000.0, 0.0][int(rng.integers(4))]
        nodes[name] = replace(node, weight=weight)
    elif choice == 6 and hasattr(node, "weight"):
        nodes[name] = replace(node, weight=np.array(node.weight)[: int(rng.integers(len(node.weight)))])
    elif choice == 7 and getattr(node, "bias", None) is not None:
        nodes[name] = replace(node, bias=np.array(node.bias) + int(rng.integers(-3, 4)))
    else:
        target = str(rng.choice(list(nodes)))
        edges[:] = [(before, target) if behind == name else (before, behind) for before, behind in edges]


def _other(rng: np.random.Generator, node: nir.NIRNode) -> nir.NIRNode:
    """A node of another kind in place of this one."""
    shape = np.shape(getattr(node, "v_threshold", np.ones(3)))
    one = np.ones(shape)
    others: list[Any] = [
        nir.Threshold(one),
        nir.LI(tau=DT * one, r=one, v_leak=0 * one),
        nir.I(r=one / DT),
        nir.Scale(2 * one),
        nir.Delay(DT * one),
        nir.CubaLIF(tau_syn=2 * DT * one, tau_mem=DT * one, r=one, v_leak=0 * one, v_threshold=one, v_reset=0 * one),
        nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        nir.Flatten({"input": np.array(shape)}, start_dim=0, end_dim=-1),
        nir.IF(r=one / DT, v_threshold=5 * one, v_reset=0 * one),
    ]
    return others[int(rng.integers(len(others)))]
