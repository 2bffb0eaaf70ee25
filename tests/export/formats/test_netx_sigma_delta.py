"""Sigma-delta networks in .net files: SLAYER's layout, files that are written and read again, and refusals."""

import h5py
import numpy as np
import pytest
from random_sdnn import random_sdnn
from slayer_files import slayer_net

from spikeport.errors import UserError
from spikeport.export.formats.netx.write import read_netx, write_netx

SDNN = {"type": "SDNN", "activation": "relu", "vThMant": 6}
SIGMA = {**SDNN, "sigma_output": True}
INPUT = {"type": "input", "shape": [2, 5, 4], "neuron": {"type": "SDNN", "activation": "<lambda>", "vThMant": 3}}
KERNEL = 2 * np.arange(-9, 27).reshape(3, 2, 3, 2, 1).astype(np.float32)
CONV = {"type": "conv", "shape": [3, 2, 3], "inChannels": 2, "outChannels": 3, "kernelSize": [3, 2], "stride": [2, 1],
        "padding": [0, 0], "dilation": [1, 1], "groups": 1, "weight": KERNEL, "bias": np.array([4, -6, 8.0]),
        "neuron": SDNN}  # fmt: skip
MATRIX = (2.0 * np.arange(-16, 20)).reshape(2, 18)
OUTPUT = {"type": "dense", "shape": [2], "inFeatures": 18, "outFeatures": 2, "weight": MATRIX, "neuron": SIGMA}


def test_a_file_as_slayer_writes_it(tmp_path, capsys):
    network = read_netx(slayer_net(tmp_path / "s.net", INPUT, CONV, {"type": "flatten", "shape": [18]}, OUTPUT))
    first, conv, last = network.layers
    assert [layer.neuron for layer in network.layers] == ["delta", "sigma-delta", "sigma"]
    assert (first.weight.tolist(), first.vth_mant, first.input_shape) == ([64], 3, (2, 5, 4))
    assert (conv.stride, conv.output_shape, conv.vth_mant, conv.bias.tolist()) == ((2, 1), (3, 2, 3), 6, [4, -6, 8])
    np.testing.assert_array_equal(conv.weight, KERNEL[..., 0])
    np.testing.assert_array_equal(last.weight, MATRIX)
    assert (network.readout.kind, network.readout.over_time) == ("values", "last")
    assert (network.input_message_bits, network.input_lowest, network.input_limit) == (0, -8191, 8191)
    assert "multiplies frames by 64" in capsys.readouterr().err


def test_without_a_delta_layer_inputs_are_messages(tmp_path):
    shape_alone = {"type": "input", "shape": [2, 5, 4]}
    network = read_netx(slayer_net(tmp_path / "s.net", shape_alone, CONV))
    assert (network.input_message_bits, network.readout.over_time) == (16, "sum")


def test_axonal_delays_are_read(tmp_path):
    """The layout of the N-DNS baseline: a delay for each neuron of a dense layer."""
    hidden = {**OUTPUT, "neuron": SDNN, "shape": [2], "delay": np.array([3.0, 0])}
    network = read_netx(slayer_net(tmp_path / "s.net", {"type": "input", "shape": [18], "neuron": SDNN}, hidden))
    assert network.layers[1].delay.tolist() == [[3], [0]]


def test_writing_and_reading_changes_nothing(tmp_path):
    for seed in range(40):
        network = random_sdnn(np.random.default_rng(seed))
        write_netx(network, tmp_path / "n.net")  # reads it back, and compares every field
        read = read_netx(tmp_path / "n.net")
        assert [(a.name, a.neuron) for a in read.layers] == [(b.name, b.neuron) for b in network.layers]
    with h5py.File(tmp_path / "n.net") as file:
        kinds = [group["neuron/type"][()] for group in file["layer"].values() if "neuron" in group]
        assert set(kinds) == {b"SDNN"}


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([INPUT, CONV | {"neuron": SDNN | {"messageBits": 8}}], "layer 1: sets messageBits: netx stops at it"),
        ([INPUT, CONV | {"neuron": SDNN | {"weight_exp": 1}}], "layer 1: sets weight_exp: netx ignores it"),
        ([INPUT, CONV | {"neuron": SDNN | {"activation": "tanh"}}], "has the activation 'tanh': netx would run ReLU"),
        ([INPUT, CONV | {"neuron": SIGMA}], "has a bias and a sigma output: netx stops"),
        ([INPUT, CONV | {"neuron": SDNN | {"vThMant": -1}}], "vth_mant = -1 is outside 0..524287"),
        ([INPUT, CONV | {"neuron": SDNN | {"vThMant": [1, 2, 3]}}], "vThMant must be one number"),
        ([INPUT, CONV | {"neuron": SDNN | {"vThMant": 0.5}}], "vThMant holds values that are not integers"),
        ([INPUT, CONV | {"bias": np.array([0.5, 1, 2])}], "bias holds values that are not integers"),
        ([INPUT, CONV | {"delay": np.array([0, 1, 0])}], "layer 1: sets delay: netx ignores delays of convolutions"),
        ([INPUT, CONV, {"type": "flatten"}, OUTPUT, {**OUTPUT, "weight": 2 * np.eye(2)}],
         "sigma neurons belong in the last layer: they send a whole sum"),
        ([INPUT, CONV | {"neuron": {"type": "CUBA", "iDecay": 0, "vDecay": 9, "vThMant": 3}}],
         "has cuba neurons after delta ones: netx resets CUBA neurons"),
        ([INPUT, CONV, {"type": "flatten"}, OUTPUT | {"type": "dense_rec", "weight_rec": 2 * np.eye(2),
                                                      "neuron": SDNN}], "with recurrent weights"),
        ([INPUT, CONV, {"type": "average", "shape": [3]}], "'average' cannot run"),
    ],
)  # fmt: skip
def test_what_netx_would_change_or_stop_at_is_refused_by_name(tmp_path, layers, words):
    with pytest.raises(UserError, match=words):
        read_netx(slayer_net(tmp_path / "s.net", *layers))
