"""`spikeport check-network`: a status for every node, all that is missing at once, no file."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import nir
import numpy as np
import pytest
import written_networks
from nir_chains import dense_graph, lif, nir_chain, written

from spikeport.export.graph.spiking_graph import load_graph
from spikeport.export.quantization.quantize import quantize

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
"""
    (tmp_path / "nets_to_check.py").write_text(inspect.getsource(written_networks) + more)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "nets_to_check"


def test_a_live_network_has_a_verdict_for_each_module(module: str, spikeport) -> None:
    """snnTorch's defaults: pools on currents and a subtractive reset need another training; a ReLU is impossible."""
    words = ("--dt", "1e-3", "--input-shape", "2,6,8", "--json")
    code, out, _ = spikeport("check-network", f"{module}:Subtracts", *words)
    assert code == 1
    found = statuses(out)
    assert (found["conv"], found["fc"]) == ("exact", "exact")
    assert [found[name] for name in ("conv.max_pool2d", "lif1", "lif2")] == ["needs training"] * 3
    assert found["fc.relu"] == "impossible"
    code, out, err = spikeport("check-network", f"{module}:Residual", *words)
    assert code == 0, err
    assert set(statuses(out).values()) == {"exact"}
