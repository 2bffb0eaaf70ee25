"""Any network of snnTorch style becomes a graph that fires the network's own spikes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from live_modules import DT, leaky, settled
from nir_oracle import run_nir
from torch import nn
from written_networks import ByHand, OverTime, Residual

from spikeport.errors import UserError
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.frontends.convert import convert
from spikeport.export.lowering.branches.one_chain import one_chain
from spikeport.export.quantization.quantize import quantize


def frames_of(seed: int, *shape: int) -> np.ndarray:
    return (np.random.default_rng(seed).random(shape) < 0.4).astype(np.uint8)


def test_a_network_that_loops_over_a_recording() -> None:
    net, frames = settled(OverTime(), 3), frames_of(1, 12, 2, 6, 8)
    with torch.no_grad():
        expected = net(torch.tensor(frames, dtype=torch.float32)[:, None])[:, 0].numpy()
    assert 0 < expected.sum() < expected.size
    graph = convert(net, (2, 6, 8), DT)
    np.testing.assert_array_equal(run_nir(graph.nir_graph, DT, frames), expected)
    assert any("a recording" in note for note in graph.notes)


def test_a_network_with_membranes_by_hand() -> None:
    """Its static input is a frame that repeats."""
    net, frame = settled(ByHand(steps=9), 5), frames_of(4, 6)
    with torch.no_grad():
        expected = net(torch.tensor(frame, dtype=torch.float32)[None])[0][:, 0].numpy()
    assert 0 < expected.sum() < expected.size
    graph = convert(net, (6,), DT)
    np.testing.assert_array_equal(run_nir(graph.nir_graph, DT, np.repeat(frame[None], 9, axis=0)), expected)


def test_a_network_with_a_shortcut_goes_to_integers() -> None:
    net, frames = settled(Residual(), 7), frames_of(6, 12, 2, 6, 8)
    net.lif1.beta, net.lif2.beta = torch.tensor(0.0), torch.tensor(0.0)
    net.lif1.reset_mem(), net.lif2.reset_mem()
    with torch.no_grad():
        expected = np.stack([net(torch.tensor(frame, dtype=torch.float32)[None])[0][0].numpy() for frame in frames])
    assert 0 < expected.sum() < expected.size
    scales = {"conv1": 64.0, "conv2": 64.0, "short": 64.0}
    graph = convert(net, (2, 6, 8), DT, scales=scales)
    np.testing.assert_array_equal(run_nir(one_chain(graph).nir_graph, DT, frames), expected)
    network, _ = quantize(graph)
    assert np.array_equal(simulate(network, frames[None]).spikes[0], expected.reshape(len(frames), -1))


class Adaptive(nn.Module):
    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.conv, self.cell, self.pool = nn.Conv2d(2, 3, 3, padding=1), leaky(4096, 3.0), nn.AdaptiveMaxPool2d(size)

    def forward(self, x):
        spikes, _ = self.cell(self.conv(x), torch.zeros(1))
        return self.pool(spikes)


def test_an_adaptive_pool_is_fixed_by_the_input() -> None:
    net, frames = settled(Adaptive((3, 2)), 8), frames_of(9, 5, 2, 6, 8)
    with torch.no_grad():
        expected = np.stack([net(torch.tensor(frame, dtype=torch.float32)[None])[0].numpy() for frame in frames])
    assert 0 < expected.sum() < expected.size
    np.testing.assert_array_equal(run_nir(convert(net, (2, 6, 8), DT).nir_graph, DT, frames), expected)
    with pytest.raises(UserError, match="pool: AdaptiveMaxPool2d makes 4 places of 6: its windows differ in size"):
        convert(settled(Adaptive((4, 2)), 8), (2, 6, 8), DT)


def test_all_obstacles_of_a_traced_network_come_at_once() -> None:
    class Many(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv2d(2, 3, 3), nn.Linear(3 * 2 * 3, 4)
            self.lif1 = leaky(100, 1.0, init_hidden=True, reset_mechanism="subtract")
            self.lif2 = leaky(100, 1.0, init_hidden=True, reset_mechanism="subtract")

        def forward(self, x):
            x = self.lif1(nn.functional.max_pool2d(self.conv(x), 2))
            return self.lif2(torch.relu(self.fc(x.flatten(1))))

    with pytest.raises(UserError) as refusal:
        convert(Many(), (2, 6, 8), DT)
    text = str(refusal.value)
    assert text.startswith("4 things keep this graph from netx: (1) conv.max_pool2d: MaxPool2d takes the maximum")
    for part in ("lif1: Leaky resets by 'subtract'", "fc.relu: ", "lif2: Leaky resets by 'subtract'"):
        assert part in text


def test_a_sequential_of_own_blocks_is_traced() -> None:
    """A block with a forward of its own inside an nn.Sequential, as ResNets are written."""
    net = settled(nn.Sequential(Residual(), nn.Flatten(), nn.Linear(3 * 3 * 4, 2), leaky(0, 1.0, init_hidden=True)), 2)
    net[0].lif2.output = False
    graph = convert(net, (2, 6, 8), DT)
    assert {name.split(".")[0] for name in graph.nir_graph.nodes} >= {"0", "1", "2", "3"}
    assert len([edge for edge in graph.nir_graph.edges if edge[1] == "0.lif2"]) == 2


def test_a_membrane_that_is_returned_is_noted() -> None:
    class Membrane(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif = nn.Linear(4, 3), leaky(0, 1.0)

        def forward(self, x):
            _, mem = self.lif(self.fc(x), torch.zeros(1, 3))
            return mem

    graph = convert(Membrane(), (4,), DT)
    assert any("returns the membrane of lif, which fires: its spikes are read" in note for note in graph.notes)


class TwoPlaces(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.lif = nn.Linear(4, 4), leaky(2048, 0.5)

    def forward(self, recording):
        membrane, out = self.lif.init_leaky(), []
        for frame in recording:
            spikes, membrane = self.lif(self.fc(frame), membrane)
            spikes, membrane = self.lif(spikes, membrane)
            out.append(spikes)
        return torch.stack(out)


def test_a_neuron_at_two_places_of_a_loop_is_refused() -> None:
    """Its second call in a step is no later step of the first place."""
    with pytest.raises(UserError, match=r"^lif: takes what fc gives, and what lif gives"):
        convert(TwoPlaces(), (4,), DT)
