"""The ANN of the same shape: onnxruntime equals torch's layers with ReLU, and its MACs are those of the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import torch
from known_networks import conv_network

from spikeport.export.formats.matching_ann import write_matching_ann
from spikeport.export.network.connectivity import dense_ops
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.pipeline.profiling.macs import count_macs


def run(path: Path, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"images": images.astype(np.float32)})[0]


def test_one_pass_with_relu(tmp_path: Path) -> None:
    """Stride 2x1, padding 1x0, then a dense layer whose sums stay as they are; 3 images of small whole numbers, so that
    float32 is exact."""
    network = conv_network()
    assert write_matching_ann(network, tmp_path / "ann.onnx") == ()
    images = np.random.default_rng(1).integers(0, 3, (3, *network.input_shape))
    conv, dense = network.layers
    hidden = torch.nn.functional.conv2d(
        torch.tensor(images, dtype=torch.float64), torch.tensor(conv.weight).double(), stride=(2, 1), padding=(1, 0)
    )
    expected = hidden.relu().flatten(1) @ torch.tensor(dense.weight).double().T
    assert hidden.min() < 0 < hidden.max()  # so that ReLU matters
    assert np.array_equal(run(tmp_path / "ann.onnx", images), expected.numpy())
    # Products that meet an input value: the convolution of ones by ones counts them for every output.
    ones = torch.nn.functional.conv2d(
        torch.ones(1, *network.input_shape), torch.ones(conv.weight.shape), stride=(2, 1), padding=(1, 0)
    )
    macs = count_macs(tmp_path / "ann.onnx").total
    assert macs == int(ones.sum()) + 4 * conv.neurons == sum(map(dense_ops, network.layers))
    assert macs < 3 * 2 * 3 * 2 * int(np.prod(conv.output_shape[1:])) + 4 * conv.neurons  # with padding


def test_groups_and_dilation(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    layer = IntegerLayer(
        name="conv",
        kind="conv",
        weight=2 * rng.integers(-9, 9, (6, 2, 3, 2)),
        bias=None,
        i_decay=4096,
        v_decay=0,
        vth_mant=9,
        input_shape=(4, 9, 7),
        groups=2,
        dilation=(2, 1),
    )
    write_matching_ann(IntegerNetwork(input_shape=(4, 9, 7), layers=(layer,)), tmp_path / "ann.onnx")
    images = rng.integers(0, 2, (2, 4, 9, 7))
    expected = torch.nn.functional.conv2d(
        torch.tensor(images).double(), torch.tensor(layer.weight).double(), groups=2, dilation=(2, 1)
    )
    assert np.array_equal(run(tmp_path / "ann.onnx", images), expected.flatten(1).numpy())


def test_what_one_pass_leaves_out_is_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    layer = IntegerLayer(
        name="recurrent",
        kind="dense",
        weight=2 * rng.integers(-9, 9, (5, 3)),
        weight_rec=2 * rng.integers(-9, 9, (5, 5)),
        bias=None,
        i_decay=4096,
        v_decay=0,
        vth_mant=9,
        input_shape=(3,),
    )
    network = IntegerNetwork(input_shape=(3,), layers=(layer,))
    assert write_matching_ann(network, tmp_path / "ann.onnx") == ("recurrent weights",)
    image = np.array([[1, 2, 3]])
    assert np.array_equal(run(tmp_path / "ann.onnx", image), image @ layer.weight.T)
