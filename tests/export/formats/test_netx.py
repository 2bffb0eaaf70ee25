"""The .net file: what is written is what is read, and no trap of netx stays open."""

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import random_network

from spikeport.errors import UserError
from spikeport.export.formats.netx.rules import check_layer
from spikeport.export.formats.netx.write import read_netx, write_netx
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork


def layer(weight, **given):
    weight = np.asarray(weight)
    options = {
        "name": "fc",
        "kind": "dense",
        "bias": None,
        "i_decay": 4096,
        "v_decay": 512,
        "vth_mant": 64,
        "input_shape": (weight.shape[1],),
    }
    return IntegerLayer(weight=weight, **(options | given))


def convolution(**given):
    weight = 2 * np.arange(1, 1 + 4 * 1 * 2 * 3).reshape(4, 1, 2, 3)
    options = {
        "kind": "conv",
        "name": "conv",
        "input_shape": (2, 5, 7),
        "groups": 2,
        "stride": (1, 2),
        "padding": (1, 0),
    }
    return layer(weight, **(options | given))


@pytest.fixture
def file(tmp_path):
    """A .net file of a convolution and a dense layer, to be damaged."""
    conv = convolution(bias=np.array([1, -2, 3, -4]))
    fc = layer(
        2 * np.arange(-5, 5 * int(np.prod(conv.output_shape)) - 5).reshape(5, -1) % 200,
        input_shape=conv.output_shape,
    )
    write_netx(IntegerNetwork(input_shape=(2, 5, 7), layers=(conv, fc)), tmp_path / "a.net")
    return tmp_path / "a.net"


def damage(path, change):
    with h5py.File(path, "a") as handle:
        change(handle)


def replace(group, key, value):
    del group[key]
    group[key] = value


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_network_survives_the_file(tmp_path_factory, seed):
    network = random_network(np.random.default_rng(seed))
    path = tmp_path_factory.mktemp("net") / "n.net"
    write_netx(network, path)
    again = read_netx(path)
    assert again.input_shape == network.input_shape
    for ours, read in zip(network.layers, again.layers, strict=True):
        for key, value in vars(ours).items():
            np.testing.assert_array_equal(getattr(read, key), value, err_msg=key)


def test_the_file_is_laid_out_as_netx_reads_it(file):
    """Torch axis order in the file, a flatten before the dense layer, scalars as 32-bit integers, no floats."""
    with h5py.File(file) as handle:
        groups = handle["layer"]
        assert [groups[str(i)]["type"][0] for i in range(4)] == [b"input", b"conv", b"flatten", b"dense"]
        assert groups["1"]["weight"].shape == (4, 1, 2, 3)
        assert groups["1"]["shape"][()].tolist() == [4, 6, 3]
        assert groups["1"]["stride"][()].tolist() == [1, 2]
        assert "neuron" not in groups["0"]
        kinds = []
        handle.visititems(lambda _, item: kinds.append(item.dtype.kind) if isinstance(item, h5py.Dataset) else None)
        assert set(kinds) <= {"i", "S", "O"}


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        ([[0, 0], [0, 0]], "all are zero"),
        ([[-8, 0], [-2, -8]], "netx would run -8 as -[0-9]+, as it shifts them left by 5"),
        ([[-128, -4], [-6, -8]], "netx would run -128 as -126, as it shifts them left by 1"),
        ([[3, 256], [0, 1]], "256 is above 255"),
        ([[-256, -2], [-4, -6]], "-256 is below -255"),
        ([[-258, 2], [4, 6]], "-258 is outside"),
        ([[201, -2], [4, 6]], "some are odd"),
        ([[-129, 2], [4, 6]], "some are odd"),
        ([[256, -2], [4, 6]], "256 is outside"),
    ],
)
def test_weights_that_netx_would_corrupt_are_refused(weight, words):
    with pytest.raises(UserError, match=f"fc: weights cannot go to the chip: .*{words}"):
        check_layer(layer(weight))


@pytest.mark.parametrize(("key", "value"), [("weight", [[0.5, 2.0]]), ("bias", [1.25])])
def test_float_parameters_are_refused(key, value):
    given = {"weight": [[2, 4]], "bias": [1]} | {key: value}
    with pytest.raises(UserError, match=f"{key} holds values that are not integers: netx would truncate"):
        layer(given["weight"], bias=np.array(given["bias"]))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"bias": np.array([4096])}, "bias = 4096 is outside"),
        ({"bias": np.array([-4096])}, "bias = -4096 is outside"),
        ({"vth_mant": 0}, "vth_mant = 0 is outside"),
        ({"vth_mant": 131072}, "vth_mant = 131072 is outside"),
        ({"v_decay": 4097}, "v_decay = 4097 is outside"),
        ({"i_decay": -1}, "i_decay = -1 is outside"),
    ],
)
def test_parameters_beyond_their_bits_are_refused(given, words):
    with pytest.raises(UserError, match=words):
        layer([[2, 4]], **given)


def test_geometry_beyond_eight_bits_is_refused():
    weight = np.full((130, 1, 1, 1), 2)
    with pytest.raises(UserError, match="130 is above 127"):
        check_layer(layer(weight, kind="conv", groups=130, input_shape=(130, 2, 3)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda f: replace(f["layer/1"], "weight", f["layer/1/weight"][()] + 0.5),
            "layer 1: weight holds values that are not int",
        ),
        (lambda f: replace(f["layer/3"], "weight", f["layer/3/weight"][()] * 2), "layer 3.*is above 255"),
        (
            lambda f: f["layer/1"].create_dataset("delay", data=np.array([0, 2, 0, 0])),
            "netx ignores delays of convolutions",
        ),
        (lambda f: f["layer/3"].create_dataset("delay", data=[3, 4]), "layer 3: delay has shape .* does not fit"),
        (lambda f: f["layer/3"].create_dataset("delay", data=63), "layer 3: .*63 steps are outside"),
        (lambda f: replace(f["layer/1"], "type", b"pool"), r"layer 1: weight has shape .* not \(1, 1, kH, kW\)"),
        (lambda f: replace(f["layer/1"], "type", b"mystery"), "silently skip this layer"),
        (lambda f: replace(f["layer/3/neuron"], "type", b"ALIF"), "neuron type 'ALIF' is not supported"),
        (
            lambda f: replace(f["layer/3/neuron"], "type", b"SDNN"),
            "has sigma-delta neurons after cuba ones: netx resets",
        ),
        (lambda f: f["layer/1"].__delitem__("neuron"), "layer 1: has no neuron"),
        (lambda f: f["layer/0"].create_group("neuron"), "layer 0: has no type"),
        (
            lambda f: replace(f["layer/3/neuron"], "vDecay", np.array([3, 4])),
            r"vDecay has shape \(2,\), which netx cannot broadcast to \(5,\)",
        ),
        (lambda f: replace(f["layer/1"], "bias", np.full(4, 40000)), "bias = 40000 is outside"),
        (lambda f: replace(f["layer/1"], "shape", np.array([4, 3, 6, 2])), "its weights and geometry give"),
        (lambda f: f["layer"].__delitem__("1"), "layer/1 is missing"),
        (lambda f: f.__delitem__("layer"), "has no group `layer`"),
        (
            lambda f: replace(f["layer/1"], "groups", np.float64(np.nan)),
            "groups holds values that are not integers",
        ),
    ],
)
def test_files_that_netx_would_change_or_ignore_are_refused(file, change, words):
    damage(file, change)
    with pytest.raises(UserError, match=words) as raised:
        read_netx(file)
    assert str(file) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_no_hdf5_says_so(tmp_path):
    (tmp_path / "x.net").write_bytes(b"PK not a network")
    with pytest.raises(UserError, match=r"x.net: is not a readable HDF5 file"):
        read_netx(tmp_path / "x.net")
    with pytest.raises(UserError, match="no such file"):
        read_netx(tmp_path / "absent.net")


def test_a_failed_write_leaves_the_old_file(file, monkeypatch):
    before = file.read_bytes()
    monkeypatch.setattr(
        "spikeport.export.formats.netx.write.read_netx", lambda path: (_ for _ in ()).throw(KeyboardInterrupt())
    )
    network = IntegerNetwork(input_shape=(2,), layers=(layer([[2, 4]]),))
    with pytest.raises(KeyboardInterrupt):
        write_netx(network, file)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("name", ["oxford", "mnist_slayer"])
def test_networks_of_slayer_keep_their_meaning(shared_data, tmp_path, name):
    network = read_netx(shared_data / "netx" / f"{name}.net")
    write_netx(network, tmp_path / "again.net")
    for ours, read in zip(network.layers, read_netx(tmp_path / "again.net").layers, strict=True):
        np.testing.assert_array_equal(ours.weight, read.weight)
        assert (ours.i_decay, ours.v_decay, ours.vth_mant) == (read.i_decay, read.v_decay, read.vth_mant)
