"""`spikeport export package.module:factory`: a network of a user goes to the chip without a file of its own."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import written_networks

from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.formats.netx.read import read_netx
from spikeport.export.graph.spiking_graph import load_graph
from spikeport.export.quantization.quantize import quantize

FACTORIES = """

def make():
    torch.manual_seed(3)
    return Residual()


def number():
    return 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The networks of the tests as a file of a user."""
    (tmp_path / "networks_of_a_user.py").write_text(inspect.getsource(written_networks) + FACTORIES)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "networks_of_a_user"


def test_a_network_goes_to_a_net_file(module: str, spikeport, tmp_path: Path) -> None:
    words = (
        "export",
        f"{module}:make",
        "--dt",
        "1e-3",
        "--input-shape",
        "2,6,8",
        "--out",
        "made",
        "--script",
        "--json",
    )
    code, out, err = spikeport(*words)
    assert code == 0, err
    assert "is code, which runs now" in err
    made = tmp_path / "made"
    assert {file.name for file in made.iterdir()} >= {"make.nir", "make.nir.json", "make.net", "run_in_lava.py"}
    assert json.loads(out)["check"]["samples"] > 0
    network, _ = quantize(load_graph(made / "make.nir"))
    frames = (np.random.default_rng(0).random((2, 9, 2, 6, 8)) < 0.5).astype(np.uint8)
    written = simulate(read_netx(made / "make.net"), frames).spikes
    assert 0 < written.sum() < written.size
    assert np.array_equal(written, simulate(network, frames).spikes)
    torch.manual_seed(3)
    assert network.layers[0].weight.shape[1] == written_networks.Residual().conv1.in_channels


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("make",), "a network needs --dt and --input-shape"),
        (("make", "--dt", "1e-3"), "a network needs --input-shape"),
        (
            ("make", "--dt", "1e-3", "--input-shape", "2,6,8", "--reset", "zero"),
            "a network of modules does not take --reset",
        ),
        (("number", "--dt", "1e-3", "--input-shape", "2,6,8"), "number() returned a int"),
        (("none", "--dt", "1e-3", "--input-shape", "2,6,8"), "cannot be imported"),
    ],
)
def test_what_is_missing_is_one_line(module: str, spikeport, tmp_path: Path, words: tuple[str, ...], text: str) -> None:
    code, _, err = spikeport("export", f"{module}:{words[0]}", *words[1:], "--out", "made")
    assert code == 2
    assert text in err.splitlines()[-1]
    assert not (tmp_path / "made").exists()
