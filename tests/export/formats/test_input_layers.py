"""Input layers of .net files: what drives them, counts as their input, and the words for other first layers."""

import json

import numpy as np
import pytest
from lava_dl_files import written_as_lava_dl

from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.formats.frames_file import write_frames
from spikeport.export.formats.netx.write import read_netx

NEURON = {"type": b"LOIHI", "iDecay": 4096, "vDecay": 200, "vThMant": 300, "refDelay": 1, "gradedSpike": False}


@pytest.mark.parametrize("i_decay", [1024, 4096])
def test_netx_adds_the_drive_of_an_input_layer_to_the_voltage(tmp_path, i_decay):
    """Both equations in a loop. SLAYER's current gives other spikes unless it decays fully in a step."""
    neuron = NEURON | {"iDecay": i_decay}
    source = {"type": "input", "shape": [4], "weight": [[7]], "bias": [[-30]], "neuron": neuron}
    network = read_netx(written_as_lava_dl(tmp_path / "a.net", source))
    frames = np.random.default_rng(1).integers(0, 40, (1, 60, 4)).astype(np.uint8)
    of_netx, of_slayer = [], []
    for fired, by_current in ((of_netx, False), (of_slayer, True)):
        u = v = np.zeros(4, dtype=np.int64)
        for x in frames[0].astype(np.int64):
            u = np.trunc(u * (4096 - i_decay) / 4096).astype(np.int64) * by_current + 64 * (7 * x - 30)
            v = np.trunc(v * (4096 - 200) / 4096).astype(np.int64) + u
            fired.append(v > 64 * 300)
            v = np.where(fired[-1], 0, v)
    np.testing.assert_array_equal(simulate(network, frames).spikes[0], of_netx)
    differing = int(np.sum(np.not_equal(of_netx, of_slayer)))
    assert differing > 60 if i_decay == 1024 else differing == 0


def image_network(path, neuron=NEURON):
    """An input layer, a convolution and a dense layer, as in lava-dl's tiny.net."""
    kernel = 2.0 * np.random.default_rng(2).integers(-20, 60, (3, 2, 3, 2, 1))
    conv = {"type": "conv", "shape": [3, 2, 4], "weight": kernel, "stride": [1, 1], "padding": [0, 0],
            "dilation": [1, 1], "groups": 1, "neuron": NEURON}  # fmt: skip
    last = {"type": "dense", "shape": [4], "weight": 2.0 * np.random.default_rng(3).integers(-9, 30, (4, 24))}
    source = {"type": "input", "shape": [2, 4, 5]} | ({"weight": [[36.0]], "bias": [[34.0]]} if neuron else {})
    return written_as_lava_dl(path, source | ({"neuron": neuron} if neuron else {}), conv,
                              {"type": "flatten", "shape": [24]}, last | {"neuron": NEURON})  # fmt: skip


def images(path, largest, steps=9):
    frames = np.random.default_rng(4).integers(2, largest + 1, (3, steps, 2, 4, 5)).astype(np.uint8)
    write_frames(path, frames, np.array([0, 1, 2]))
    return frames


def test_counts_drive_an_input_layer(spikeport, tmp_path):
    """First spikes by a loop over 36 x + 34; the same numbers in `profile`."""
    network = read_netx(image_network(tmp_path / "i.net"))
    frames = images(tmp_path / "f.npz", 60)
    v = np.zeros((3, 2, 4, 5), dtype=np.int64)
    fired = 0
    for t in range(9):
        v = (v * (4096 - 200)) // 4096 + 64 * (36 * frames[:, t].astype(np.int64) + 34)
        fired += int(np.sum(v > 64 * 300))
        v[v > 64 * 300] = 0
    code, out, _ = spikeport("simulate", "i.net", "--input", "f.npz", "--json")
    assert code == 0
    counted = json.loads(out)["layers"][0]["spikes_per_sample"]
    assert counted == pytest.approx(fired / 3, rel=1e-12)  # a mean of integers
    assert simulate(network, frames, keep_layers=True).layer_spikes[0].sum() == fired
    code, out, _ = spikeport("profile", "i.net", "--input", "f.npz", "--json")
    assert code == 0
    assert json.loads(out)["layers"][0]["spikes_per_sample"] == pytest.approx(fired / 3, rel=1e-12)


@pytest.mark.lava
@pytest.mark.xdist_group("lava")
def test_counts_drive_an_input_layer_in_lava(spikeport, tmp_path):
    image_network(tmp_path / "i.net")
    images(tmp_path / "f.npz", 112)
    code, out, _ = spikeport("simulate", "i.net", "--input", "f.npz", "--backend", "both")
    assert code == 0, out
    assert "0 mismatches" in out


def test_a_drive_beyond_the_bias_of_the_chip_is_refused_with_the_largest_count(spikeport, tmp_path):
    """36 * 112 + 34 = 4066 of 4095."""
    image_network(tmp_path / "i.net")
    images(tmp_path / "f.npz", 255)
    for verb in ("simulate", "profile"):
        code, _, err = spikeport(verb, "i.net", "--input", "f.npz")
        assert code == 2
        assert "the network takes counts of 0 to 112. Hint: clip them: --clip" in err


def test_without_an_input_layer_the_message_bits_that_counts_need_are_named(spikeport, tmp_path):
    image_network(tmp_path / "i.net", neuron=None)
    frames = images(tmp_path / "f.npz", 60)
    code, _, err = spikeport("simulate", "i.net", "--input", "f.npz")
    assert code == 2
    assert "or export with --message-bits 6 (Loihi 2)" in err
    assert spikeport("export", "i.net", "--message-bits", "6", "--out", "graded")[0] == 0
    network = read_netx(tmp_path / "graded" / "i.net")
    assert network.input_message_bits == 6
    code, out, _ = spikeport("simulate", "graded/i.net", "--input", "f.npz", "--json")
    assert code == 0
    assert json.loads(out)["layers"][0]["spikes_per_sample"] == simulate(
        network, frames, keep_layers=True).layer_spikes[0].sum() / 3  # fmt: skip


def test_frames_that_are_scaled_already_drive_the_neurons_as_they_are(spikeport, tmp_path):
    """As Intel's recorded inputs of tiny.net and PilotNet are; first spikes by a loop over the frames themselves."""
    image_network(tmp_path / "i.net")
    frames = images(tmp_path / "f.npz", 255)
    code, _, err = spikeport("simulate", "i.net", "--input", "f.npz")
    assert code == 2
    assert "export the .net file with --scaled-frames if the frames are its drive already" in err
    assert spikeport("export", "i.net", "--scaled-frames", "--out", "scaled")[0] == 0
    v, fired = np.zeros((3, 2, 4, 5), dtype=np.int64), 0
    for t in range(9):
        v = (v * (4096 - 200)) // 4096 + 64 * frames[:, t].astype(np.int64)
        fired += int(np.sum(v > 64 * 300))
        v[v > 64 * 300] = 0
    code, out, _ = spikeport("simulate", "scaled/i.net", "--input", "f.npz", "--json")
    assert code == 0
    assert fired > 100
    assert json.loads(out)["layers"][0]["spikes_per_sample"] == pytest.approx(fired / 3, rel=1e-12)
    image_network(tmp_path / "s.net", neuron=None)
    code, _, err = spikeport("export", "s.net", "--scaled-frames")
    assert code == 2
    assert "s.net: has no input neurons" in err
    code, _, err = spikeport("export", "g.nir", "--scaled-frames")
    assert code == 2
    assert "--scaled-frames is for .net files" in err
