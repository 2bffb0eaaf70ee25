"""Files as exporters leave them: mixed parameter shapes, a time axis, wrong names in subgraphs, loops without input."""

from __future__ import annotations

from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
from nir_oracle import run_nir

from spikeport.errors import UserError
from spikeport.export.formats.nir_file import read_nir
from spikeport.export.graph.spiking_graph import load_graph
from spikeport.export.graph.structure import refuse

WEIGHT = np.array([[0.5, -0.25, 0.75], [0.375, 0.5, -0.125]])


def full(value: float) -> np.ndarray:
    return np.full(2, value)


def lif(threshold: float = 0.6) -> nir.LIF:
    return nir.LIF(tau=full(2e-3), r=full(2.0), v_leak=full(0.0), v_threshold=full(threshold), v_reset=full(0.0))


def written(path: Path, nodes: dict[str, nir.NIRNode], edges: list[tuple[str, str]]) -> Path:
    nir.write(path, nir.NIRGraph(nodes, edges, type_check=False))
    return path


def chain_file(path: Path, inputs: tuple[int, ...] = (3,), outputs: tuple[int, ...] = (2,)) -> Path:
    nodes = {"input": nir.Input({"input": np.array(inputs)}), "fc": nir.Linear(WEIGHT), "cell": lif(),
             "output": nir.Output({"output": np.array(outputs)})}  # fmt: skip
    return written(path, nodes, [("input", "fc"), ("fc", "cell"), ("cell", "output")])


def test_single_numbers_beside_arrays_are_broadcast(tmp_path):
    """NIR refuses such a file; each number holds for every neuron."""
    whole, mixed = chain_file(tmp_path / "whole.nir"), chain_file(tmp_path / "mixed.nir")
    with h5py.File(mixed, "a") as file:
        cell = file["node/nodes/cell"]
        for key in ("tau", "v_leak"):
            value = cell[key][0]
            del cell[key]
            cell[key] = value if key == "tau" else np.array([value])
    with pytest.raises(AssertionError, match="same shape"):
        nir.read(mixed)
    frames = (np.random.default_rng(2).random((9, 3)) < 0.6).astype(float)
    runs = [run_nir(load_graph(path, dt_s=1e-3, reset="zero").nir_graph, 1e-3, frames) for path in (whole, mixed)]
    assert np.array_equal(*runs)
    assert runs[0].sum() > 2


def test_bare_numbers_beside_arrays_of_one_neuron_are_broadcast(tmp_path):
    """Norse's file of one neuron: tau and r are arrays of one number, v_leak and v_reset bare numbers."""
    one = nir.LIF(*(np.array([value]) for value in (2e-3, 2.0, 0.0, 0.6)), v_reset=np.zeros(1))
    nodes = {"input": nir.Input({"input": np.array([3])}), "fc": nir.Linear(WEIGHT[:1]), "cell": one,
             "output": nir.Output({"output": np.array([1])})}  # fmt: skip
    edges = [("input", "fc"), ("fc", "cell"), ("cell", "output")]
    whole, mixed = (written(tmp_path / name, nodes, edges) for name in ("whole.nir", "mixed.nir"))
    with h5py.File(mixed, "a") as file:
        cell = file["node/nodes/cell"]
        for key in ("v_leak", "v_reset"):
            value = cell[key][0]
            del cell[key]
            cell[key] = value
    with pytest.raises(AssertionError, match="same shape"):
        nir.read(mixed)
    frames = (np.random.default_rng(2).random((9, 3)) < 0.6).astype(float)
    runs = [run_nir(load_graph(path, dt_s=1e-3, reset="zero").nir_graph, 1e-3, frames) for path in (whole, mixed)]
    assert np.array_equal(*runs)
    assert 0 < runs[0].sum() < runs[0].size


def test_two_arrays_of_different_shapes_stay_refused(tmp_path):
    path = chain_file(tmp_path / "net.nir")
    with h5py.File(path, "a") as file:
        del file["node/nodes/cell/tau"]
        file["node/nodes/cell/tau"] = np.full(3, 2e-3)
    with pytest.raises(UserError, match="cell: this LIF cannot be read"):
        read_nir(path)


def test_a_time_axis_may_be_left_out_by_the_option(tmp_path):
    """Sinabs writes (10, 3) and (10, 2) for ten steps: --input-shape 3 is then right, and the output is no fault."""
    path = chain_file(tmp_path / "net.nir", (10, 3), (10, 2))
    graph = load_graph(path, dt_s=1e-3, reset="zero", input_shape=(3,))
    assert [node.output_shape for node in graph.chain()] == [(2,), (2,)]
    wrong = chain_file(tmp_path / "wrong.nir", (10, 3), (10, 5))
    with pytest.raises(UserError, match=r"the file claims shape \(10, 5\), the layers give \(2,\)"):
        load_graph(wrong, dt_s=1e-3, reset="zero", input_shape=(3,)).chain()


def test_an_edge_in_a_subgraph_names_the_subgraph(tmp_path):
    inner = nir.NIRGraph(
        {"input": nir.Input({"input": np.array([2])}), "lif1": lif(), "output": nir.Output({"output": np.array([2])})},
        [("input", "lif"), ("lif1", "output")], type_check=False,
    )  # fmt: skip
    nodes = {"input": nir.Input({"input": np.array([3])}), "fc": nir.Linear(WEIGHT), "cell": inner,
             "output": nir.Output({"output": np.array([2])})}  # fmt: skip
    path = written(tmp_path / "net.nir", nodes, [("input", "fc"), ("fc", "cell"), ("cell", "output")])
    with pytest.raises(UserError, match=r"edges name nodes that do not exist: cell\.lif\. .*is perhaps cell\.lif1"):
        load_graph(path, dt_s=1e-3, reset="zero").chain()


def test_edges_to_a_subgraph_whose_nodes_stand_beside_the_others(tmp_path):
    """The NIR paper's Braille networks of one version: a second Input, and edges to a name that is no node."""
    two = {"input": nir.Input({"input": np.array([2])}), "output": nir.Output({"output": np.array([2])})}
    nodes = {"input": nir.Input({"input": np.array([3])}), "fc": nir.Linear(WEIGHT), "lif1.input": two["input"],
             "lif1.lif": lif(), "lif2": lif(), "lif1.output": two["output"], "output": two["output"]}  # fmt: skip
    edges = [("input", "fc"), ("fc", "lif1"), ("lif1", "lif2"), ("lif2", "output"), ("lif1.input", "lif1.lif"),
             ("lif1.lif", "lif1.output")]  # fmt: skip
    path = written(tmp_path / "net.nir", nodes, edges)
    words = r"do not exist: lif1\. Hint: lif1 is no subgraph here.*lif1\.input, lif1\.lif, lif1\.output; correct"
    with pytest.raises(UserError, match=words):
        load_graph(path, dt_s=1e-3, reset="zero").chain()


def test_a_node_that_only_its_loop_feeds_is_told_so(tmp_path):
    nodes = {"input": nir.Input({"input": np.array([3])}), "fc": nir.Linear(WEIGHT), "cell": lif(),
             "state": lif(), "loop": nir.Linear(np.eye(2)), "read": nir.Linear(np.eye(2)),
             "output": nir.Output({"output": np.array([2])})}  # fmt: skip
    edges = [("input", "fc"), ("fc", "cell"), ("cell", "output"), ("state", "loop"), ("loop", "state"),
             ("state", "read"), ("read", "output")]  # fmt: skip
    path = written(tmp_path / "net.nir", nodes, edges)
    with pytest.raises(UserError, match="state: is fed by its own loop alone"):
        load_graph(path, dt_s=1e-3, reset="zero").chain()


def test_a_hint_that_several_faults_share_is_given_once():
    faults = [UserError("has a bias", where=name, hint="--bias neuron") for name in ("a", "b", "c")]
    faults.insert(1, UserError("is lost", where="d", hint="find it"))
    with pytest.raises(UserError) as refusal:
        refuse(faults)
    assert str(refusal.value) == (
        "4 things keep this graph from netx: (1) a: has a bias; (2) d: is lost. Hint: find it; (3) b: has a bias; "
        "(4) c: has a bias. Hint for (1), (3), (4): --bias neuron"
    )
