"""Files that hold no usable graph: every fault is one line that names it."""

from __future__ import annotations

from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
from nir_chains import DT, conv_graph, dense_graph, written
from numpy.testing import assert_array_equal

from spikeport.errors import UserError
from spikeport.export.formats.metadata import metadata_path
from spikeport.export.formats.nir_file import read_nir
from spikeport.export.graph.spiking_graph import load_graph


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    return written(tmp_path / "foreign.nir", dense_graph())


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
        (
            lambda text: text.replace('"scales": {', '"scales": {"nowhere": 2.0, '),
            "'nowhere', which is not a weight node",
        ),
        (lambda text: text.replace('"scales": {', '"scales": {"cell": 2.0, '), "'cell', which is not a weight node"),
        (lambda text: text.replace("64.0", "-64.0"), "the scale of conv is not a number above 0"),
        (
            lambda text: text.replace('"row_scales": 1', '"row_scales": [2]'),
            "row_scales is neither a number nor a table",
        ),
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


def test_files_that_are_no_nir_graph_are_named(tmp_path: Path, foreign: Path):
    text, empty, other, half = (tmp_path / name for name in ("text.nir", "empty.nir", "other.nir", "half.nir"))
    text.write_text("hello")
    empty.write_bytes(b"")
    half.write_bytes(foreign.read_bytes()[:3000])
    with h5py.File(other, "w") as file:
        file["layer/0/type"] = b"dense"
    for path, words in [
        (text, "is not a readable HDF5 file"),
        (empty, "is not a readable HDF5 file"),
        (half, "is not a readable HDF5 file"),
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
        (lambda f: _retype(f, "cell", "MaxPool2d"), "cell: NIR .* does not define the node 'MaxPool2d'.*average pool"),
        (lambda f: _retype(f, "cell", "BatchNorm2d"), "cell: .*'BatchNorm2d'.*fold it"),
        (lambda f: _retype(f, "cell", "Wibble"), "cell: .*'Wibble'.*NIR knows Affine, AvgPool2d"),
        (lambda f: _replace(f, "nodes/cell/type", None), "cell: .*the node None"),
        (lambda f: _replace(f, "nodes/cell/tau", None), "cell: this LIF cannot be read: it lacks tau"),
        (lambda f: _replace(f, "nodes/fc/weight", None), "fc: this Linear cannot be read: it lacks weight"),
        (lambda f: f.create_dataset("node/nodes/fc/gain", data=2), "fc: this Linear .*unknown fields gain"),
        (lambda f: _replace(f, "nodes/fc/weight", "text"), "fc: (this Linear cannot be read|weight holds text)"),
        (lambda f: _replace(f, "nodes/cell/tau", np.ones(2)), "cell: this LIF cannot be read: .*same shape"),
        (lambda f: _replace(f, "nodes/cell/r", np.array([b"a", b"b", b"c"])), "cell: r holds .S1, not numbers"),
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
        with pytest.raises(UserError, match="is not a readable HDF5 file"):
            load_graph(foreign, dt_s=DT, reset="zero")


def test_a_file_in_which_nir_stopped_names_the_node(tmp_path: Path):
    """A Conv2d without input shape cannot be written: nir.write raises, and leaves half a file."""
    conv = nir.Conv2d(None, np.ones((1, 1, 2, 2)), 1, 0, 1, 1, np.zeros(1))
    edges = [("input", "first"), ("first", "output")]
    nodes = {
        "input": nir.Input({"input": np.array([1, 3, 3])}), "first": conv,
        "output": nir.Output({"output": np.array([1, 2, 2])}),
    }  # fmt: skip
    with pytest.raises(TypeError):
        nir.write(tmp_path / "half.nir", nir.NIRGraph(nodes, edges, type_check=False))
    with pytest.raises(UserError, match=r"half.nir: holds a part of a NIR graph: nir.write stopped.*at node 'first'"):
        read_nir(tmp_path / "half.nir")
