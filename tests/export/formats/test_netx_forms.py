"""The .net file in all the forms that lava-dl runs: SLAYER's exports, delays, recurrence, values of each neuron."""

import math

import h5py
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from random_networks import random_network
from slayer_files import slayer_net

from spikeport.errors import UserError
from spikeport.export.formats.netx.rules import netx_weights
from spikeport.export.formats.netx.write import read_netx, write_netx
from spikeport.export.network.fixed_point import weight_fault
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.network.readout import Readout

NEURON = {"type": b"LOIHI", "iDecay": 1024, "vDecay": 200, "vThMant": 90, "refDelay": 1, "gradedSpike": False,
          "wgtExp": 0, "scaleRho": 1.0, "tauRho": 0.5, "theta": 1600}  # fmt: skip
ROWS, COLUMNS = 3, 4
WEIGHT = 2 * np.arange(-5, ROWS * COLUMNS - 5).reshape(ROWS, COLUMNS).astype(np.float32)


def net(tmp_path, *layers):
    return slayer_net(tmp_path / "s.net", *layers)


def dense(**fields):
    return {"type": "dense", "shape": np.array([ROWS]), "inFeatures": COLUMNS, "outFeatures": ROWS, "weight": WEIGHT,
            "neuron": NEURON} | fields  # fmt: skip


def conv(**fields):
    weight = 2 * np.arange(-7, 3 * 2 * 2 * 3 - 7).reshape(3, 2, 2, 3)
    return {"type": "conv", "shape": np.array([3, 5, 3]), "inChannels": 2, "outChannels": 3, "kernelSize": [2, 3],
            "stride": [1, 1], "padding": [1, 0], "dilation": [1, 1], "groups": 1, "weight": weight[..., None],
            "neuron": NEURON} | fields  # fmt: skip


IMAGE = {"type": "input", "shape": np.array([2, 4, 5])}


def equal_networks(first, second):
    assert (first.input_shape, first.input_message_bits) == (second.input_shape, second.input_message_bits)
    assert first.readout == second.readout
    assert len(first.layers) == len(second.layers)
    for ours, theirs in zip(first.layers, second.layers, strict=True):
        for key, value in vars(ours).items():
            if key == "bias":
                np.testing.assert_array_equal(theirs.bias_map, ours.bias_map)
            elif key == "delay":
                shape = ours.weight.shape
                mine, read = (np.broadcast_to(0 if d is None else d, shape) for d in (ours.delay, theirs.delay))
                np.testing.assert_array_equal(read, mine)
            else:
                np.testing.assert_array_equal(getattr(theirs, key), value, err_msg=key)


def effective_in_netx(matrices):
    """What acts in Lava, from the formulas of nir_to_netx.md 1.4 and lava.utils.weightutils, with Python integers."""
    values = [int(value) for matrix in matrices for value in matrix.reshape(-1)]
    low, high = min(values), max(values)
    if low >= 0:
        mixed, shift = 0, math.floor(math.log2(255 / high))
    elif high < 0:
        mixed, shift = 0, math.floor(math.log2(256 / -low))
    else:
        mixed, shift = 1, math.floor(math.log2(min(127 / high if high else math.inf, 128 / -low))) + 1
    even = next(n for n in range(8, -1, -1) if all(value % 2**n == 0 for value in values))
    bits = 8 - shift - (even - mixed)
    loaded = []
    for matrix in matrices:
        own = [int(value) * 2**shift for value in matrix.reshape(-1)]
        sign = 1 if min(own) >= 0 else -1 if max(own) <= 0 else 0
        lowest, cut = (-256, 8 - bits + 1) if sign == 0 else (0, 8 - bits)
        if cut < 0:  # odd weights below -128 beside a zero: NumPy shifts positive numbers by a negative count to 0
            loaded.append(np.zeros(matrix.shape, np.int64))
            continue
        acting = [min(max(value * (sign or 1), lowest), 255) // 2**cut * 2**cut * (sign or 1) for value in own]
        loaded.append(np.array([value // 2**shift for value in acting]).reshape(matrix.shape))
    return loaded


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_network_keeps_its_meaning_and_its_weights(tmp_path_factory, seed):
    network = random_network(np.random.default_rng(seed), rich=True)
    path = tmp_path_factory.mktemp("net") / "n.net"
    write_netx(network, path)
    read = read_netx(path)
    equal_networks(network, read)
    write_netx(read, path)
    equal_networks(network, read_netx(path))
    with h5py.File(path) as file:
        for group in file["layer"].values():
            if group["type"][0].startswith(b"dense"):
                matrices = [group[key][()] for key in ("weight", "weight_rec") if key in group]
                for ours, acting in zip(matrices, effective_in_netx(matrices), strict=True):
                    np.testing.assert_array_equal(acting, ours)


@settings(max_examples=300, deadline=None)
@given(
    low=st.integers(-255, 0), span=st.integers(0, 500), step=st.sampled_from([1, 2, 4]), seed=st.integers(0, 2**16),
    recurrent=st.booleans(),
)  # fmt: skip
@example(low=-129, span=153, step=1, seed=408, recurrent=False)
def test_what_netx_keeps_of_weights_is_foreseen(low, span, step, seed, recurrent):
    rng = np.random.default_rng(seed)
    shapes = [(2, 3), (2, 2)] if recurrent else [(2, 3)]
    matrices = [rng.integers(low // step, min(low + span, 254) // step + 1, shape) * step for shape in shapes]
    assume(not weight_fault(np.concatenate([matrix.ravel() for matrix in matrices])))
    acting, _ = netx_weights(*matrices)
    for ours, theirs in zip(acting, effective_in_netx(matrices), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", ["spikes", "membrane", "linear"])
@pytest.mark.parametrize("over_time", ["sum", "max", "last"])
def test_the_read_out_is_kept_where_netx_does_not_look(tmp_path, kind, over_time):
    host = (
        {"weight": np.array([[0.1, -2, 3e-7], [1, 2, 3]]), "bias": np.array([0.5, 1 / 3])} if kind == "linear" else {}
    )
    layer = IntegerLayer(name="größe 1", kind="dense", weight=WEIGHT, bias=None, i_decay=4096, v_decay=3,
                         vth_mant=131071, input_shape=(4,), scale=0.1)  # fmt: skip
    network = IntegerNetwork(input_shape=(4,), layers=(layer,), input_message_bits=5,
                             readout=Readout(kind=kind, over_time=over_time, **host))  # fmt: skip
    write_netx(network, tmp_path / "n.net")
    equal_networks(network, read_netx(tmp_path / "n.net"))
    with h5py.File(tmp_path / "n.net") as file:
        assert set(file["layer"]) == {"0", "1"}  # netx counts the members of this group


@pytest.mark.parametrize(
    ("fields", "weight"),
    [({"weight": 100}, 100), ({"weight": np.array([[36.0]]), "bias": np.array([34.0])}, 36), ({}, 64)],
)
def test_input_neurons_of_slayer(tmp_path, fields, weight):
    """As tiny.net and pilotnet have them; weight 64 and bias 0 where they are left out."""
    file = net(tmp_path, IMAGE | {"neuron": NEURON} | fields, conv(), {"type": "flatten", "shape": [45]},
               dense(weight=np.full((3, 45), 2)))  # fmt: skip
    layer, *rest = read_netx(file).layers
    assert (layer.kind, layer.weight.tolist(), layer.output_shape) == ("input", [weight], (2, 4, 5))
    assert np.unique(layer.bias_map).tolist() == [34 if "bias" in fields else 0]
    assert (layer.i_decay, layer.v_decay, layer.vth_mant) == (1024, 200, 90)
    assert [each.kind for each in rest] == ["conv", "dense"]
    write_netx(read_netx(file), tmp_path / "again.net")
    equal_networks(read_netx(file), read_netx(tmp_path / "again.net"))


@pytest.mark.parametrize(("i_decay", "noted"), [(1024, True), (4096, False)])
def test_a_current_in_an_input_layer_is_noted(tmp_path, capsys, i_decay, noted):
    """SLAYER's current_decay 0.25 gave 64 spikes in SLAYER and 30 in netx; with 1 both agree."""
    file = net(tmp_path, IMAGE | {"neuron": NEURON | {"iDecay": i_decay}}, {"type": "flatten", "shape": [40]},
               dense(weight=np.full((3, 40), 2)))  # fmt: skip
    read_netx(file)
    assert ("a network of SLAYER fires other spikes here" in capsys.readouterr().err) == noted


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"weight": WEIGHT.reshape(-1)},
        {"weight": WEIGHT.reshape(ROWS, COLUMNS, 1, 1, 1)},
        {"shape": np.array([ROWS, 1, 1])},
        {"shape": np.array([1, 1, ROWS])},
        {"delay": 0},
        {"delay": np.zeros(ROWS)},
        {"neuron": NEURON | {"iDecay": np.full(ROWS, 1024), "vThMant": np.array([90.0])}},
        {"neuron": NEURON | {"vDecay": np.array([[200] * ROWS])}},
    ],
)
def test_dense_layers_in_all_their_forms(tmp_path, fields):
    layer = read_netx(net(tmp_path, dense(**fields))).layers[0]
    np.testing.assert_array_equal(layer.weight, WEIGHT)
    assert (layer.i_decay, layer.v_decay, layer.vth_mant, layer.delay) == (1024, 200, 90, None)


@pytest.mark.parametrize(
    ("shape", "delay", "meant"),
    [
        ((3, 4), 7, [[7] * 4] * 3),
        ((3, 4), [7], [[7] * 4] * 3),
        ((3, 4), [1.0, 2.0, 3.0], [[1] * 4, [2] * 4, [3] * 4]),
        ((3, 4), [1, 2, 3, 4], [[1, 2, 3, 4]] * 3),
        ((3, 3), [1, 2, 3], [[1] * 3, [2] * 3, [3] * 3]),  # rows win where the matrix is square
        ((2, 3), [[1, 2, 3], [4, 5, 62]], [[1, 2, 3], [4, 5, 62]]),
        ((3, 3), [[1, 2, 3]] * 3, [[1, 2, 3]] * 3),
    ],
)
def test_delays_in_all_their_forms(tmp_path, shape, delay, meant):
    weight = 2 * np.arange(1, 1 + math.prod(shape)).reshape(shape)
    file = net(tmp_path, dense(shape=[shape[0]], weight=weight, delay=np.array(delay)))
    for _ in range(2):
        network = read_netx(file)
        np.testing.assert_array_equal(np.broadcast_to(network.layers[0].delay, shape), meant)
        file = tmp_path / "again.net"
        write_netx(network, file)


def test_recurrence_with_one_exponent_and_delays_for_both(tmp_path):
    weight, weight_rec = np.array([[254.0, -8], [4, 6]]), np.array([[2, 0], [-6, 10]])
    fields = dense(type="dense_rec", shape=[2], weight=weight, weight_rec=weight_rec, delay=np.array([3, 0]))
    layer = read_netx(net(tmp_path, fields)).layers[0]
    np.testing.assert_array_equal(layer.weight_rec, weight_rec)
    np.testing.assert_array_equal(layer.delay, [[3], [0]])
    with pytest.raises(UserError, match="netx would run -8 as -32, as it forgets the exponent"):
        read_netx(net(tmp_path, fields | {"weight": np.array([[6, -8], [60, 2]])}))
    with pytest.raises(UserError, match="3 inputs for 2 neurons: netx takes one delay for both"):
        read_netx(net(tmp_path, fields | {"weight": np.array([[254, -8, 2], [60, 2, 4]])}))


@pytest.mark.parametrize("key", ["bias", "iDecay", "vDecay", "vThMant"])
def test_values_of_each_neuron_stand_in_the_order_w_h_c(tmp_path, key):
    """netx reverses shapes and kernels, but hands these on to (W, H, C) neurons; equal in Lava (lava_equality)."""
    meant = np.random.default_rng(2).integers(1, 99, (3, 5, 3))  # C, H, W
    loaded = meant.transpose(2, 1, 0)
    channel = meant[:, 0, 0]
    for values, expected in ((loaded, meant), (channel, np.broadcast_to(channel[:, None, None], meant.shape))):
        fields = {"bias": values} if key == "bias" else {"neuron": NEURON | {key: values}}
        layer = read_netx(net(tmp_path, IMAGE, conv(**fields))).layers[0]
        name = {"iDecay": "i_decay", "vDecay": "v_decay", "vThMant": "vth_mant"}.get(key, "bias_map")
        np.testing.assert_array_equal(getattr(layer, name), expected)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        (
            [IMAGE, conv(delay=np.zeros(3)), dense(weight=np.full((3, 45), 2))],
            r"layer 2: gets \(3, 5, 3\) without a fl",
        ),
        ([dense(), {"type": "flatten"}, dense(weight=WEIGHT[:, :3])], "layer 2: a flatten stands before it"),
        ([dense(), IMAGE], "layer 1: an input layer comes after"),
        ([IMAGE | {"weight": 64}], "layer 0: has a weight and no neuron: netx ignores it"),
        ([IMAGE, conv(bias=np.zeros((3, 2, 1)))], r"bias has shape \(3, 2, 1\), which netx cannot broadcast"),
        ([IMAGE, conv(shape=[3, 3, 5])], r"states shape \(3, 3, 5\), but its weights and geometry give \(3, 5, 3\)"),
        ([IMAGE, conv(delay=np.array([0, 1, 0]))], "sets delay: netx ignores delays of convolutions"),
        ([IMAGE, {key: value for key, value in conv().items() if key != "groups"}], "has no numeric groups"),
        ([conv()], "does not state its input shape"),
        ([dense(weight_rec=WEIGHT[:, :3])], "its type is dense: netx would ignore them"),
        ([dense(weight={"real": WEIGHT, "imag": WEIGHT})], "complex weights"),
        ([dense(neuron=NEURON | {"messageBits": 8})], "sets messageBits: netx stops"),
        ([dense(neuron=NEURON | {"refDelay": 2})], "sets refDelay: netx has no refractory period"),
        ([dense(neuron=NEURON | {"gradedSpike": True})], "sets gradedSpike"),
        ([dense(neuron=NEURON | {"wgtExp": 2})], "sets wgtExp: netx ignores it"),
        ([dense(neuron=NEURON | {"weight_exp": 1})], "sets weight_exp"),
        (
            [dense(neuron=NEURON | {"type": b"RF_PHASE"})],
            "'RF_PHASE' is not supported. Hint: run it in lava-dl's netx itself",
        ),
        (
            [dense(neuron=NEURON | {"type": b"ADRF_IZ"})],
            "'ADRF_IZ' is not supported. Hint: netx would run it as a pl",
        ),
        ([dense(neuron=NEURON | {"vThMant": [90, 90, (1 << 18) - 1]})], "vth_mant = 262143 is outside"),
        ([dense(weight=-2 * np.array([[1, 1, 0, 1]] * 3))], "netx would run -2 as"),
        ([dense(delay=np.array([0, 1, 1, 0, 2]))], "delay has shape"),
        ([dense(delay=63)], "63 steps"),
        ([dense(delay=np.array([1, 0.5, 2]))], "delay holds values that are not integers"),
        ([dense(), {"type": "average", "shape": [3]}], "'average' cannot run.*count spikes"),
    ],
)
def test_what_netx_would_skip_or_change_is_refused_by_name(tmp_path, layers, words):
    with pytest.raises(UserError, match=words):
        read_netx(net(tmp_path, *layers))


def test_a_flatten_waits_for_the_next_dense_layer(tmp_path):
    """As in netx, which remembers it."""
    network = read_netx(net(tmp_path, IMAGE, {"type": "flatten"}, conv(), dense(weight=np.full((3, 45), 2))))
    assert [layer.output_shape for layer in network.layers] == [(3, 5, 3), (3,)]


@pytest.mark.parametrize("name", ["oxford", "mnist_slayer"])
def test_networks_of_others_keep_their_meaning(shared_data, tmp_path, name):
    network = read_netx(shared_data / "netx" / f"{name}.net")
    write_netx(network, tmp_path / "again.net")
    equal_networks(network, read_netx(tmp_path / "again.net"))
