"""Reading, writing and ordering graphs: the metadata beside NIR is kept, and every fault is one line that names it."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from spikeport.errors import UserError
from spikeport.export.formats.metadata import metadata_path
from spikeport.export.graph.chain import chain
from spikeport.export.graph.flatten import flat
from spikeport.export.graph.spiking_graph import SpikingGraph, load_graph
from spikeport.export.quantization.quantize import quantize

DT = 1e-3


def lif(shape: tuple[int, ...] = (3,), tau: float = 4e-3, r: float = 4.0) -> nir.LIF:
    one = np.ones(shape)
    return nir.LIF(tau=tau * one, r=r * one, v_leak=0 * one, v_threshold=0.7 * one, v_reset=0 * one)


def nir_chain(shape: tuple[int, ...], **nodes: nir.NIRNode) -> nir.NIRGraph:
    named = {"input": nir.Input({"input": np.array(shape)}), **nodes, "output": nir.Output({"output": None})}
    return nir.NIRGraph(named, list(itertools.pairwise(named)), type_check=False)


def conv_graph(**settings) -> SpikingGraph:
    """Asymmetric everywhere, a kernel that is not square, scalar-shaped neurons, all of which NIR itself gets wrong."""
    rng = np.random.default_rng(1)
    conv = nir.Conv2d(None, rng.normal(size=(4, 1, 3, 2)), (1, 2), (1, 0), (1, 1), 2, rng.normal(size=4))
    graph = nir_chain(
        (2, 6, 11),
        conv=conv,
        cell=lif((1,)),
        pool=nir.AvgPool2d(np.array([2, 1]), np.array([2, 1]), np.array([0, 0])),
        flatten=nir.Flatten({"input": None}, start_dim=0, end_dim=-1),
        fc=nir.Linear(rng.normal(size=(3, 4 * 3 * 5))),
        last=lif((3,)),
    )
    return SpikingGraph(nir_graph=graph, dt_s=DT, input_shape=(2, 6, 11), **settings)


def dense_graph(**nodes: nir.NIRNode) -> nir.NIRGraph:
    return nir_chain((2,), fc=nir.Linear(np.arange(6.0).reshape(3, 2)), **(nodes or {"cell": lif()}))


def written(path: Path, graph: nir.NIRGraph) -> Path:
    """A foreign file: what NIR itself writes, without metadata."""
    graph.nodes["output"] = nir.Output({"output": np.array([3])})
    nir.write(path, graph)
    return path


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


# As frameworks write them


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


# What NIR does not say


def test_reset_is_never_guessed(foreign: Path):
    with pytest.raises(UserError, match=r"NIR does not say how neurons reset.*--reset zero"):
        load_graph(foreign, dt_s=DT)
    with pytest.raises(UserError, match="reset 'subtract' cannot go to the chip"):
        load_graph(foreign, dt_s=DT, reset="subtract")


def test_the_time_step_is_inferred_only_where_nir_tells_it(foreign: Path, tmp_path: Path):
    graph = load_graph(foreign, reset="zero")
    assert graph.dt_s == DT
    assert "dt = 0.001 s was inferred as tau/r" in graph.notes[0]
    assert load_graph(foreign, dt_s=5e-4, reset="zero").dt_s == 5e-4, "an explicit step wins"
    two = dense_graph(cell=lif(), back=nir.Linear(np.ones((3, 3))), cell2=lif(tau=8e-3, r=7.9))
    with pytest.raises(UserError, match=r"tau/r is 0.001 to 0.00101266 s.*--dt"):
        load_graph(written(tmp_path / "two.nir", two), reset="zero")


def test_integrators_at_the_end_tell_the_time_step_and_what_their_r_means_too(tmp_path: Path):
    one = np.ones(3)
    li = nir.LI(tau=4e-3 * one, r=4.0 * one, v_leak=0 * one)
    assert load_graph(written(tmp_path / "li.nir", dense_graph(cell=li)), reset="zero").dt_s == DT
    cuba = nir.CubaLI(tau_syn=2e-3 * one, tau_mem=4e-3 * one, r=4.0 * one, v_leak=0 * one, w_in=2.0 * one)
    assert load_graph(written(tmp_path / "cuba.nir", dense_graph(cell=cuba)), reset="zero").dt_s == DT
    integrator = written(tmp_path / "i.nir", dense_graph(cell=nir.I(r=one)))
    with pytest.raises(UserError, match="IF nodes cell have a gain r dt"):
        load_graph(integrator, dt_s=DT, reset="zero")
    graph = load_graph(integrator, dt_s=DT, reset="zero", if_gain="per_step")
    assert_array_equal(graph.nir_graph.nodes["cell"].r * DT, one)
    assert dict(graph.origins) == {"dt_s": "given", "reset": "given"}


def test_r_of_one_does_not_make_tau_the_time_step(tmp_path: Path):
    """Norse writes r = 1; taking tau/r for dt would wipe out the membrane at every step."""
    file = written(tmp_path / "norse.nir", dense_graph(cell=lif(r=1.0)))
    with pytest.raises(UserError, match=r"NIR does not say the time step.*--dt"):
        load_graph(file, reset="zero")


def test_without_leaky_nodes_nothing_tells_the_time_step(tmp_path: Path):
    file = written(tmp_path / "if.nir", dense_graph(cell=nir.IF(r=np.ones(3), v_threshold=np.ones(3))))
    with pytest.raises(UserError, match="no leaky node tells it"):
        load_graph(file, reset="zero")


def test_what_an_if_node_means_by_r_must_be_said(tmp_path: Path):
    file = written(tmp_path / "if.nir", dense_graph(cell=nir.IF(r=np.ones(3), v_threshold=np.ones(3))))
    with pytest.raises(UserError, match=r"IF nodes cell have a gain r dt = 0.001 by NIR's.*--if-gain per-step"):
        load_graph(file, dt_s=DT, reset="zero")
    per_step = load_graph(file, dt_s=DT, reset="zero", if_gain="per_step")
    assert_array_equal(per_step.nir_graph.nodes["cell"].r * DT, np.ones(3))
    assert "r of IF nodes cell was read per step" in per_step.notes
    per_second = load_graph(file, dt_s=DT, reset="zero", if_gain="per_second")
    assert_array_equal(per_second.nir_graph.nodes["cell"].r, np.ones(3))
    per_step.save(tmp_path / "said.nir")
    assert_array_equal(load_graph(tmp_path / "said.nir").nir_graph.nodes["cell"].r * DT, np.ones(3))


@pytest.mark.parametrize("dt_s", [0.0, -1e-3, float("nan"), float("inf")])
def test_impossible_time_steps_are_refused(foreign: Path, dt_s: float):
    with pytest.raises(UserError, match="is not positive"):
        load_graph(foreign, dt_s=dt_s, reset="zero")


# The metadata file


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dt_s": 2e-3}, "dt_s = 0.002 contradicts 0.001"),
        ({"dt_s": 0.0}, "dt_s = 0.0 contradicts 0.001"),
        ({"reset": "subtract"}, "reset = subtract contradicts zero"),
        ({"if_gain": "per_step"}, "if_gain = per_step contradicts per_second"),
    ],
)
def test_options_that_contradict_the_metadata_are_refused(tmp_path: Path, options, words):
    conv_graph().save(tmp_path / "net.nir")
    assert load_graph(tmp_path / "net.nir", dt_s=DT, reset="zero").dt_s == DT
    with pytest.raises(UserError, match=rf"net\.nir\.json: {words}"):
        load_graph(tmp_path / "net.nir", **options)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda text: text[: len(text) // 2], "this metadata file cannot be used"),
        (lambda text: "", "this metadata file cannot be used"),
        (lambda text: "[1, 2]", "its schema is not spikeport-graph/1"),
        (lambda text: "[" * 100_000, "this metadata file cannot be used"),
        (lambda text: text.replace("spikeport-graph/1", "spikeport-graph/9"), "its schema is not spikeport-graph/1"),
        (lambda text: text.replace('"dt_s"', '"dt"'), "'dt_s' is missing"),
        (lambda text: text.replace("0.001", '"soon"'), "dt_s is not a number above 0"),
        (lambda text: text.replace("0.001", "-1"), "dt_s is not a number above 0"),
        (lambda text: text.replace('"zero"', '"none"'), "reset 'none' cannot go"),
        (lambda text: text.replace('"scales": {', '"scales": {"nowhere": 2.0, '), "'nowhere', which is no weight node"),
        (lambda text: text.replace('"scales": {', '"scales": {"cell": 2.0, '), "'cell', which is no weight node"),
        (lambda text: text.replace("64.0", "-64.0"), "the scale of conv is not a number above 0"),
        (lambda text: text.replace("    11\n", "    12\n"), r"input shape \(2, 6, 12\) contradicts"),
    ],
)
def test_damaged_metadata_are_one_line_not_a_traceback(tmp_path: Path, edit, words):
    conv_graph(scales={"conv": 64.0}).save(tmp_path / "net.nir")
    metadata = metadata_path(tmp_path / "net.nir")
    metadata.write_text(edit(metadata.read_text()))
    with pytest.raises(UserError, match=words):
        load_graph(tmp_path / "net.nir")


def test_metadata_of_another_file_are_noticed(tmp_path: Path, foreign: Path):
    conv_graph().save(tmp_path / "net.nir")
    foreign.replace(tmp_path / "net.nir")
    with pytest.raises(UserError, match=r"was written for another \.nir file"):
        load_graph(tmp_path / "net.nir")


# Files that are no good


def test_files_that_are_no_nir_graph_are_named(tmp_path: Path, foreign: Path):
    text, empty, other, half = (tmp_path / name for name in ("text.nir", "empty.nir", "other.nir", "half.nir"))
    text.write_text("hello")
    empty.write_bytes(b"")
    half.write_bytes(foreign.read_bytes()[:3000])
    with h5py.File(other, "w") as file:
        file["layer/0/type"] = b"dense"
    for path, words in [
        (text, "is no readable HDF5 file"),
        (empty, "is no readable HDF5 file"),
        (half, "is no readable HDF5 file"),
        (other, "is HDF5 but not a NIR file"),
        (tmp_path / "absent.nir", "no such file"),
        (tmp_path, "no such file"),
    ]:
        with pytest.raises(UserError, match=words) as refusal:
            load_graph(path, dt_s=DT, reset="zero")
        assert str(refusal.value).startswith(str(path))
        assert "\n" not in str(refusal.value)


def _retype(file: h5py.File, name: str, kind: str) -> None:
    del file[f"node/nodes/{name}/type"]
    file[f"node/nodes/{name}/type"] = kind


def _replace(file: h5py.File, key: str, value) -> None:
    del file[f"node/{key}"]
    if value is not None:
        file[f"node/{key}"] = value


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda f: _retype(f, "cell", "MaxPool2d"), "cell: NIR .* knows no node 'MaxPool2d'.*average pool"),
        (lambda f: _retype(f, "cell", "BatchNorm2d"), "cell: .*'BatchNorm2d'.*fold it"),
        (lambda f: _retype(f, "cell", "Wibble"), "cell: .*'Wibble'.*NIR knows Affine, AvgPool2d"),
        (lambda f: _replace(f, "nodes/cell/type", None), "cell: .*no node None"),
        (lambda f: _replace(f, "nodes/cell/tau", None), "cell: this LIF cannot be read: it lacks tau"),
        (lambda f: _replace(f, "nodes/fc/weight", None), "fc: this Linear cannot be read: it lacks weight"),
        (lambda f: f.create_dataset("node/nodes/fc/gain", data=2), "fc: this Linear .*unknown fields gain"),
        (lambda f: _replace(f, "nodes/fc/weight", "text"), "fc: (this Linear cannot be read|weight holds text)"),
        (lambda f: _replace(f, "nodes/cell/tau", np.ones(2)), "cell: this LIF cannot be read: .*same shape"),
        (lambda f: _replace(f, "nodes/cell/r", np.array([b"a", b"b", b"c"])), "cell: r holds .S1, no numbers"),
        (lambda f: _replace(f, "edges", None), "holds no NIR graph"),
        (lambda f: _replace(f, "edges", np.arange(3)), "its edges cannot be read"),
        (lambda f: _replace(f, "type", "Linear"), "holds no NIR graph"),
        (lambda f: _replace(f, "nodes/input/shape", np.array([4, 1, 2, 2])), "input: the input shape .4, 1, 2, 2. is"),
    ],
)
def test_damaged_nodes_are_refused_by_name(foreign: Path, edit, words):
    with h5py.File(foreign, "r+") as file:
        edit(file)
    with pytest.raises(UserError, match=words) as refusal:
        load_graph(foreign, dt_s=DT, reset="zero")
    assert "\n" not in str(refusal.value)


def test_v_reset_that_a_file_leaves_out_is_nirs_zero(foreign: Path):
    with h5py.File(foreign, "r+") as file:
        del file["node/nodes/cell/v_reset"]
    assert_array_equal(load_graph(foreign, reset="zero").nir_graph.nodes["cell"].v_reset, np.zeros(3))


def test_a_file_cut_anywhere_is_one_line(foreign: Path):
    whole = foreign.read_bytes()
    for length in range(0, len(whole), 499):
        foreign.write_bytes(whole[:length])
        with pytest.raises(UserError, match="is no readable HDF5 file"):
            load_graph(foreign, dt_s=DT, reset="zero")


# Graphs that are no chain


def reason(graph: nir.NIRGraph) -> str:
    with pytest.raises(UserError) as refusal:
        chain(graph)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_a_residual_connection_is_refused_at_both_ends():
    graph = dense_graph(cell=lif(), fc2=nir.Linear(np.ones((3, 3))), cell2=lif())
    graph.edges.append(("fc", "cell2"))
    assert "fc: branches to cell, cell2" in reason(graph)
    assert "cell2: merges fc, fc2: netx has no add" in reason(graph)


def test_loops_that_netx_has_not_are_refused_with_their_path():
    def closed(*inner: nir.NIRNode, end: str = "cell") -> nir.NIRGraph:
        graph = dense_graph(cell=lif(), back=nir.Linear(np.ones((3, 3))), cell2=lif())
        names = [f"r{index}" for index, _ in enumerate(inner)]
        graph.nodes |= dict(zip(names, inner, strict=True))
        graph.edges += itertools.pairwise(["cell", *names, end])
        return graph

    square, conv = nir.Linear(np.ones((3, 3))), nir.Conv2d(None, np.ones((3, 3, 1, 1)), 1, 0, 1, 1, np.zeros(3))
    assert [step.recurrence and step.recurrence[0].name for step in chain(closed(square))] == [(), "r0", (), ()]
    assert reason(closed()).startswith("cell: is recurrent through itself: an edge from a neuron to itself")
    assert reason(closed(square, square)).startswith("cell: is recurrent through r0, r1: netx takes one weight")
    assert reason(closed(conv)).startswith("cell: is recurrent through r0: netx has recurrent weights for dense")
    assert reason(closed(lif())).startswith("cell: is recurrent through r0: netx takes one weight")
    assert reason(closed(nir.Linear(np.ones((2, 3))))).startswith("r0: leads (3,) back as (2,)")
    assert reason(closed(nir.Linear(np.ones((2, 2))))).startswith("r0: weight (2, 2) does not fit its input (3,)")
    across = closed(square)
    across.edges.append(("cell2", "r0"))
    assert "cell: is recurrent through back, cell2, r0" in reason(across)
    empty = closed(square)
    empty.edges += [("fc", "x"), ("x", "fc")]
    empty.nodes["x"] = nir.Scale(np.ones(3))
    assert "fc: is recurrent through x: there is no neuron in this loop" in reason(empty)


def test_a_loop_around_a_convolution_is_refused():
    graph = conv_graph().nir_graph
    graph.nodes["back"] = nir.Scale(np.ones(1))
    graph.edges += [("cell", "back"), ("back", "cell")]
    assert reason(graph).startswith("cell: is recurrent around a layer of shape (4, 6, 5): netx has recurrent weights")


def test_graphs_inside_the_graph_are_put_in_place_whatever_their_names():
    """As snnTorch nests RLeaky, and once more for no reason."""
    inner = nir_chain((3,), lif=lif())
    inner.nodes["w_rec"] = nir.Affine(np.eye(3), np.arange(3.0))
    inner.edges += [("lif", "w_rec"), ("w_rec", "lif")]
    nested = nir_chain((3,), **{"zelle ü": inner})
    graph = nir_chain((2,), fc=nir.Linear(np.ones((3, 2))), rec=nested, last=nir.Linear(np.ones((2, 3))), out=lif((2,)))
    steps = chain(graph)
    assert [step.name for step in steps] == ["fc", "rec.zelle ü.lif", "last", "out"]
    assert [inner.name for inner in steps[1].recurrence] == ["rec.zelle ü.w_rec"]
    nested.nodes["input2"] = nir.Input({"input": np.array([3])})
    assert reason(graph).startswith("rec: this graph inside the graph has 2 Input nodes")
    deep = nir_chain((3,), cell=lif())
    for _ in range(40):
        deep = nir_chain((3,), g=deep)
    assert "more than 32 graphs inside each other" in reason(deep)


def test_a_long_row_of_subgraphs_stays_a_chain():
    """Each of 600 holds a weight and a neuron between its own Input and Output; order and edges are known."""

    def part():
        cell = nir.LIF(*(np.full(2, value) for value in (2e-3, 2.0, 0.0, 0.5, 0.0)))
        nodes = {"i": nir.Input({"input": np.array([2])}), "w": nir.Linear(np.eye(2)), "n": cell,
                 "o": nir.Output({"output": np.array([2])})}  # fmt: skip
        return nir.NIRGraph(nodes, [("n", "o"), ("i", "w"), ("w", "n")], type_check=False)

    names = [f"g{index}" for index in range(600)]
    nodes = {"in": nir.Input({"input": np.array([2])}), **{name: part() for name in names}}
    nodes["out"] = nir.Output({"output": np.array([2])})
    flattened = flat(nir.NIRGraph(nodes, list(itertools.pairwise(nodes))[::-1], type_check=False))
    row = ["in", *(f"{name}.{inner}" for name in names for inner in "wn"), "out"]
    assert set(flattened.nodes) == set(row)
    assert sorted(flattened.edges) == sorted(itertools.pairwise(row))


def test_names_that_clash_when_subgraphs_are_put_in_place_stay_apart():
    inner = nir_chain((3,), b=lif())
    graph = nir_chain(
        (2,), fc=nir.Linear(np.ones((3, 2))), a=inner, **{"a.b": nir.Linear(np.ones((2, 3)))}, z=lif((2,))
    )
    assert [step.name for step in chain(graph)] == ["fc", "a.b_", "a.b", "z"]


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (nir.LI(tau=np.ones(3), r=np.ones(3), v_leak=np.zeros(3)), "odd: leads to cell, and it never fires"),
        (nir.I(r=np.ones(3)), "odd: leads to cell, and it never fires"),
        (nir.CubaLI(*[np.ones(3)] * 4), "odd: leads to cell, and it never fires"),
        (nir.Threshold(np.ones(3)), "odd: Threshold cannot go to netx: netx has no neuron without state"),
        (nir.Conv1d(3, np.ones((1, 1, 2)), 1, 0, 1, 1, np.zeros(1)), "odd: Conv1d cannot go to netx: .*Conv2d"),
        (nir.NIRGraph({}, [], type_check=False), "odd: this graph inside the graph has 0 Input nodes"),
    ],
)
def test_nodes_that_netx_has_not_are_refused_by_name(node, words):
    assert re.match(words, reason(dense_graph(odd=node, cell=lif())))


def test_loose_ends_are_refused():
    two_inputs = dense_graph()
    two_inputs.nodes["input2"] = nir.Input({"input": np.array([2])})
    two_inputs.edges.append(("input2", "fc"))
    assert "the graph has 2 Input nodes" in reason(two_inputs)
    two_outputs = dense_graph()
    two_outputs.nodes["output2"] = nir.Output({"output": np.array([3])})
    two_outputs.edges.append(("cell", "output2"))
    assert "the graph has 2 Output nodes" in reason(two_outputs)
    alone = dense_graph()
    alone.nodes["alone"] = lif()
    assert "alone: is connected to nothing" in reason(alone)
    cut = dense_graph()
    cut.edges.remove(("fc", "cell"))
    assert "fc: leads nowhere" in reason(cut)
    assert "cell: is fed by nothing" in reason(cut)
    lost = dense_graph()
    lost.edges.append(("cell", "gone"))
    assert "edges name nodes that do not exist: gone" in reason(lost)
    doubled = dense_graph()
    doubled.edges.append(("fc", "cell"))
    assert [step.name for step in chain(doubled)] == ["fc", "cell"], "NIR's edges are a set"


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ({"fc": nir.Linear(np.ones((3, 5))), "cell": lif()}, r"fc: weight .3, 5. does not fit its input .2, 6, 8."),
        ({"cell": lif((2, 6, 7))}, "cell: tau has shape .2, 6, 7., the layer before gives .2, 6, 8."),
        (
            {"conv": nir.Conv2d(None, np.ones((3, 5, 1, 1)), 1, 0, 1, 1, np.zeros(3))},
            "conv: weight .3, 5, 1, 1. with groups=1 does not fit",
        ),
        ({"conv": nir.Conv2d(None, np.ones((3, 2, 9, 1)), 1, 0, 1, 1, np.zeros(3))}, "conv: kernel .9, 1. is larger"),
        (
            {"conv": nir.Conv2d(None, np.ones((3, 2, 2, 2)), 2, "same", 1, 1, np.zeros(3))},
            "conv: padding 'same' with stride .2, 2. has no meaning",
        ),
        (
            {"conv": nir.Conv2d(None, np.ones((3, 2, 2, 2)), np.ones(3), 0, 1, 1, np.zeros(3))},
            "conv: stride .* neither",
        ),
        (
            {"conv": nir.Conv2d(None, np.ones((3, 2, 2, 2)), 0, 0, 1, 1, np.zeros(3))},
            "conv: stride .0, 0. is too small",
        ),
        ({"flat": nir.Flatten({"input": None}, 1, -1)}, "flat: Flatten merges axes 1 to -1 of .2, 6, 8. only"),
        (
            {"pool": nir.SumPool2d(np.array([7, 1]), np.array([7, 1]), np.array([0, 0]))},
            "pool: pool .7, 1. is larger than its input",
        ),
    ],
)
def test_shapes_that_do_not_fit_are_refused_where_they_break(nodes, words):
    with pytest.raises(UserError, match=words):
        chain(nir_chain((2, 6, 8), **nodes))


def test_an_output_that_claims_another_shape_is_refused():
    graph = dense_graph()
    graph.nodes["output"] = nir.Output({"output": np.array([7])})
    assert reason(graph).startswith("output: the file claims shape (7,), the layers give (3,)")


def test_a_huge_graph_is_sorted_or_refused():
    """5,000 nodes in a row, then as many on one circle, then loose; comparing all pairs would take minutes."""
    scale = nir.Scale(np.ones(1))
    nodes = {f"s{index}": scale for index in range(5_000)}
    assert len(chain(nir_chain((3,), **nodes))) == 5_000
    around = nir_chain((3,), **nodes)
    around.edges.append(("s4999", "s0"))
    assert " and 4979 more: there is no neuron in this loop" in reason(around)
    loose = nir_chain((3,), cell=lif())
    loose.nodes |= nodes
    assert reason(loose).endswith("and 4980 more")


def test_twice_the_nodes_are_twice_the_work():
    """Counted in the lines that run, not in seconds: comparing all pairs would be four times the work."""
    scale = nir.Scale(np.ones(1))

    def lines_run(count):
        graph = nir_chain((3,), **{f"s{index}": scale for index in range(count)})
        lines = 0

        def trace(frame, event, argument):
            nonlocal lines
            lines += event == "line"
            return trace

        sys.settrace(trace)
        try:
            chain(graph)
        finally:
            sys.settrace(None)
        return lines

    assert lines_run(800) < 2.5 * lines_run(400)


# What must not happen on the way


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
