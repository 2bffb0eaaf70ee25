"""Networks and spikes that come with lava-dl's own tests: real .net files, and what Intel recorded of them."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from spikeport.export.backends.lava import environment
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.formats.netx.read import read_netx
from spikeport.pipeline.stages.net_changes import changed_net

pytestmark = pytest.mark.lava
MNIST = Path(__file__).parents[4] / "shared/data/MNIST/raw"


@pytest.fixture
def recorded() -> Path:
    """The folder of lava-dl's tests of netx in Lava's own environment."""
    found = Path(environment.interpreter()).parents[1].glob("lib/python3*/site-packages/tests/lava/lib/dl/netx")
    folder = next(found, None)
    if folder is None or not (folder / "gts").is_dir():
        pytest.skip("this lava-dl was installed without its tests")
    return folder


def scaled(path: Path):
    return changed_net(read_netx(path), readout=None, message_bits=0, scaled_frames=True, where="")


def test_tiny_net_gives_the_recorded_spikes_of_every_layer(recorded: Path) -> None:
    """An input layer, whose record begins one step late, and two convolutions; the recorded input is its drive."""
    network = scaled(recorded / "tiny.net")
    drive = np.load(recorded / "gts/tinynet/input_bias.npy").T.astype(np.uint8)  # (W, H, C) in the file
    trace = simulate(network, np.repeat(drive[None, None], 16, axis=1), keep_layers=True)
    assert trace.layer_spikes is not None
    for name, spikes in zip(("input", "layer1", "output"), trace.layer_spikes, strict=True):
        truth = np.load(recorded / f"gts/tinynet/{name}.npy")[0].transpose(3, 0, 1, 2)
        assert truth.sum() > 50
        np.testing.assert_array_equal(spikes[0][:-1].reshape(15, *truth.shape[1:]), truth[1:])


def test_ntidigits_gives_the_recorded_spikes(recorded: Path, tmp_path: Path) -> None:
    """Three trained layers with delays, 3,000 steps of a real recording. netx cannot load its last layer, `average`."""
    shutil.copyfile(recorded / "gts/ntidigits/ntidigits.net", tmp_path / "n.net")
    with h5py.File(tmp_path / "n.net", "a") as file:
        del file["layer/5"]
    frames = np.load(recorded / "gts/ntidigits/input.npy").T[None].astype(np.uint8)
    truth = np.load(recorded / "gts/ntidigits/output.npy").T
    spikes = simulate(read_netx(tmp_path / "n.net"), frames).spikes[0]
    assert truth.sum() > 20_000
    np.testing.assert_array_equal(spikes[:-4], truth[4:])  # three layers, and a step of SLAYER's own


def test_bootstrap_mnist_classifies_digits_by_its_last_layer(recorded: Path) -> None:
    """lava-dl's tutorial feeds 76 x + 64 for x from -1 to 1, and its last layer has no neurons."""
    if not MNIST.is_dir():
        pytest.skip(f"no MNIST in {MNIST}")
    network = scaled(recorded / "mnist.net")
    images = np.frombuffer(gzip.decompress((MNIST / "t10k-images-idx3-ubyte.gz").read_bytes())[16:], np.uint8)
    labels = np.frombuffer(gzip.decompress((MNIST / "t10k-labels-idx1-ubyte.gz").read_bytes())[8:], np.uint8)[:100]
    x = images.reshape(-1, 784)[:100] / 127.5 - 1
    drive = np.clip(np.round(76 * x + 64), 0, 255).astype(np.uint8)
    trace = simulate(network, np.repeat(drive[:, None], 16, axis=1))
    assert np.mean(network.readout.classes(trace.spikes, trace.membrane) == labels) >= 0.95
