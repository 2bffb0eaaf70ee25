"""Concatenated signals, several inputs and several outputs of networks as people write them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from live_modules import DT, leaky, settled
from nir_oracle import run_nodes
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.export.backends.compare_backends import compare_backends
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.frontends.convert import convert, modules_of
from spikeport.export.graph.structure import is_chain
from spikeport.export.quantization.quantize import quantize
from spikeport.pipeline.adaptation.module_network import ModuleNetwork

GRID = 64.0


def spiking(taken: int = 0, threshold: float = 1.0) -> nn.Module:
    return leaky(taken, threshold, init_hidden=True)


class DenseSkips(nn.Module):
    """Each block reads all spikes before it, also the input; pool and flatten act on concatenated spikes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.lif1 = nn.Conv2d(2, 3, 3, padding=1), spiking(0, 1.25)
        self.conv2, self.lif2 = nn.Conv2d(5, 4, (1, 3), padding=(0, 1)), spiking(4096, 0.75)
        self.pool, self.fc, self.lif3 = nn.MaxPool2d(2), nn.Linear(7 * 3 * 4, 5), spiking(0, 2.0)

    def forward(self, x: Tensor) -> Tensor:
        one = self.lif1(self.conv1(x))
        two = self.lif2(self.conv2(torch.cat([one, x], dim=1)))
        return self.lif3(self.fc(self.pool(torch.cat((two, one), 1)).flatten(1)))


class Inception(nn.Module):
    """Currents of two kernels under one norm and one layer of neurons, grouped weights behind them."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Conv2d(2, 2, 3, padding=1, bias=False), nn.Conv2d(2, 4, 1)
        self.norm, self.lif1 = nn.BatchNorm2d(6), spiking(2048, 0.5)
        self.lif1.threshold = torch.linspace(0.4, 1.1, 6)[:, None, None]
        self.conv, self.lif2 = nn.Conv2d(6, 4, 2, groups=2), spiking(1024, 0.7)

    def forward(self, x: Tensor) -> Tensor:
        return self.lif2(self.conv(self.lif1(self.norm(torch.cat([self.wide(x), self.narrow(x)], dim=-3)))))


class TwoSensors(nn.Module):
    """Maps of one size, side by side along the channels; two outputs of different kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.lif1 = nn.Conv2d(2, 3, 3, padding=1), spiking(4096, 0.875)
        self.conv2, self.lif2 = nn.Conv2d(1, 2, 1), spiking(4096, 0.5)
        self.fc, self.lif3 = nn.Linear(5 * 6 * 8, 4), spiking(0, 2.0)

    def forward(self, camera: Tensor, radar: Tensor) -> tuple[Tensor, Tensor]:
        seen, heard = self.lif1(self.conv1(camera)), self.lif2(self.conv2(radar))
        return self.lif3(self.fc(torch.cat([seen, heard], 1).flatten(1))), heard


class SameTwice(nn.Module):
    """One signal in two places, and a sum of concatenations."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1, self.fc2, self.lif2 = nn.Linear(6, 4), spiking(0, 0.75), nn.Linear(6, 4), spiking(0, 1.1)
        self.fc3, self.lif3 = nn.Linear(8, 3), spiking(0, 1.5)

    def forward(self, x: Tensor) -> Tensor:
        one, two = self.lif1(self.fc1(x)), self.lif2(self.fc2(x))
        return self.lif3(self.fc3(torch.cat([one, one], 1) + torch.cat([two, one], 1)))


NETWORKS = {
    "dense skips": (DenseSkips, [(2, 6, 8)], True),
    "inception": (Inception, [(2, 6, 8)], False),
    "two sensors": (TwoSensors, [(2, 6, 8), (1, 6, 8)], True),
}


def frames_of(shapes, steps: int, seed: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [(rng.random((steps, *shape)) < 0.4).astype(np.uint8) for shape in shapes]


def live_outputs(net: nn.Module, frames: list[np.ndarray]) -> list[np.ndarray]:
    """Each output `[T, K]` of the network itself, step by step."""
    for module in net.modules():
        if hasattr(module, "reset_mem"):
            module.reset_mem()
    found = []
    with torch.no_grad():
        for step in zip(*frames, strict=True):
            result = net(*(torch.tensor(frame, dtype=torch.float32)[None] for frame in step))
            found.append([each.numpy().ravel() for each in (result if isinstance(result, tuple) else (result,))])
    return [np.array(each) for each in zip(*found, strict=True)]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_graph_fires_the_spikes_of_the_network(name: str) -> None:
    make, shapes, on_integers = NETWORKS[name]
    net, frames = settled(make(), 7), frames_of(shapes, 14)
    expected = live_outputs(net, frames)
    assert all(0 < each.mean() < 1 for each in expected)
    weights = {key: GRID for key, module in net.named_modules() if isinstance(module, (nn.Linear, nn.Conv2d))}
    graph = convert(net, shapes if len(shapes) > 1 else shapes[0], DT, scales=weights if on_integers else None)
    entries = [key for key, node in graph.nir_graph.nodes.items() if type(node).__name__ == "Input"]
    leaves = [key for key, node in graph.nir_graph.nodes.items() if type(node).__name__ == "Output"]
    found = run_nodes(graph.nir_graph, DT, dict(zip(entries, frames, strict=True)))
    for leave, each in zip(leaves, expected, strict=True):
        np.testing.assert_array_equal(found[leave].reshape(len(each), -1), each)
    if not on_integers:
        return
    network, _ = quantize(graph)
    spikes = simulate(network, np.concatenate(frames, axis=1)[None]).spikes[0]
    np.testing.assert_array_equal(spikes, np.concatenate(expected, axis=1))


@pytest.mark.lava
@pytest.mark.xdist_group("lava")
def test_lava_fires_the_spikes_of_dense_skips() -> None:
    net, frames = settled(DenseSkips(), 3), frames_of([(2, 6, 8)], 14)
    weights = {key: GRID for key, module in net.named_modules() if isinstance(module, (nn.Linear, nn.Conv2d))}
    network, _ = quantize(convert(net, (2, 6, 8), DT, scales=weights))
    found = compare_backends(network, frames[0][None], ("reference", "lava"))
    assert found.comparison.mismatches == 0
    np.testing.assert_array_equal(found.trace.spikes[0], live_outputs(net, frames)[0])


def test_one_signal_in_two_places_is_refused_where_it_is_added_to_itself() -> None:
    with pytest.raises(UserError, match="fc3: adds lif1 to itself"):
        convert(settled(SameTwice(), 1), (6,), DT)


def test_concatenated_outputs_follow_each_other() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.lif1, self.fc2, self.lif2 = nn.Linear(5, 4), spiking(), nn.Linear(5, 3), spiking(0, 1.1875)

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([self.lif2(self.fc2(x)), self.lif1(self.fc1(x))], dim=1)

    net, frames = settled(Both(), 4), frames_of([(5,)], 12)
    graph = convert(net, (5,), DT, scales={"fc1": GRID, "fc2": GRID})
    network, _ = quantize(graph)
    spikes = simulate(network, frames[0][None]).spikes[0]
    if network.readout.weight is not None:  # the host puts them in order
        spikes = spikes @ network.readout.weight.T
    np.testing.assert_array_equal(spikes, live_outputs(net, frames)[0])


def test_a_network_for_adaptation_concatenates_too() -> None:
    net, frames = settled(DenseSkips(), 3), frames_of([(2, 6, 8)], 14)
    expected = live_outputs(net, frames)[0]
    modules = modules_of(net, (2, 6, 8))
    for module in net.modules():
        if hasattr(module, "reset_mem"):
            module.reset_mem()
    with torch.no_grad():
        found = ModuleNetwork(modules.named, modules.wiring)(torch.tensor(frames[0], dtype=torch.float32)[:, None])
    np.testing.assert_array_equal(found.output[:, 0].numpy(), expected)


def test_neurons_over_sums_of_other_concatenations_are_refused() -> None:
    class Crossed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c, self.lif = nn.Linear(5, 2), nn.Linear(5, 4), nn.Linear(5, 6), spiking()

        def forward(self, x: Tensor) -> Tensor:
            return self.lif(torch.cat([self.a(x), self.b(x)], 1) + self.c(x))

    with pytest.raises(UserError, match=r"lif: adds signals that are concatenated differently: .*Hint: add signals"):
        convert(settled(Crossed(), 1), (5,), DT)


def test_a_concatenation_over_height_is_refused() -> None:
    class High(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.lif = nn.Conv2d(2, 2, 1), spiking()

        def forward(self, x: Tensor) -> Tensor:
            return self.lif(torch.cat([self.conv(x), x], dim=2))

    with pytest.raises(UserError, match=r"conv\.cat: the network calls cat on what conv gives"):
        convert(High(), (2, 3, 4), DT)


def test_the_network_is_a_chain_where_nothing_branches() -> None:
    """A concatenation of one signal changes nothing."""

    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif = nn.Linear(4, 3), spiking()

        def forward(self, x: Tensor) -> Tensor:
            return self.lif(torch.cat([self.fc(x)], dim=1))

    assert is_chain(convert(One(), (4,), DT).nir_graph)
