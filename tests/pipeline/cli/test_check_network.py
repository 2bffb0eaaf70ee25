"""`spikeport check-network`: a status for every node, all that is missing at once, no file."""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import get_args

import nir
import numpy as np
import pytest
import written_networks
from lava_dl_files import written_as_lava_dl
from nir_chains import dense_graph, lif, nir_chain, written

from spikeport.export.graph.spiking_graph import load_graph
from spikeport.export.quantization.quantize import quantize
from spikeport.pipeline.stages import network_check

ASSUMPTIONS = ("--dt", "1e-3", "--reset", "zero")


def statuses(out: str) -> dict[str, str]:
    return {node["node"]: node["status"] for node in json.loads(out)["nodes"]}


def test_a_network_that_goes_says_what_is_rewritten(spikeport, tmp_path: Path) -> None:
    graph = nir_chain(
        (2, 6, 8),
        conv=nir.Conv2d((6, 8), np.ones((3, 2, 3, 3)), 1, 1, 1, 1, np.zeros(3)),
        pool=nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        cell=lif((3, 3, 4)),
        flat=nir.Flatten({"input": np.array([3, 3, 4])}, start_dim=0, end_dim=-1),
        fc=nir.Linear(np.arange(72.0).reshape(2, 36)),
        out=lif((2,)),
    )
    graph.nodes["output"] = nir.Output({"output": np.array([2])})
    nir.write(tmp_path / "net.nir", graph)
    code, out, err = spikeport("check-network", "net.nir", *ASSUMPTIONS, "--json")
    assert code == 0, err
    assert statuses(out) == {
        "conv": "exact", "pool": "rewritten", "cell": "exact", "flat": "rewritten", "fc": "exact", "out": "exact",
    }  # fmt: skip
    network, _ = quantize(load_graph(tmp_path / "net.nir", dt_s=1e-3, reset="zero"))
    assert json.loads(out)["layers"] == len(network.layers) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["net.nir"]


def test_neurons_of_their_own_decay_are_rewritten_and_the_cost_is_named(spikeport, tmp_path: Path) -> None:
    tau = 1e-3 * np.array([2.0, 4.0])
    own = nir.LIF(tau=tau, r=tau * 1e3, v_leak=0 * tau, v_threshold=np.ones(2), v_reset=0 * tau)
    graph = nir_chain((3,), fc=nir.Linear(np.arange(1.0, 7).reshape(2, 3)), out=own)
    graph.nodes["output"] = nir.Output({"output": np.array([2])})
    nir.write(tmp_path / "net.nir", graph)
    code, out, err = spikeport("check-network", "net.nir", *ASSUMPTIONS, "--json")
    assert code == 0, err
    assert statuses(out) == {"fc": "exact", "out": "rewritten"}
    assert json.loads(out)["layers"] == 2
    (reason,) = [node["reason"] for node in json.loads(out)["nodes"] if node["node"] == "out"]
    assert reason == "2 layers with one set of decays each; the chain has 4 relays"  # 3 inputs, and the first part


def test_all_that_is_missing_and_impossible_comes_at_once(spikeport, tmp_path: Path) -> None:
    written(tmp_path / "net.nir", dense_graph(cell=lif(), odd=nir.Threshold(np.ones(3))))
    code, out, err = spikeport("check-network", "net.nir")
    assert code == 1
    assert "does not go to the chip" in err
    assert "missing: net.nir: NIR does not state how neurons reset" in out
    (line,) = [line for line in out.splitlines() if line.startswith("odd")]
    assert "impossible" in line
    assert "netx has no neuron without state" in line


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    more = """

class Subtracts(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(2, 3, 3), nn.Linear(18, 4)
        self.lif1 = snntorch.Leaky(beta=0.5, init_hidden=True)
        self.lif2 = snntorch.Leaky(beta=0.5, init_hidden=True)

    def forward(self, x):
        x = self.lif1(functional.max_pool2d(self.conv(x), 2))
        return self.lif2(torch.relu(self.fc(x.flatten(1))))


class Tutorial(Subtracts):
    calls = []

    def __init__(self):
        super().__init__()
        self.calls.append("made")

    def forward(self, x):
        self.calls.append("run")
        x = self.lif1(functional.max_pool2d(self.conv(x), 2))
        return self.lif2(self.fc(x.flatten(1)))


class Hidden(nn.Sequential):
    def __init__(self):
        super().__init__(nn.LayerNorm((2, 6, 8)), nn.Flatten(), nn.Linear(96, 3), snntorch.Leaky(beta=0.5))


class Loops(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(2, 3, 3, padding=1),
            snntorch.RLeaky(beta=0.5, conv2d_channels=3, kernel_size=3, reset_mechanism="zero", reset_delay=False),
        )


class Foreign(Subtracts):
    def forward(self, x):
        return self.lif2(self.fc(torch.exp(self.lif1(functional.max_pool2d(self.conv(x), 2))).flatten(1)))
"""
    (tmp_path / "nets_to_check.py").write_text(inspect.getsource(written_networks) + more)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "nets_to_check"


def test_a_live_network_has_a_verdict_for_each_module(module: str, spikeport) -> None:
    """snnTorch's defaults: pools on currents and a subtractive reset need adapt; a ReLU is impossible."""
    words = ("--dt", "1e-3", "--input-shape", "2,6,8", "--json")
    code, out, _ = spikeport("check-network", f"{module}:Subtracts", *words)
    assert code == 1
    found = statuses(out)
    assert (found["conv"], found["fc"]) == ("no fault found", "no fault found")
    assert [found[name] for name in ("conv.max_pool2d", "lif1", "lif2")] == ["needs adapt"] * 3
    assert found["fc.relu"] == "impossible"
    assert not json.loads(out)["adapt"]  # it would not cure the ReLU
    code, out, err = spikeport("check-network", f"{module}:Residual", *words)
    assert code == 0, err
    assert set(statuses(out).values()) == {"exact"}


def test_a_recurrent_convolution_is_rewritten_and_its_weights_are_counted(module: str, spikeport) -> None:
    """3 channels of 6 x 8 neurons, each with 9 weights at most in a map of its own: 144 x 144 for the loop."""
    code, out, err = spikeport("check-network", f"{module}:Loops", "--dt", "1e-3", "--input-shape", "2,6,8", "--json")
    assert code == 0, err
    assert statuses(out) == {"0": "rewritten", "1": "exact"}
    (note,) = [note for note in json.loads(out)["notes"] if "matrix" in note]
    assert "a matrix of 144 x 96 weights" in note
    assert "a recurrent matrix of 144 x 144 weights" in note


def test_what_needs_adapt_names_the_command_and_the_factory_runs_once(module: str, spikeport) -> None:
    code, out, err = spikeport(
        "check-network", f"{module}:Tutorial", "--dt", "1e-3", "--input-shape", "2,6,8", "--json"
    )
    assert code == 1, err
    found = json.loads(out)
    assert set(statuses(out).values()) == {"needs adapt", "no fault found"}
    assert found["adapt"] == (
        f"spikeport adapt {module}:Tutorial --frames FRAMES.npz --out DIR --dt 0.001 --input-shape 2,6,8"
    )
    (lif1,) = [node for node in found["nodes"] if node["node"] == "lif1"]
    assert lif1["reason"] == "Leaky resets by 'subtract': Loihi resets v to zero"
    assert lif1["remedy"] == "train with reset_mechanism='zero'; or spikeport adapt"
    calls = sys.modules[module].Tutorial.calls
    assert calls == ["made", "run"]


def test_nodes_behind_a_hidden_shape_are_not_looked_at(module: str, spikeport) -> None:
    words = ("--dt", "1e-3", "--input-shape", "2,6,8")
    code, out, _ = spikeport("check-network", f"{module}:Hidden", *words, "--json")
    assert code == 1
    assert list(statuses(out).values()) == ["impossible", *["not looked at"] * 3]
    assert json.loads(out)["missing"] == []


def test_a_function_in_the_way_hides_nothing(module: str, spikeport) -> None:
    """The function is a row of the table, and what stands behind it is looked at."""
    code, out, _ = spikeport(
        "check-network", f"{module}:Foreign", "--dt", "1e-3", "--input-shape", "2,6,8", "--json"
    )  # fmt: skip
    assert code == 1
    found = statuses(out)
    assert found.pop("lif1.exp") == "impossible"
    assert {name for name, status in found.items() if status == "needs adapt"} >= {"lif1", "lif2"}
    assert set(found.values()) == {"needs adapt", "no fault found"}
    (reason,) = [node["reason"] for node in json.loads(out)["nodes"] if node["node"] == "lif1.exp"]
    assert reason == "the network calls exp on what lif1 gives: it has no place on the chip"
    assert (json.loads(out)["missing"], json.loads(out)["adapt"]) == ([], "")


def test_without_a_time_step_the_modules_are_looked_at(module: str, spikeport) -> None:
    """They state their decays themselves; only --dt is missing."""
    words = ("check-network", f"{module}:Tutorial", "--input-shape", "2,6,8", "--json")
    code, out, _ = spikeport(*words)
    assert code == 1
    assert statuses(out) == statuses(spikeport(*words, "--dt", "1e-3")[1])
    (question,) = json.loads(out)["missing"]
    assert "a network needs --dt" in question


def test_a_file_whose_neurons_subtract_needs_adapt(spikeport, tmp_path: Path) -> None:
    """The reset is a fault of every neuron that fires; its decays are looked at all the same."""
    written(tmp_path / "net.nir", dense_graph(cell=lif(), fc2=nir.Linear(np.arange(9.0).reshape(3, 3)), out=lif()))
    code, out, err = spikeport("check-network", "net.nir", "--dt", "1e-3", "--reset", "subtract", "--json")
    assert code == 1, err
    found = statuses(out)
    assert {name for name, status in found.items() if status == "needs adapt"} == {"cell", "out"}
    assert set(found.values()) == {"needs adapt", "no fault found"}
    assert json.loads(out)["adapt"] == (
        "spikeport adapt net.nir --frames FRAMES.npz --out DIR --dt 0.001 --reset subtract"
    )


def test_the_adapt_command_keeps_the_framework(spikeport, tmp_path: Path) -> None:
    """Without --from the command would ask for the time step, and read the decays by NIR's equation."""
    written(tmp_path / "net.nir", dense_graph(cell=lif()))
    code, out, _ = spikeport("check-network", "net.nir", "--from", "rockpool", "--json")
    assert code == 1
    assert json.loads(out)["adapt"] == "spikeport adapt net.nir --frames FRAMES.npz --out DIR --from rockpool"


def test_the_adapt_command_quotes_a_path(spikeport, tmp_path: Path) -> None:
    written(tmp_path / "my net.nir", dense_graph(cell=lif(), out=lif()))
    words = ("check-network", "my net.nir", "--from", "norse", "--dt", "1e-3", "--reset", "subtract", "--json")
    code, out, err = spikeport(*words)
    assert code == 1, err
    assert json.loads(out)["adapt"] == (
        "spikeport adapt 'my net.nir' --frames FRAMES.npz --out DIR --dt 0.001 --reset subtract --from norse"
    )


def test_a_source_that_cannot_be_read_is_an_error(spikeport, tmp_path: Path) -> None:
    (tmp_path / "net.nir").write_bytes(b"no HDF5")
    assert spikeport("check-network", "net.nir", *ASSUMPTIONS)[0] == 2
    assert spikeport("check-network", "no_such_module:Net", "--dt", "1e-3", "--input-shape", "2")[0] == 2


def test_the_json_has_the_documented_keys(spikeport, tmp_path: Path) -> None:
    written(tmp_path / "net.nir", dense_graph(cell=lif()))
    code, out, err = spikeport("check-network", "net.nir", *ASSUMPTIONS, "--json")
    assert code == 0, err
    page = (Path(__file__).parents[3] / "docs/how-to/nir-file.md").read_text(encoding="utf-8")
    section = page.partition("spikeport check-network")[2].partition("\n## ")[0]
    for fields, values in (
        (network_check.NetworkCheckJson, json.loads(out)),
        (network_check.NodeCheckJson, json.loads(out)["nodes"][0]),
    ):
        assert values.keys() == fields.__annotations__.keys()
        assert not [key for key in values if f"`{key}`" not in section]
    assert not [word for word in get_args(network_check.Status) if f"*{word}*" not in section]


def test_a_net_file_is_read_and_its_layers_are_exact(spikeport, net, tmp_path: Path) -> None:
    code, out, err = spikeport("check-network", net, "--json")
    assert code == 0, err
    held = json.loads(out)
    assert held["layers"] == len(held["nodes"]) > 0
    assert {node["status"] for node in held["nodes"]} == {"exact"}
    (tmp_path / "half.net").write_bytes(net.read_bytes()[:900])
    assert spikeport("check-network", tmp_path / "half.net")[0] == 2  # cannot be read
    assert spikeport("check-network", tmp_path / "none.net")[0] == 2


def test_a_net_file_names_every_layer_that_netx_does_not_have(spikeport, tmp_path: Path) -> None:
    """And not only the first one, at which the reader stops."""
    cuba = {"type": b"CUBA", "iDecay": 4096, "vDecay": 9, "vThMant": 30}
    dense = {"type": "dense", "shape": [3], "weight": 2.0 * np.ones((3, 3))}
    neurons = (cuba, {"type": b"RF_IZ"}, cuba, {"type": b"ALIF"})
    written_as_lava_dl(tmp_path / "n.net", *(dense | {"neuron": each} for each in neurons), {"type": "average"})
    code, out, err = spikeport("check-network", "n.net", "--json")
    assert code == 1
    assert "Traceback" not in err
    assert list(statuses(out).values()) == ["no fault found", "impossible", "not looked at", "impossible", "impossible"]
    nodes = json.loads(out)["nodes"]
    assert nodes[1]["reason"] == "neuron type 'RF_IZ' is not supported"
    assert "no adaptive neuron" in nodes[3]["remedy"]
    assert (nodes[4]["kind"], nodes[4]["reason"]) == ("average", "layer type 'average' cannot run")
    assert [file.name for file in tmp_path.iterdir()] == ["n.net"]


def test_a_net_file_names_the_layer_with_wrong_numbers(spikeport, tmp_path: Path) -> None:
    neuron = {"type": b"CUBA", "iDecay": 4096, "vDecay": 9, "vThMant": 30}
    layers = [{"type": "dense", "shape": [3], "weight": np.full((3, 3), w), "neuron": neuron} for w in (2.0, 2.5)]
    written_as_lava_dl(tmp_path / "n.net", *layers)
    code, out, _ = spikeport("check-network", "n.net", "--json")
    assert code == 1
    assert list(statuses(out).values()) == ["no fault found", "impossible"]
    assert json.loads(out)["missing"] == []
