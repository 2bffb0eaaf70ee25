"""SLAYER's pool blocks, read as convolutions of each channel: equal to SLAYER's own loop over rows of all channels."""

import numpy as np
import pytest
from lava_dl_files import written_as_lava_dl

from spikeport.errors import UserError
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.formats.netx.write import read_netx, write_netx

NEURON = {"type": b"CUBA", "iDecay": 2500, "vDecay": 900, "vThMant": 60, "refDelay": 1, "gradedSpike": False}


def pool_file(path, shape, kernel, stride, padding=(0, 0), dilation=(1, 1), weight=44, out=None):
    kernels = np.full((1, 1, *kernel), weight, dtype=np.float32)
    out = (
        slayer_pool(np.zeros((1, *shape), int), kernels[0, 0], stride, padding, dilation).shape[1:]
        if out is None
        else out
    )
    pool = {"kernelSize": kernel, "stride": stride, "padding": padding, "dilation": dilation, "weight": kernels}
    return written_as_lava_dl(
        path, {"type": "input", "shape": shape}, {"type": "pool", "shape": out, "neuron": NEURON} | pool
    )


def slayer_pool(frames, kernel, stride, padding, dilation):
    """Sums of lava.lib.dl.slayer.synapse.Pool of 0.6.0 in a loop: zeros appended, channels and rows on one axis."""
    _, channels, height, width = frames.shape
    appended = height % kernel.shape[0], width % kernel.shape[1]
    merged = np.pad(frames, ((0, 0), (0, 0), (0, appended[0]), (0, appended[1])))
    merged = merged.reshape(len(frames), channels * (height + appended[0]), -1)
    merged = np.pad(merged, ((0, 0), (padding[0],) * 2, (padding[1],) * 2))
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel.shape, strict=True)]
    rows, columns = ((size - r) // s + 1 for size, r, s in zip(merged.shape[1:], reach, stride, strict=True))
    out = np.zeros((len(frames), rows, columns), dtype=np.int64)
    for y in range(rows):
        for x in range(columns):
            top, left = y * stride[0], x * stride[1]
            window = merged[:, top : top + reach[0] : dilation[0], left : left + reach[1] : dilation[1]]
            out[:, y, x] = (window * kernel.astype(np.int64)).sum(axis=(1, 2))
    return out.reshape(len(frames), channels, -1, columns)


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "padding", "dilation"),
    [
        ((3, 6, 8), (2, 2), (2, 2), (0, 0), (1, 1)),
        ((2, 5, 7), (2, 3), (2, 3), (0, 0), (1, 1)),  # a row and a column of zeros appended
        ((3, 4, 9), (4, 2), (4, 1), (0, 1), (1, 3)),
        ((130, 2, 4), (2, 4), (2, 4), (0, 0), (1, 1)),  # more channels than netx has groups
    ],
)
def test_a_pool_runs_as_slayer_runs_it(tmp_path, capsys, shape, kernel, stride, padding, dilation):
    network = read_netx(pool_file(tmp_path / "p.net", shape, kernel, stride, padding, dilation))
    assert "netx has no pool; it was read as a convolution" in capsys.readouterr().err
    rng = np.random.default_rng(3)
    frames = rng.integers(0, 2, (1, 9, *shape)).astype(np.uint8)
    sums = slayer_pool(frames[0].astype(np.int64), np.full(kernel, 44), stride, padding, dilation)
    u = v = np.zeros(sums.shape[1:], dtype=np.int64)
    expected = []
    for step in sums:
        u = ((u * (4096 - 2500)) >> 12) + 64 * step  # never negative
        v = ((v * (4096 - 900)) >> 12) + u
        expected.append(v > 64 * 60)
        v = np.where(expected[-1], 0, v)
    assert 0 < np.mean(expected) < 1
    np.testing.assert_array_equal(simulate(network, frames).spikes[0].reshape(np.shape(expected)), expected)
    write_netx(network, tmp_path / "again.net")
    assert read_netx(tmp_path / "again.net").layers[0].output_shape == sums.shape[1:]


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "padding"),
    [((2, 6, 6), (2, 2), (1, 2), (0, 0)), ((2, 6, 6), (2, 2), (2, 2), (1, 0)), ((3, 4, 6), (3, 3), (3, 3), (0, 0))],
)
def test_a_pool_whose_windows_mix_channels_is_refused(tmp_path, shape, kernel, stride, padding):
    file = pool_file(tmp_path / "p.net", shape, kernel, stride, padding, out=(2, 2, 2))
    with pytest.raises(
        UserError, match=r"layer 1: pools . rows by windows of .*so that windows mix channels. Hint: train"
    ):
        read_netx(file)
