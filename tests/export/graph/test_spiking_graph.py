"""Graphs are read and written: arrays and metadata stay the same, and files of other writers are read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nir_chains import DT, conv_graph, dense_graph, lif, nir_chain, written
from numpy.testing import assert_array_equal

from spikeport.errors import UserError
from spikeport.export.graph.chain import chain
from spikeport.export.graph.spiking_graph import SpikingGraph, load_graph
from spikeport.export.quantization.quantize import quantize


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    return written(tmp_path / "foreign.nir", dense_graph())


def test_what_is_saved_comes_back_array_by_array(tmp_path: Path):
    graph = conv_graph(scales={"conv": 64.0, "fc": 0.1})
    graph.save(tmp_path / "net.nir")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["net.nir", "net.nir.json"]
    loaded = load_graph(tmp_path / "net.nir")
    assert (loaded.dt_s, loaded.reset, loaded.input_shape, loaded.scales) == (DT, "zero", (2, 6, 11), graph.scales)
    for name, key in [
        ("conv", "weight"),
        ("conv", "bias"),
        ("conv", "stride"),
        ("fc", "weight"),
        ("pool", "kernel_size"),
    ]:
        assert_array_equal(getattr(loaded.nir_graph.nodes[name], key), getattr(graph.nir_graph.nodes[name], key))
    metadata = json.loads((tmp_path / "net.nir.json").read_text())
    assert metadata["layers"] == ["conv", "cell", "pool", "flatten", "fc", "last"]
    assert (metadata["schema"], metadata["rounding"]) == ("spikeport-graph/1", "half to even")


def test_a_saved_graph_saves_again_to_the_same_bytes(tmp_path: Path):
    conv_graph().save(tmp_path / "a.nir")
    load_graph(tmp_path / "a.nir").save(tmp_path / "b.nir")
    assert (tmp_path / "a.nir").read_bytes() == (tmp_path / "b.nir").read_bytes()


def test_metadata_and_assumptions_are_kept(tmp_path: Path):
    graph = dense_graph()
    graph.nodes["fc"].metadata = {"origin": "by hand", "epochs": np.array([3, 4])}
    SpikingGraph(nir_graph=graph, dt_s=DT, input_shape=(2,), notes=("dt was inferred",)).save(tmp_path / "net.nir")
    loaded = load_graph(tmp_path / "net.nir")
    assert loaded.notes == ("dt was inferred",)
    assert loaded.nir_graph.nodes["fc"].metadata["origin"] == "by hand"
    assert_array_equal(loaded.nir_graph.nodes["fc"].metadata["epochs"], [3, 4])


def test_every_node_of_a_saved_file_has_its_full_shape(tmp_path: Path):
    conv_graph().save(tmp_path / "net.nir")
    with h5py.File(tmp_path / "net.nir") as file:
        nodes = file["node/nodes"]
        assert nodes["cell/tau"].shape == nodes["cell/v_reset"].shape == (4, 6, 5)
        assert_array_equal(nodes["conv/input_shape"][()], [6, 11])
        assert_array_equal(nodes["flatten/input_type"][()], [4, 3, 5])
        assert_array_equal(nodes["output/shape"][()], [3])


def test_nir_itself_reads_what_we_save(tmp_path: Path):
    """With NIR's own type check, which a graph with square kernels must pass."""
    graph = nir_chain(
        (1, 5, 7),
        conv=nir.Conv2d(None, np.ones((2, 1, 3, 3)), (1, 1), "same", (1, 1), 1, np.zeros(2)),
        cell=lif((1,)),
        flatten=nir.Flatten({"input": None}, start_dim=0, end_dim=-1),
        fc=nir.Linear(np.ones((3, 70))),
        last=lif((3,)),
    )
    SpikingGraph(nir_graph=graph, dt_s=DT, input_shape=(1, 5, 7)).save(tmp_path / "net.nir")
    assert set(nir.read(tmp_path / "net.nir").nodes) == set(graph.nodes)


def test_shapes_are_torchs_where_nirs_own_are_wrong():
    """3 x 2 kernel: NIR takes the width from the kernel's height."""
    steps = conv_graph().chain()
    assert [step.output_shape for step in steps] == [(4, 6, 5), (4, 6, 5), (4, 3, 5), (60,), (3,), (3,)]


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_edges_and_nodes_means_nothing(random):
    graph = conv_graph().nir_graph
    expected = [step.name for step in chain(graph)]
    edges, names = list(graph.edges), list(graph.nodes)
    random.shuffle(edges)
    random.shuffle(names)
    shuffled = nir.NIRGraph({name: graph.nodes[name] for name in names}, edges, type_check=False)
    assert [step.name for step in chain(shuffled)] == expected


def test_odd_names_types_shapes_and_edges_mean_nothing(tmp_path: Path):
    """float16 weights, float64 and 0-d parameters, names of any kind, subgraphs, edges shuffled and written twice."""
    weight = np.array([[0.5, -0.25], [1.5, 2.0], [-3.0, 0.125]], dtype=np.float16)
    cell = lif((), tau=4e-3)
    inner = nir_chain((3,), **{"λ-cell 1": cell})
    inner.nodes["output"] = nir.Output({"output": np.array([3])})
    nodes = {
        "0": nir.Input({"input": np.array([2])}),
        "1 fc": nir.Linear(weight),
        "input": inner,
        "out put": nir.Output({"output": np.array([3])}),
    }
    edges = [("input", "out put"), ("1 fc", "input"), ("0", "1 fc"), ("1 fc", "input")]
    nir.write(tmp_path / "odd.nir", nir.NIRGraph(nodes, edges, type_check=False))
    graph = load_graph(tmp_path / "odd.nir", reset="zero")
    assert [step.name for step in graph.chain()] == ["1 fc", "input.λ-cell 1"]
    network, (row,) = quantize(graph)
    assert_array_equal(network.layers[0].weight, np.rint(weight.astype(float) * 254 / 3 / 2) * 2)
    assert row.neuron == "input.λ-cell 1"
    graph.save(tmp_path / "again.nir")
    again = load_graph(tmp_path / "again.nir")
    assert again.nir_graph.nodes["1 fc"].weight.dtype == np.float16
    assert again.nir_graph.nodes["input.λ-cell 1"].tau.shape == (3,)


def test_a_name_that_hdf5_takes_for_a_path_is_refused(tmp_path: Path):
    graph = SpikingGraph(nir_graph=nir_chain((2,), **{"a/b": nir.Linear(np.ones((3, 2)))}, cell=lif()), dt_s=DT,
                         input_shape=(2,))  # fmt: skip
    with pytest.raises(UserError, match=r"node name 'a/b' cannot be kept"):
        graph.save(tmp_path / "net.nir")
    assert not list(tmp_path.iterdir())


def test_an_input_shape_that_the_file_leaves_out_is_inferred_or_given(tmp_path: Path):
    graph = nir_chain(
        (4, 2, 5, 7),
        flat=nir.Flatten({"input": np.array([2, 5, 7])}, 0, -1),
        fc=nir.Linear(np.ones((3, 70))),
        cell=lif(),
    )
    file = written(tmp_path / "batch.nir", graph)
    with pytest.raises(UserError, match=r"the input shape \(4, 2, 5, 7\) is neither.*--input-shape"):
        load_graph(file, dt_s=DT, reset="zero")
    loaded = load_graph(file, dt_s=DT, reset="zero", input_shape=(2, 5, 7))
    assert loaded.input_shape == loaded.chain()[0].input_shape == (2, 5, 7)
    with pytest.raises(UserError, match=r"input shape \(3,\) contradicts the file's \(2,\)"):
        load_graph(written(tmp_path / "said.nir", dense_graph()), dt_s=DT, reset="zero", input_shape=(3,))
    without = dense_graph()
    without.nodes["input"] = nir.Input({"input": np.array([])})
    assert load_graph(written(tmp_path / "none.nir", without), dt_s=DT, reset="zero").input_shape == (2,)


PROBE = """
import sys
unpickled = []
sys.addaudithook(lambda event, arguments: unpickled.append(event) if event.startswith("pickle.") else None)
import spikeport.export.quantization.quantize
import spikeport.export.graph.spiking_graph
import spikeport.export.formats.netx.write
import spikeport.export.lowering.fold
import spikeport.export.formats.onnx
from pathlib import Path
before = len(unpickled)
graph = spikeport.export.graph.spiking_graph.load_graph(sys.argv[1], reset="zero")
network, _ = spikeport.export.quantization.quantize.quantize(graph)
assert network.layers
print(sorted({"torch", "snntorch", "lava", "matplotlib", "onnxruntime"} & set(sys.modules)), unpickled[before:])
"""


def test_compiling_a_file_loads_no_torch_and_unpickles_nothing(foreign: Path):
    """NumPy is enough for it, and a file from elsewhere must not be able to run code."""
    found = subprocess.run(
        [sys.executable, "-c", PROBE, str(foreign)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        check=True,
    )
    assert found.stdout.strip() == "[] []"
