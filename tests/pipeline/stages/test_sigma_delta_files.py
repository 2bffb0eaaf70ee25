"""A .net file of a sigma-delta network through the commands and the Python API: values, comparison, counts, energy."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from profile_schema import validated
from random_sdnn import sdnn_loop
from slayer_files import slayer_net

import spikeport as sp
from spikeport.errors import UserError
from spikeport.export.backends.reference.backend import ReferenceBackend
from spikeport.export.formats.frames_file import write_frames
from spikeport.export.network.connectivity import effective_fan_out_map, fan_out_map
from spikeport.export.network.spike_trace import SpikeTrace, load_trace

SDNN = {"type": "SDNN", "activation": "relu", "vThMant": 6}
LABELS = np.array([0, 1, 2, 1, 0])


@pytest.fixture
def net(tmp_path):
    """A delta layer, a convolution with stride and biases, and a sigma, as SLAYER writes them."""
    rng = np.random.default_rng(3)
    conv = {"type": "conv", "shape": [4, 2, 3], "stride": [2, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 1,
            "weight": 2.0 * rng.integers(-9, 16, (4, 2, 3, 2, 1)), "bias": np.array([4.0, -6, 0, 9]),
            "neuron": SDNN}  # fmt: skip
    weight = 2.0 * rng.integers(-20, 20, (3, 24)) * (rng.random((3, 24)) < 0.7)
    last = {"type": "dense", "shape": [3], "weight": weight, "neuron": SDNN | {"sigma_output": True}}
    first = {"type": "input", "shape": [2, 5, 4], "weight": 2.0, "neuron": SDNN | {"activation": "<lambda>"}}
    return slayer_net(tmp_path / "s.net", first, conv, {"type": "flatten"}, last)


@pytest.fixture
def frames(tmp_path):
    changes = np.random.default_rng(4).integers(-30, 31, (5, 7, 2, 5, 4))
    values = np.clip(changes.cumsum(axis=1), -300, 300).astype(np.int16)
    write_frames(tmp_path / "f.npz", values, LABELS)
    return values


def expected(net, frames):
    network = sp.load_network(net).network
    return network, [sdnn_loop(network, sample) for sample in frames]


def test_simulate_writes_values_and_counts_messages(spikeport, net, frames, tmp_path):
    network, messages = expected(net, frames)
    code, out, _ = spikeport("simulate", net, "--input", tmp_path / "f.npz", "--out", "t.npz", "--json")
    assert code == 0
    result, trace = json.loads(out), load_trace(tmp_path / "t.npz")
    outputs = np.stack([sample[-1] for sample in messages])
    np.testing.assert_array_equal(trace.values, outputs)
    np.testing.assert_array_equal(trace.spikes, outputs != 0)
    assert result["accuracy"] == np.mean(outputs[:, -1].argmax(axis=1) == LABELS)
    assert (result["output_messages"], result["readout"]) == (np.count_nonzero(outputs), "values")
    for index, row in enumerate(result["layers"]):
        assert row["messages_per_sample"] == np.mean([np.count_nonzero(sample[index]) for sample in messages])
    code, out, _ = spikeport("simulate", net, "--input", tmp_path / "f.npz")
    assert code == 0
    assert "messages/sample  MACs/sample" in out
    assert "spike" not in out
    assert network.readout.over_time == "last"


def test_export_lists_neurons_and_latency_and_changes_the_readout(spikeport, net, tmp_path):
    code, out, _ = spikeport("export", net, "--out", "again", "--readout", "values-max", "--script")
    assert code == 0
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.startswith("layer")}
    assert [rows[name][2] for name in ("layer0", "layer1", "layer3")] == ["delta", "sigma-delta", "sigma"]
    assert [rows[name][-1] for name in ("layer0", "layer1", "layer3")] == ["0", "1", "2"]
    assert "integers from -32768 to 32767" in out
    assert sp.load_network(tmp_path / "again" / "s.net").network.readout.over_time == "max"
    compile((tmp_path / "again" / "run_in_lava.py").read_text(), "run_in_lava.py", "exec")
    code, _, err = spikeport("export", net, "--readout", "spikes")
    assert code == 2
    assert "a spikes read-out does not fit sigma neurons" in err


def test_multiply_accumulates_have_the_energy_that_a_profile_states(net, frames, tmp_path):
    """Messages times fan-out at 0.23 pJ; unknown where a device has no number for a multiply-accumulate."""
    network, messages = expected(net, frames)
    arriving = [[frames[n], *sample[:-1]] for n, sample in enumerate(messages)]
    macs = effective = 0
    for each in arriving:
        for layer, received in zip(network.layers, each, strict=True):
            events = (received != 0).reshape(len(received), -1).sum(axis=0)
            macs += events @ fan_out_map(layer).ravel()
            effective += events @ effective_fan_out_map(layer).ravel()
    found = sp.profile(sp.load_network(net), frames, hardware=("cmos45-int8", "loihi1", "loihi2", "truenorth-all-in"),
                       out=tmp_path / "page").values  # fmt: skip
    assert sum(row["synops_per_sample"] for row in found["layers"]) == macs / len(frames)
    assert sum(row["effective_synops_per_sample"] for row in found["layers"]) == effective / len(frames) < macs / 5
    assert [row["operation"] for row in found["layers"]] == ["MAC"] * 3
    known, *unknown = found["energy"]
    assert known["dynamic_uj"]["nominal"] == pytest.approx(0.23e-6 * macs / len(frames), rel=1e-12)  # decimal fractions
    assert any("multiply-accumulate" in line for line in known["assumptions"])
    for row in unknown:
        assert (row["dynamic_uj"], row["total_uj"], row["unknown_terms"][0]) == (None, None, "synop_mac")
    validated(tmp_path / "page")
    assert "multiply-accumulates" in (tmp_path / "page" / "report.md").read_text()


def test_energy_of_memory_counts_the_words_of_each_neuron(net, frames):
    """Sigma, activation and residue; a delta layer has no sigma, a sigma nothing else."""
    from spikeport.pipeline.profiling.counts import count_activity

    network = sp.load_network(net).network
    layers = count_activity(network, sp.simulate(network, frames)).layers
    assert [layer.state_words for layer in layers] == [2, 3, 1]
    assert [layer.state_muls for layer in layers] == [0, 0, 0]


@dataclass(frozen=True)
class OneOff(ReferenceBackend):
    """A backend with one wrong value: in the convolution of sample 3, at step 2."""

    def simulate(self, network: Any, frames: Any, **options: Any) -> SpikeTrace:
        trace = super().simulate(network, frames, **options)
        assert trace.layer_values is not None
        wrong = trace.layer_values[1].copy()
        wrong[min(3, len(wrong) - 1), 2, 1, 0, 2] += 1
        return replace(trace, layer_values=(trace.layer_values[0], wrong, *trace.layer_values[2:]))


def make():
    return OneOff()


def test_a_divergence_names_the_values_and_can_be_replayed(net, frames, tmp_path, monkeypatch):
    backend = f"{__name__}:make"
    monkeypatch.setattr(OneOff, "name", backend)
    found = sp.compare(sp.load_network(net), frames, backends=("reference", OneOff()), case_folder=tmp_path)
    place = found.first_divergence
    assert (found.mismatches, found.of_values) == (1, True)
    assert (place.sample, place.layer, place.step, place.neuron) == (3, "layer1", 2, (1, 0, 2))
    assert place.second == place.first + 1
    assert "mismatches in" in found.describe()[0]
    assert "messages of 5 samples" in found.describe()[0]
    assert f"values {place.first} (integer reference) and {place.second}" in found.describe()[1]
    assert type(found).from_json(json.loads(json.dumps(found.to_json()))) == found
    (case,) = tmp_path.glob("divergence-*")
    again = sp.replay(case)
    assert (again.first_reproduced, again.second_reproduced, again.now.mismatches) == (True, True, 1)


def test_limits_of_devices(net):
    found = {check.limit for layer in sp.check_limits(sp.load_network(net), "loihi2").layers for check in layer.checks}
    assert not any("decay" in limit for limit in found - {"decay profiles per core"})
    assert sp.check_limits(sp.load_network(net), "loihi2").passes
    assert "message bits" in sp.check_limits(sp.load_network(net), "loihi1").summary


def test_the_values_print_themselves(net, frames):
    trace = sp.simulate(sp.load_network(net), frames)
    assert "MACs a sample" in repr(trace)
    assert "conv, sigma-delta" in repr(sp.load_network(net))
    assert trace.classes().tolist() == trace.values[:, -1].argmax(axis=1).tolist()


def test_frames_of_other_kinds_are_refused(net):
    with pytest.raises(UserError, match="not whole numbers"):
        sp.simulate(sp.load_network(net), np.zeros((1, 2, 2, 5, 4)))
