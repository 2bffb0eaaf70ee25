"""The script that runs a `.net` in plain lava-dl gives the spikes of the reference."""

from dataclasses import replace

import numpy as np
import pytest
from lava_scripts import run_script

from spikeport.errors import UserError
from spikeport.export.backends.lava.script import is_script, lava_script
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.network.readout import Readout

SAMPLES, STEPS = 3, 11


def dense(rng, name, outputs, inputs, **given):
    values = {"bias": None, "i_decay": 4096, "v_decay": 600, "vth_mant": 110}
    values["weight"] = 2 * rng.integers(-40, 60, (outputs, inputs))
    return IntegerLayer(name=name, kind="dense", input_shape=(inputs,), **(values | given))


def conv(rng, name, shape, kernel, **given):
    values = {"bias": None, "i_decay": 1800, "v_decay": 400, "vth_mant": 150}
    weight = 2 * rng.integers(-30, 60, kernel)
    return IntegerLayer(name=name, kind="conv", weight=weight, input_shape=shape, **(values | given))


def chain(*layers, **given):
    first = layers[0]
    placed = [first]
    for layer in layers[1:]:
        before = placed[-1].output_shape
        placed.append(layer if layer.input_shape == before else replace(layer, input_shape=before))
    return IntegerNetwork(input_shape=first.input_shape, layers=tuple(placed), **given)


def dense_without_bias(rng):
    return chain(dense(rng, "a", 6, 5), dense(rng, "b", 4, 6))


def dense_with_bias(rng):
    """The first layer fires before the first frame reaches it."""
    return chain(dense(rng, "a", 6, 5, bias=np.array([300, 0, 40, -20, 130, 7]), v_decay=0),
                 dense(rng, "b", 4, 6, bias=np.array([0, 60, 0, 115])), dense(rng, "c", 3, 4))  # fmt: skip


def convolution_without_bias(rng):
    """Asymmetric in every way; the read-out of a convolution is in the order channel, height, width."""
    return chain(conv(rng, "a", (2, 5, 7), (3, 2, 2, 3), stride=(1, 2), padding=(1, 0)),
                 conv(rng, "b", (3, 6, 3), (2, 3, 3, 1)))  # fmt: skip


def convolution_with_bias(rng):
    return chain(conv(rng, "a", (2, 5, 7), (3, 2, 2, 3), bias=np.array([170, 0, 25])),
                 dense(rng, "b", 4, 60, bias=np.array([5, 0, 111, 2]), vth_mant=300))  # fmt: skip


def recurrent_with_bias_and_delays(rng):
    """Spikes that a bias fires before the first frame wait in synapses of both kinds."""
    delay = np.array([[2], [0], [3], [1]])
    weight = 2 * rng.integers(-40, 60, (4, 4))
    weight[1, 2] = 140  # netx would forget the exponent of smaller weights
    return chain(dense(rng, "a", 5, 3, bias=np.array([400, 0, 120, 30, 0])),
                 dense(rng, "b", 4, 5, delay=rng.integers(0, 4, (4, 5))),
                 dense(rng, "c", 4, 4, weight=weight, weight_rec=2 * rng.integers(-30, 40, (4, 4)), delay=delay,
                       bias=np.array([250, 0, 0, 10])))  # fmt: skip


def membrane(rng):
    last = dense(rng, "b", 4, 6, vth_mant=131071, bias=np.array([5, -3, 0, 1]))
    return chain(dense(rng, "a", 6, 5), last, readout=Readout(kind="membrane", over_time="max"))


def linear_with_counts(rng):
    readout = Readout(kind="linear", weight=rng.normal(size=(3, 4)), bias=rng.normal(size=3))
    return chain(dense(rng, "a", 6, 5, vth_mant=400), dense(rng, "b", 4, 6), readout=readout, input_message_bits=3)


@pytest.mark.lava
@pytest.mark.xdist_group("lava")
@pytest.mark.parametrize(
    "make",
    [dense_without_bias, dense_with_bias, convolution_without_bias, convolution_with_bias,
     recurrent_with_bias_and_delays, membrane, linear_with_counts],
)  # fmt: skip
def test_the_script_gives_the_spikes_of_the_reference(make, tmp_path):
    rng = np.random.default_rng(8)
    network = make(rng)
    frames = rng.integers(0, network.input_limit + 1, (SAMPLES, STEPS, *network.input_shape)).astype(np.uint8)
    frames *= rng.random(frames.shape) < 0.6
    expected = simulate(network, frames)
    classes = network.readout.classes(expected.spikes, expected.membrane)
    archive, printed = run_script(network, frames, classes, tmp_path)
    np.testing.assert_array_equal(archive["spikes"], expected.spikes)
    assert archive["spikes"].dtype == np.uint8
    assert archive["classes"].tolist() == classes.tolist()
    assert f"{expected.spikes.sum()} output spikes" in printed
    assert "3 of 3 classes are right" in printed
    if network.readout.kind != "membrane":
        assert expected.spikes.sum() > SAMPLES


def test_what_the_script_says_of_the_network():
    network = dense_without_bias(np.random.default_rng(1))
    text = lava_script(network, 'a"b.net')
    compile(text, "run_in_lava.py", "exec")
    assert "import spikeport" not in text
    assert "from spikeport" not in text
    assert "HERE / 'a\"b.net'" in text
    assert "reset_interval=steps, reset_offset=1" in text
    assert "SHARED = True" in text
    recurrent = recurrent_with_bias_and_delays(np.random.default_rng(1))
    assert "SHARED = False" in lava_script(recurrent, "n.net")
    emptied = "(1, 1, 'synapse', 'a_buff'), (2, 2, 'synapse', 'a_buff'), (3, 2, 'synapse_rec', 'a_buff')"
    assert f"EMPTIED = ({emptied})" in lava_script(recurrent, "n.net")


def test_input_neurons_are_refused():
    layer = IntegerLayer(name="in", kind="input", weight=np.array([3]), bias=None, i_decay=4096, v_decay=0,
                         vth_mant=9, input_shape=(4,))  # fmt: skip
    with pytest.raises(UserError, match=r"^in: a script cannot drive input neurons"):
        lava_script(IntegerNetwork(input_shape=(4,), layers=(layer,)), "n.net")


def test_the_command_writes_it_beside_the_net(spikeport, net, tmp_path):
    code, out, _ = spikeport("export", net, "--script")
    assert code == 0
    assert str(tmp_path / "run_in_lava.py") in out
    assert is_script(tmp_path / "run_in_lava.py")
    assert "HERE / 'a.net'" in (tmp_path / "run_in_lava.py").read_text()
    assert spikeport("export", net, "--script")[0] == 0  # its own file is replaced
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "run_in_lava.py").write_text("print('mine')\n")
    code, _, err = spikeport("export", net, "--script", "--out", "other")
    assert code == 2
    assert "is not a script of an earlier export" in err
    assert (tmp_path / "other" / "run_in_lava.py").read_text() == "print('mine')\n"
