"""The command where it compiles and simulates: explained, calibrated, checked against limits, compared with Lava."""

import json

import h5py
import nir
import numpy as np
import pytest
from cli_inputs import one_line, small_graph
from small_graphs import graph_of, lif

from spikeport.export.formats.frames_file import write_frames
from spikeport.export.formats.netx.write import read_netx, write_netx
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.network.readout import Readout
from spikeport.export.network.spike_trace import load_trace

ASSUMPTIONS = ("--dt", "1e-3", "--reset", "zero")


@pytest.fixture
def graph_file(tmp_path):
    nir.write(tmp_path / "g.nir", small_graph())
    return tmp_path / "g.nir"


@pytest.fixture
def counts(tmp_path):
    values = np.random.default_rng(3).integers(0, 4, (9, 12, 5)).astype(np.uint8)
    write_frames(tmp_path / "c.npz", values, np.arange(9) % 3)
    return values


def test_each_node_is_explained_and_the_assumptions_are_printed(spikeport, graph_file):
    code, out, _ = spikeport("export", graph_file, *ASSUMPTIONS, "--explain", "--out", "made")
    assert code == 0
    assert "dt 0.001 s" in out
    assert "tau 0.002" in out  # what NIR said
    assert "v_decay 2048" in out  # what the chip holds: 4096 * 1e-3 / 2e-3
    code, out, _ = spikeport("export", graph_file, *ASSUMPTIONS, "--explain", "--out", "made", "--json")
    assert [node["node"] for node in json.loads(out)["nodes"]][1:3] == ["fc", "lif"]


@pytest.mark.parametrize(("last", "word"), [(None, "spikes"), ("li", "membrane-sum"), ("linear", "linear")])
def test_the_metadata_file_says_how_the_class_is_read(spikeport, tmp_path, last, word):
    """What the graph ends in decides where nothing is asked; the file says what was decided, and is read by it."""
    graph = small_graph()
    if last == "li":
        cell = graph.nodes["lif"]
        graph.nodes["lif"] = nir.LI(tau=cell.tau, r=cell.r, v_leak=cell.v_leak)
    elif last == "linear":
        graph.nodes["read"] = nir.Linear(np.arange(6.0).reshape(2, 3))
        graph.nodes["output"] = nir.Output({"output": np.array([2])})
        graph.edges = [("input", "fc"), ("fc", "lif"), ("lif", "read"), ("read", "output")]
    nir.write(tmp_path / "g.nir", graph)
    assert spikeport("export", "g.nir", *ASSUMPTIONS, "--out", "made")[0] == 0
    assert json.loads((tmp_path / "made" / "g.nir.json").read_text())["readout"] == word
    assert spikeport("export", "made/g.nir", "--out", "again")[0] == 0
    first, second = (read_netx(tmp_path / folder / "g.net").readout for folder in ("made", "again"))
    assert (first.kind, first.over_time) == (second.kind, second.over_time)


def test_fewer_bits_are_a_coarser_grid(spikeport, graph_file, tmp_path):
    assert spikeport("export", graph_file, *ASSUMPTIONS, "--bits", "3", "--out", "made")[0] == 0
    assert set(np.unique(read_netx(tmp_path / "made" / "g.net").layers[0].weight) % 64) == {0}


def test_clones_are_asked_for_by_number_or_by_layer(spikeport, graph_file, tmp_path):
    """The table's scale of the layer behind the input with two copies is twice as large."""
    scales = {}
    for asked in ("1", "input=2"):
        code, out, err = spikeport("export", graph_file, *ASSUMPTIONS, "--clones", asked, "--out", "made", "--json")
        assert code == 0, err
        scales[asked] = {row["name"]: row["scale"] for row in json.loads(out)["quantization"]}
    network = read_netx(tmp_path / "made" / "g.net")
    assert network.layers[0].name == "input.clones"
    assert network.layers[1].input_shape == (2 * network.input_shape[0],)
    assert scales["input=2"]["fc"] == pytest.approx(2 * scales["1"]["fc"])
    code, out, _ = spikeport("export", graph_file, *ASSUMPTIONS, "--clones", "input=2", "--explain", "--out", "made")
    assert code == 0
    assert "input.clones (added)" in out
    code, _, err = spikeport("export", graph_file, *ASSUMPTIONS, "--clones", "many")
    assert code == 2
    assert "--clones 'many' is neither a number nor LAYER=K" in err


def test_row_scales_are_asked_for_by_number_or_by_layer(spikeport, tmp_path):
    """A row of 300 beside one of 0.3 at threshold 1: the small row's scale is that of its relays, 254 / 1.02."""
    weight = np.array([[300.0, -200.0, 100.0], [0.3, 0.2, -0.1]])
    graph_of(nir.Linear(weight), lif((2,)), shape=(3,)).save(tmp_path / "rows.nir")
    for asked in ("2", "n0=2", "n1=2"):
        code, out, err = spikeport("export", "rows.nir", "--row-scales", asked, "--out", "made", "--json")
        assert code == 0, err
        printed = json.loads(out)
        assert [row["scale"] for row in printed["quantization"]] == pytest.approx([254 / 300, 254 / 1.02])
        assert "n1 became 2 layers with one row scale each; the chain has 4 relays" in printed["notes"]
    assert [layer.neurons for layer in read_netx(tmp_path / "made" / "rows.net").layers] == [4, 2]
    code, out, _ = spikeport("export", "rows.nir", "--row-scales", "2", "--explain", "--out", "made")
    assert "2 layers with one row scale each: n1[0] (1 neuron), n1[1] (1 neuron)" in " ".join(out.split())
    code, _, err = spikeport("export", "rows.nir", "--row-scales", "n9=2")
    assert code == 2
    assert "row scales were asked for 'n9', which is not a layer" in err
    code, _, err = spikeport("export", "rows.nir", "--row-scales", "many")
    assert "--row-scales 'many' is neither a number nor LAYER=K" in err


def test_scales_are_searched_on_frames(spikeport, graph_file, counts):
    code, out, _ = spikeport(
        "export", graph_file, *ASSUMPTIONS, "--bits", "3", "--calibrate", "c.npz", "--out", "made", "-q"
    )
    assert code == 0
    lost = int(np.maximum(counts.astype(int) - 1, 0).sum())
    assert "calibration: " in out
    assert f"{lost:,}" in out  # said loudly: events above one a step


def test_limits_are_checked_and_exceeding_them_leaves_with_one(spikeport, graph_file, tmp_path):
    code, out, _ = spikeport("export", graph_file, *ASSUMPTIONS, "--out", "made", "--hardware", "loihi1")
    assert code == 0
    assert "passes these public limits" in out
    layer = IntegerLayer(
        name="fc", kind="dense", weight=np.full((2, 9000), 2), bias=None, i_decay=4096, v_decay=0, vth_mant=9,
        input_shape=(9000,),
    )  # fmt: skip
    write_netx(IntegerNetwork(input_shape=(9000,), layers=(layer,)), tmp_path / "wide.net")
    code, out, err = spikeport("export", "wide.net", "--hardware", "loihi1")
    assert code == 1  # 9,000 axons into one neuron, 4,096 a core
    assert "exceeds public limits of loihi1" in one_line(err)
    assert "9,000 of 4,096" in out


def test_counts_need_a_word(spikeport, graph_file, counts, tmp_path):
    assert spikeport("export", graph_file, *ASSUMPTIONS, "--out", "made")[0] == 0
    code, _, err = spikeport("simulate", "made/g.net", "--input", "c.npz")
    assert code == 2
    assert "--clip" in one_line(err)
    code, out, _ = spikeport("simulate", "made/g.net", "--input", "c.npz", "--clip", "--json")
    assert code == 0
    assert json.loads(out)["events_clipped"] == int(np.maximum(counts.astype(int) - 1, 0).sum())
    assert spikeport("export", graph_file, *ASSUMPTIONS, "--message-bits", "2", "--out", "graded")[0] == 0
    assert read_netx(tmp_path / "graded" / "g.net").input_message_bits == 2
    assert spikeport("simulate", "graded/g.net", "--input", "c.npz")[0] == 0


def test_memory_bounds_change_nothing_but_the_chunks(spikeport, net, frames):
    whole = json.loads(spikeport("simulate", net, "--input", frames, "--json")[1])
    small = json.loads(spikeport("simulate", net, "--input", frames, "--memory", "1M", "--json")[1])
    assert whole == small
    code, _, err = spikeport("simulate", net, "--input", frames, "--memory", "much")
    assert code == 2
    assert "--memory" in one_line(err)


def test_a_membrane_read_out_gives_the_same_accuracy_everywhere(spikeport, tmp_path):
    weight = 2 * np.arange(-7, 8).reshape(3, 5)
    layer = IntegerLayer(
        name="out", kind="dense", weight=weight, bias=None, i_decay=4096, v_decay=512, vth_mant=131071, input_shape=(5,)
    )
    network = IntegerNetwork(input_shape=(5,), layers=(layer,), readout=Readout(kind="membrane", over_time="max"))
    write_netx(network, tmp_path / "m.net")
    values = (np.random.default_rng(1).random((5, 7, 5)) < 0.5).astype(np.uint8)
    voltage, highest = np.zeros((5, 3)), np.full((5, 3), -np.inf)
    for t in range(7):
        voltage = np.trunc(voltage * 3584 / 4096) + 64 * values[:, t] @ weight.T
        highest = np.maximum(highest, voltage)
    write_frames(tmp_path / "f.npz", values, highest.argmax(axis=1))
    code, out, _ = spikeport("simulate", "m.net", "--input", "f.npz", "--out", "t.npz", "--json")
    assert code == 0
    assert json.loads(out)["accuracy"] == 1
    np.testing.assert_array_equal(load_trace(tmp_path / "t.npz").membrane[:, -1], voltage)


@pytest.mark.lava
def test_both_simulators_are_compared_and_a_kept_divergence_is_replayed(spikeport, net, frames, tmp_path, monkeypatch):
    code, out, _ = spikeport("simulate", net, "--input", frames, "--backend", "both", "--workers", "1", "-q")
    assert code == 0
    assert "integer reference against Lava 0.10.0 fixed_pt: 0 mismatches" in out
    assert not (tmp_path / "divergence").exists()
    import spikeport.export.backends.lava.process as process

    true_write = process.write_netx

    def altered(network, path):  # Lava is given another threshold than the reference
        layers = [IntegerLayer(**{**vars(layer), "vth_mant": 60}) for layer in network.layers]
        true_write(IntegerNetwork(input_shape=network.input_shape, layers=tuple(layers)), path)

    monkeypatch.setattr(process, "write_netx", altered)
    code, out, err = spikeport("simulate", net, "--input", frames, "--backend", "both", "--workers", "1", "-q")
    assert code == 1
    assert "first divergence in layer fc" in out
    assert "spikes differ" in one_line(err)
    (case,) = (tmp_path / "divergence").iterdir()
    assert spikeport("replay", case)[0] == 1
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    code, out, _ = spikeport("replay", case)
    assert code == 0
    assert "lava now gives other spikes than then" in out
    assert "now: both agree" in out
    assert spikeport("replay", tmp_path)[0] == 2


def test_a_subtractive_reset_is_refused_with_the_reason(spikeport, graph_file) -> None:
    """Saying how a network was trained gives a reason and a way, and not a parser's error."""
    code, _, err = spikeport("export", graph_file, "--dt", "1e-3", "--reset", "subtract", "--out", "made")
    assert code == 2
    assert "reset 'subtract' cannot go to the chip: Loihi resets v to zero" in one_line(err)
    assert "spikeport adapt SOURCE --frames FRAMES.npz" in one_line(err)
    assert "or train with reset to zero" in one_line(err)


def test_a_net_that_never_fires_is_read_out_by_its_voltage_as_asked(spikeport, tmp_path):
    """The last layer has no neuron group, as in lava-dl's bootstrap examples."""
    layers = [
        IntegerLayer(name=name, kind="dense", weight=np.full((4, 4), 12), bias=None, i_decay=4096, v_decay=9,
                     vth_mant=30, input_shape=(4,)) for name in "ab"
    ]  # fmt: skip
    write_netx(IntegerNetwork(input_shape=(4,), layers=tuple(layers)), tmp_path / "n.net")
    with h5py.File(tmp_path / "n.net", "a") as file:
        del file["layer/2/neuron"]
    code, out, err = spikeport("export", "n.net", "--out", "again")
    assert code == 0
    assert "classes from membrane (last over time)" in out
    assert "has no neuron group" in err
    assert read_netx(tmp_path / "again" / "n.net").readout == Readout(kind="membrane", over_time="last")
    code, out, _ = spikeport("export", "n.net", "--readout", "membrane-max", "--out", "other")
    assert "classes from membrane (max over time)" in out
    assert read_netx(tmp_path / "other" / "n.net").readout.over_time == "max"


def test_recurrent_weights_of_a_net_are_listed(spikeport, tmp_path):
    """4 x 3 weights from the input and 3 x 3 from its own spikes."""
    layer = IntegerLayer(name="a", kind="dense", weight=np.full((3, 4), 12), weight_rec=np.full((3, 3), -8), bias=None,
                         i_decay=4096, v_decay=9, vth_mant=30, input_shape=(4,))  # fmt: skip
    write_netx(IntegerNetwork(input_shape=(4,), layers=(layer,)), tmp_path / "n.net")
    code, out, _ = spikeport("export", tmp_path / "n.net")
    assert code == 0
    (row,) = [line.split() for line in out.splitlines() if "dense_rec" in line]
    assert "21" in row
