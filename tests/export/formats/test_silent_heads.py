"""A last layer of a .net file that never fires is read out by its voltage: values by hand, by NumPy and by netx."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lava_dl_files import written_as_lava_dl
from plain_netx import run_plain_netx

from spikeport.errors import UserError
from spikeport.export.backends.lava.process import LavaWorker
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.formats.netx.write import read_netx, write_netx
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.network.silence import STEPS_LIMIT, silent_steps

HIDDEN = {"type": b"LOIHI", "iDecay": 1500, "vDecay": 700, "vThMant": 150, "refDelay": 1}
AFFINE = {"type": b"CUBA", "iDecay": 1100, "vDecay": 300, "vThMant": (1 << 18) - 1, "refDelay": 1, "gradedSpike": False}
INPUTS, WIDTH, CLASSES, STEPS = 7, 6, 3, 11


def network_of(rng, head):
    hidden = 2 * rng.integers(-60, 110, (WIDTH, INPUTS))
    last = 2 * rng.integers(-100, 100, (CLASSES, WIDTH))
    return ({"type": "dense", "shape": [WIDTH], "weight": hidden.astype(np.float32), "neuron": HIDDEN},
            {"type": "dense", "shape": [CLASSES], "weight": last.astype(np.float32)} | head)  # fmt: skip


@pytest.mark.parametrize("bias", [None, np.array([9, -3, 2])])
def test_a_layer_without_neurons_adds_up_its_inputs(tmp_path, capsys, bias):
    """lava-dl's bootstrap MNIST. In netx v[t] = 64 (W (s[0] + ... + s[t]) + bias), so that the last step decides."""
    head = {} if bias is None else {"bias": bias}
    file = written_as_lava_dl(tmp_path / "a.net", *network_of(np.random.default_rng(4), head))
    network = read_netx(file)
    assert (network.readout.kind, network.readout.over_time) == ("membrane", "last")
    assert "has no neuron group, and netx adds up its inputs" in capsys.readouterr().err
    frames = np.random.default_rng(5).integers(0, 2, (5, STEPS, INPUTS)).astype(np.uint8)
    trace = simulate(network, frames, keep_layers=True)
    hidden = trace.layer_spikes[0].astype(np.int64)
    assert hidden.sum() > 5 * STEPS
    sums = np.cumsum(hidden, axis=1) @ network.layers[1].weight.T.astype(np.int64)
    np.testing.assert_array_equal(trace.membrane, 64 * (sums + (0 if bias is None else bias)))
    assert (
        network.readout.classes(trace.spikes, trace.membrane).tolist()
        == np.argmax(sums[:, -1] + (0 if bias is None else bias), axis=1).tolist()
    )
    write_netx(network, tmp_path / "again.net")
    assert read_netx(tmp_path / "again.net").readout == network.readout


@pytest.mark.lava
@pytest.mark.xdist_group("lava")
@pytest.mark.parametrize(
    "head", [{}, {"bias": np.array([300, -11, 4])}, {"neuron": AFFINE}], ids=["none", "b", "affine"]
)
def test_netx_has_the_same_voltages(tmp_path, head):
    """The file itself in netx, without Spikeport's reader, and the network in Spikeport's Lava."""
    network = read_netx(written_as_lava_dl(tmp_path / "plain.net", *network_of(np.random.default_rng(6), head)))
    frames = np.random.default_rng(7).integers(0, 2, (1, STEPS, INPUTS)).astype(np.uint8)
    expected = simulate(network, frames)
    spikes, voltage = run_plain_netx(tmp_path / "plain.net", frames[0])
    assert not spikes.any()
    assert len(np.unique(voltage)) > STEPS
    np.testing.assert_array_equal(expected.membrane[0], voltage)
    with LavaWorker() as worker:
        trace = worker.simulate(network, frames, timeout_s=120.0)
    np.testing.assert_array_equal(trace.membrane, expected.membrane)


def test_an_affine_block_sums_its_voltage_over_time(tmp_path, capsys):
    network = read_netx(
        written_as_lava_dl(tmp_path / "a.net", *network_of(np.random.default_rng(4), {"neuron": AFFINE}))
    )
    last = network.layers[-1]
    assert (network.readout.kind, network.readout.over_time) == ("membrane", "sum")
    assert (last.i_decay, last.v_decay, last.vth_mant) == (1100, 300, 131071)
    printed = capsys.readouterr().err
    assert "has a threshold that no voltage of 24 bits reaches" in printed
    assert "131071, cannot be reached\n" in printed


def test_only_the_last_layer_may_never_fire(tmp_path):
    first, last = network_of(np.random.default_rng(1), {})
    silent = {key: value for key, value in first.items() if key != "neuron"}
    with pytest.raises(UserError, match="layer 0: has no neuron: netx gives it neurons that never fire, so that noth"):
        read_netx(written_as_lava_dl(tmp_path / "a.net", silent, last))
    with pytest.raises(UserError, match=r"layer 0: has a threshold above 131071.*nothing reaches the layers behind it"):
        read_netx(written_as_lava_dl(tmp_path / "b.net", silent | {"neuron": AFFINE}, last))
    source = {"type": "input", "shape": [INPUTS], "weight": [[3]], "neuron": AFFINE}
    with pytest.raises(UserError, match="layer 0: has a threshold above 131071"):
        read_netx(written_as_lava_dl(tmp_path / "c.net", source, first, last))
    conv = {"type": "conv", "shape": [2, 3, 1], "weight": np.full((2, 1, 1, 3), 4), "stride": 1, "padding": 0,
            "dilation": 1, "groups": 1}  # fmt: skip
    with pytest.raises(UserError, match="layer 1: has no neuron: netx gives a conv none"):
        read_netx(written_as_lava_dl(tmp_path / "d.net", {"type": "input", "shape": [1, 3, 3]}, conv))


def layer_of(weight, i_decay, v_decay, vth_mant, bias=None):
    return IntegerLayer(name="a", kind="dense", weight=np.array(weight), bias=bias, i_decay=i_decay, v_decay=v_decay,
                        vth_mant=vth_mant, input_shape=(len(weight[0]),))  # fmt: skip


def test_the_bound_by_hand():
    """Sums of 10 and 6 enter at most: integrators pass 35 in step 4 (40 > 35); with leak of a half v stays below 20."""
    weight = [[4, 6, -8], [-2, 2, 4]]
    assert silent_steps(layer_of(weight, 4096, 0, 35), 1) == 3
    assert silent_steps(layer_of(weight, 4096, 0, 35), 2) == 1
    assert silent_steps(layer_of(weight, 4096, 2048, 20), 1) == STEPS_LIMIT
    assert silent_steps(layer_of(weight, 4096, 2048, 19), 1) == 4  # 10, 15, 17.5, 18.75, 19.375 of 19
    assert silent_steps(layer_of(weight, 4096, 4096, 10), 1) == STEPS_LIMIT
    assert silent_steps(layer_of(weight, 4096, 4096, 10, np.array([1, 0])), 1) == 0
    # a sum of -4032 that never decays wraps to a large current where 64 * 4032 n reaches 2^23
    assert silent_steps(layer_of([[-252] * 16], 0, 4096, 131071), 1) == 2**23 // (64 * 4032)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([0, 100, 2048, 4096]), st.sampled_from([0, 70, 4096]))
def test_no_layer_fires_within_its_bound(seed, i_decay, v_decay):
    """The strongest input of each row, and random ones, in the reference."""
    rng = np.random.default_rng(seed)
    rows, columns, steps = 3, 4, 17
    weight = 2 * rng.integers(-127, 128, (rows, columns))
    bias = rng.integers(-50, 50, rows)
    layer = layer_of(weight.tolist(), i_decay, v_decay, int(rng.integers(1, 4000)), bias)
    bound = silent_steps(layer, 1, steps)
    frames = np.concatenate([np.repeat((weight > 0)[:, None], steps, axis=1), rng.random((5, steps, columns)) < 0.6])
    fired = simulate(IntegerNetwork(input_shape=(columns,), layers=(layer,)), frames.astype(np.uint8)).spikes
    assert not fired[:, :bound].any()
    assert bound == steps or fired[:rows, bound].any()  # and the bound is reached, where nothing wraps
