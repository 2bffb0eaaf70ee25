"""Networks over one axis, and average pools in all their settings, as torch runs them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from live_modules import DT, leaky, settled
from nir_oracle import run_nir
from torch import Tensor, nn
from torch.nn import functional

from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.frontends.convert import convert
from spikeport.export.frontends.from_snntorch import to_spiking_graph
from spikeport.export.quantization.quantize import quantize

GRID, STEPS = 64.0, 13


class Waves(nn.Module):
    """Convolutions, pools by modules and functions, a norm, and neurons with a threshold for each channel."""

    def __init__(self, norm: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(2, 3, 5, stride=2, padding=2)
        self.norm = nn.BatchNorm1d(3) if norm else nn.Identity()
        self.lif1 = leaky(0, 1.0, init_hidden=True)
        self.pool, self.conv2 = nn.MaxPool1d(3, stride=1, padding=1), nn.Conv1d(3, 4, 3, dilation=2, bias=False)
        self.lif2, self.fc = leaky(4096, 0.75, init_hidden=True), nn.Linear(4 * 3, 5)
        self.lif3 = leaky(0, 1.25, init_hidden=True)

    def forward(self, x: Tensor) -> Tensor:
        spikes = self.lif2(self.conv2(self.pool(self.lif1(self.norm(self.conv1(x))))))
        return self.lif3(self.fc(functional.max_pool1d(spikes, 2).flatten(1)))


def live(net: nn.Module, frames: np.ndarray) -> np.ndarray:
    for module in net.modules():
        if hasattr(module, "reset_mem"):
            module.reset_mem()
    with torch.no_grad():
        return np.array([net(torch.tensor(frame, dtype=torch.float32)[None])[0].numpy() for frame in frames])


@pytest.mark.parametrize("norm", [True, False])
def test_signals_of_one_axis_are_maps_of_height_one(norm: bool) -> None:
    net = settled(Waves(norm), 5)
    net.lif1.threshold = torch.tensor([[1.0], [0.75], [1.25]]) if norm else net.lif1.threshold
    frames = (np.random.default_rng(1).random((STEPS, 2, 20)) < 0.4).astype(np.uint8)
    expected = live(net, frames)
    assert 0 < expected.mean() < 1
    scales = None if norm else dict.fromkeys(("conv1", "conv2", "fc"), GRID)
    graph = convert(net, (2, 20), DT, scales=scales)
    assert graph.input_shape == (2, 1, 20)
    np.testing.assert_array_equal(run_nir(graph.nir_graph, DT, frames[:, :, None]), expected)
    if not norm:
        network, _ = quantize(graph)
        np.testing.assert_array_equal(simulate(network, frames[None, :, :, None]).spikes[0], expected)


POOLS = [
    nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False),
    nn.AvgPool2d((2, 3), stride=(2, 2), padding=(1, 1), count_include_pad=False),
    nn.AvgPool2d((2, 3), padding=(1, 0)),
    nn.AvgPool2d(2, divisor_override=3),
    nn.AvgPool2d((1, 2), ceil_mode=True),  # the windows divide the map
    nn.AvgPool2d(3, stride=1, padding=1, divisor_override=1),
]


@pytest.mark.parametrize("number", range(len(POOLS)))
def test_an_average_pool_gives_the_values_of_torch(number: int) -> None:
    """Its nodes alone, on currents; products and quotients of small integers, to the last bits of float64."""
    frames = np.random.default_rng(number).integers(-9, 9, (4, 2, 6, 8)).astype(np.float64)
    graph = to_spiking_graph([("pool", POOLS[number])], (2, 6, 8), DT)
    expected = POOLS[number](torch.tensor(frames)).numpy()
    np.testing.assert_allclose(run_nir(graph.nir_graph, DT, frames), expected, rtol=1e-14, atol=1e-14)


def test_an_average_pool_of_one_axis() -> None:
    pool = nn.AvgPool1d(3, stride=2, padding=1, count_include_pad=False)
    frames = np.random.default_rng(1).integers(-9, 9, (4, 2, 9)).astype(np.float64)
    graph = to_spiking_graph([("pool", pool)], (2, 9), DT)
    np.testing.assert_allclose(
        run_nir(graph.nir_graph, DT, frames[:, :, None])[:, :, 0], pool(torch.tensor(frames)).numpy(), rtol=1e-14
    )


class Adaptive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pool, self.fc, self.lif = nn.AdaptiveAvgPool1d(4), nn.Linear(8, 3), leaky(0, 0.5, init_hidden=True)

    def forward(self, x: Tensor) -> Tensor:
        same = functional.adaptive_avg_pool1d(functional.avg_pool1d(x, 2), 4)
        return self.lif(self.fc((self.pool(x) + same).flatten(1)))


def test_adaptive_and_functional_average_pools_of_one_axis() -> None:
    net = settled(Adaptive(), 2)
    frames = (np.random.default_rng(1).random((STEPS, 2, 16)) < 0.4).astype(np.uint8)
    expected = live(net, frames)
    assert 0 < expected.mean() < 1
    graph = convert(net, (2, 16), DT)
    np.testing.assert_array_equal(run_nir(graph.nir_graph, DT, frames[:, :, None]), expected)
