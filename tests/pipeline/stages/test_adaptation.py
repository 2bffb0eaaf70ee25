"""Adaptations end to end: a source that the chip cannot run, trained, written, resumed, and checked against Lava."""

from __future__ import annotations

import io
import json
import re
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import nir
import numpy as np
import pytest
import snntorch
import torch
from column_network import CLASSES, DT, SETTINGS, SHAPE, columns, source
from torch import nn

import spikeport as sp
from spikeport.export.formats.frames_file import write_frames
from spikeport.export.graph.spiking_graph import load_graph
from spikeport.export.quantization.quantize import quantize
from spikeport.pipeline.adaptation import adapt as adapt_module
from spikeport.pipeline.run.progress import ProgressPrinter
from spikeport.pipeline.stages import adaptation_source
from spikeport.pipeline.stages.adaptation import adapt


@pytest.fixture(scope="module")
def frames() -> tuple[np.ndarray, np.ndarray]:
    return columns()


def weights_of(network: sp.CompiledNetwork) -> list[np.ndarray]:
    return [layer.weight for layer in network.network.layers]


def test_it_writes_what_it_measured(frames, tmp_path: Path) -> None:
    given, labels = frames
    found = adapt(source(), given, tmp_path / "out", labels=labels, holdout=0.3, **SETTINGS)
    assert [row.network for row in found.rows] == ["source", "nearest, float", "nearest, rounded", "adapted"]
    assert found.mismatches == 0
    assert found.compared == 9 * 6 * CLASSES
    assert found.rows[0].agreement["value"] == 1.0
    assert all(row.agreement["n"] == 9 for row in found.rows)
    assert {row.accuracy["n"] for row in found.rows} == {9}
    assert list(found.rows[3].rates) == ["2", "5"]
    assert len(found.changes) == 3
    held = json.loads((tmp_path / "out" / "adaptation.json").read_text())
    assert held == {key: value for key, value in found.to_json().items() if key != "files"}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "adaptation.json", "adapted.net", "adapted.nir", "adapted.nir.json", "metrics.jsonl",
    ]  # fmt: skip
    again, _ = quantize(load_graph(tmp_path / "out" / "adapted.nir"))
    assert all(np.array_equal(a.weight, b) for a, b in zip(again.layers, weights_of(found.network), strict=True))
    assert "same class as the source" in repr(found)


def test_training_moves_it_towards_the_source(frames, tmp_path: Path) -> None:
    """The loss is lower in the last epoch than in the first."""
    given, _ = frames
    before = adapt(source(), given, check=given, **{**SETTINGS, "epochs": 0})
    longer, printer = {**SETTINGS, "epochs": 12, "lr": 1e-2, "shift": 0}, ProgressPrinter(stream=io.StringIO())
    after = adapt(source(), given, tmp_path / "out", check=given, progress=printer, **longer)
    printed = printer._stream.getvalue().splitlines()
    assert [line.split("  ")[1] for line in printed] == [f"adaptation epoch {n}/12" for n in range(1, 13)]
    losses = re.compile(r"loss \S+ \(outputs \S+, classes \S+, layer_rates \S+\)  agreement \d")
    assert all(losses.search(line) for line in printed)
    epochs = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    assert len(epochs) == 12
    assert epochs[-1]["loss"] < epochs[0]["loss"]
    assert epochs[-1]["training_agreement"] == after.rows[3].agreement["value"] == 1.0
    assert before.mismatches == after.mismatches == 0


def test_a_graph_that_subtracts_is_adapted(frames, tmp_path: Path) -> None:
    """A .nir file of three recorded layers; --reset says how it was trained."""
    given, labels = frames
    rng = np.random.default_rng(6)
    one = np.ones((3, 3, 4))
    nodes = {
        "input": nir.Input({"input": np.array(SHAPE)}),
        "conv": nir.Conv2d(
            input_shape=SHAPE[1:], weight=0.4 * rng.standard_normal((3, 2, 3, 3)), stride=2, padding=0, dilation=1,
            groups=1, bias=np.zeros(3),
        ),
        "lif": nir.LIF(tau=2e-3 * one, r=2 * one, v_leak=0 * one, v_threshold=0.5 * one, v_reset=0 * one),
        "flat": nir.Flatten({"input": np.array((3, 3, 4))}, start_dim=0, end_dim=-1),
        "fc": nir.Linear(0.4 * rng.standard_normal((CLASSES, 36))),
        "out": nir.LIF(tau=np.full(3, 2e-3), r=np.full(3, 2.0), v_leak=np.zeros(3), v_threshold=np.full(3, 0.5),
                       v_reset=np.zeros(3)),
        "output": nir.Output({"output": np.array((CLASSES,))}),
    }  # fmt: skip
    names = list(nodes)
    nir.write(tmp_path / "net.nir", nir.NIRGraph(nodes, list(pairwise(names))))
    write_frames(tmp_path / "frames.npz", given, labels)
    found = adapt(tmp_path / "net.nir", tmp_path / "frames.npz", tmp_path / "out", dt_s=DT, reset="subtract",
                  epochs=1, batch=9, threads=1)  # fmt: skip
    assert found.changes == ("reset by subtraction became reset to zero: lif, out",)
    assert found.mismatches == 0
    assert (tmp_path / "out" / "net.net").exists()


def test_frames_of_another_shape_are_refused(frames, tmp_path: Path) -> None:
    given, _ = frames
    with pytest.raises(sp.UserError, match="frames have shape"):
        adapt(source(), given[..., :-1], **SETTINGS)
    with pytest.raises(sp.UserError, match="leaves 0 to measure on"):
        adapt(source(), given, holdout=0.0, **SETTINGS)
    with pytest.raises(sp.UserError, match="no output neuron of the source fires"):
        adapt(source(), np.zeros_like(given), **SETTINGS)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    with pytest.raises(sp.UserError, match="holds files that are not"):
        adapt(source(), given, tmp_path / "mine", **SETTINGS)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "all of it"


def test_counts_become_spikes_or_messages(frames) -> None:
    given, _ = frames
    counts = 3 * given
    cut = adapt(source(), counts, **{**SETTINGS, "epochs": 0})
    assert [note for note in cut.notes if "input counts were cut to 1" in note]
    plain = adapt(source(), given, **{**SETTINGS, "epochs": 0})
    assert all(np.array_equal(a, b) for a, b in zip(weights_of(cut.network), weights_of(plain.network), strict=True))
    messages = adapt(source(), counts, message_bits=2, **{**SETTINGS, "epochs": 0})
    assert messages.network.network.input_limit == 3
    assert messages.mismatches == 0


def test_a_factory_names_the_files() -> None:
    assert adaptation_source.default_folder("package.nets:trained_cnn") == Path("trained_cnn-adapted")
    assert adaptation_source.default_folder("folder/net.nir") == Path("net-adapted")


@pytest.mark.lava
def test_lava_fires_the_same(frames) -> None:
    given, labels = frames
    found = adapt(source(), given, labels=labels, lava_samples=2, **{**SETTINGS, "epochs": 1})
    assert found.lava is not None
    assert found.lava.mismatches == 0
    assert found.lava.spikes_compared > 0
    assert found.equal


def test_check_network_measures_the_nearest_network(frames, tmp_path: Path, monkeypatch, spikeport) -> None:
    """On frames it says how far the network without training is, by the module that the factory returns."""
    given, labels = frames
    write_frames(tmp_path / "frames.npz", given, labels)
    monkeypatch.setitem(sys.modules, "nets_of_test", SimpleNamespace(trained=source))
    words = ("check-network", "nets_of_test:trained", "--dt", DT, "--input-shape", "2,8,9")
    code, out, _ = spikeport(*words, "--frames", tmp_path / "frames.npz", "--json")
    held = json.loads(out)
    assert code == 1
    assert held["adapt"].startswith("spikeport adapt nets_of_test:trained")
    assert [row["network"] for row in held["nearest"]] == ["source", "nearest, float", "nearest, rounded"]
    assert held["nearest"][0]["agreement"]["value"] == 1.0
    assert {row["accuracy"]["n"] for row in held["nearest"]} == {30}
    code, out, _ = spikeport(*words)
    assert "nearest, rounded" not in out


def test_the_command_adapts_and_says_what_it_changed(frames, tmp_path: Path, monkeypatch, spikeport) -> None:
    given, _ = frames
    write_frames(tmp_path / "frames.npz", given)
    monkeypatch.setitem(sys.modules, "nets_of_test", SimpleNamespace(trained=source))
    code, out, _ = spikeport(
        "adapt", "nets_of_test:trained", "--frames", tmp_path / "frames.npz", "--dt", DT, "--input-shape", "2,8,9",
        "--epochs", 1, "--widen", 2, "--holdout", 0.2, "--quiet",
    )  # fmt: skip
    assert code == 0
    assert "changed: 2: reset by subtract became reset to zero" in out
    assert "2 times as many channels: 2" in out
    assert "the frames have no labels" in out
    assert "0 of 108 output spikes differ" in out
    assert (tmp_path / "trained-adapted" / "trained.net").exists()


@pytest.mark.parametrize("head", ["membrane", "weights"])
def test_other_outputs_are_compared_too(frames, head: str, monkeypatch) -> None:
    """A membrane in the chip's units, and the spikes before weights of the host; a wrong integer network is found."""
    given, _ = frames
    torch.manual_seed(4)
    neurons = {"beta": 0.6, "init_hidden": True, "threshold": 0.25}
    layers = [nn.Conv2d(2, 4, 3, stride=2), snntorch.Leaky(**neurons), nn.Flatten(), nn.Linear(4 * 3 * 4, CLASSES)]
    if head == "membrane":
        layers.append(snntorch.Leaky(**{**neurons, "reset_mechanism": "none"}, output=True))
    found = adapt(nn.Sequential(*layers), given, holdout=0.3, **{**SETTINGS, "epochs": 1})
    assert found.mismatches == 0
    assert found.compared == 9 * 6 * (CLASSES if head == "membrane" else 48)
    wrong = adapt_module.simulate

    def other(network, given_frames):
        trace = wrong(network, given_frames)
        values = trace.membrane if head == "membrane" else trace.spikes
        values[0, 1, 2] ^= 1
        return trace

    monkeypatch.setattr(adapt_module, "simulate", other)
    assert adapt(nn.Sequential(*layers), given, holdout=0.3, **{**SETTINGS, "epochs": 1}).mismatches == 1
