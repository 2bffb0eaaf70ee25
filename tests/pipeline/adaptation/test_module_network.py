"""The executor of named modules: a network's own forward is the oracle."""

from __future__ import annotations

import pytest
import snntorch
import torch
import torch.nn.functional as functional
from snntorch import utils
from torch import nn

from spikeport.export.frontends.convert import modules_of
from spikeport.export.frontends.wiring import INPUT
from spikeport.pipeline.adaptation.module_network import ModuleNetwork, pool_spikes

T, B, C, H, W = 6, 3, 2, 9, 11


def frames(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(T, B, *shape, generator=generator) < 0.3).float()


def tutorial(**neuron) -> nn.Sequential:
    """snnTorch's tutorial CNN for event streams, smaller: pools of currents, hidden states."""
    torch.manual_seed(1)

    def lif(**more) -> snntorch.Leaky:
        settings = {"beta": 0.6, "init_hidden": True, "learn_beta": True, "threshold": 0.3, **neuron, **more}
        return snntorch.Leaky(**settings)

    return nn.Sequential(
        nn.Conv2d(C, 4, 3), nn.MaxPool2d(2), lif(), nn.Flatten(), nn.Linear(4 * 3 * 4, 5), lif(output=True)
    )


@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize("delay", [True, False])
def test_hidden_states_are_the_networks_own(reset: str, delay: bool) -> None:
    network = tutorial(reset_mechanism=reset, reset_delay=delay)
    given = frames(C, H, W)
    utils.reset(network)
    with torch.no_grad():
        expected = torch.stack([network(step)[0] for step in given])
        found = ModuleNetwork(modules_of(network, (C, H, W)).named).eval()(given)
        again = ModuleNetwork(modules_of(network, (C, H, W)).named).eval()(given)  # states begin at zero

    assert 0.02 < float(expected.mean()) < 0.9
    assert torch.equal(found.output, expected)
    assert torch.equal(again.output, expected)
    assert list(found.layers) == ["2", "5"]


class ByHand(nn.Module):
    """States passed by hand in a loop over time; functional pool and flatten; a synaptic and a recurrent neuron."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.conv, self.fc = nn.Conv2d(C, 3, 3, padding=1), nn.Linear(3 * 4 * 5, 4)
        self.lif = snntorch.Synaptic(alpha=0.4, beta=0.7, threshold=0.3)
        self.out = snntorch.RLeaky(beta=0.8, linear_features=4, threshold=0.4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        syn, mem = self.lif.reset_mem()
        fired, state = self.out.reset_mem()
        given = []
        for step in x:
            spikes, syn, mem = self.lif(functional.max_pool2d(self.conv(step), 2), syn, mem)
            fired, state = self.out(self.fc(spikes.flatten(1)), fired, state)
            given.append(fired)
        return torch.stack(given)


def test_states_passed_by_hand_are_the_networks_own() -> None:
    network = ByHand().eval()
    given = frames(C, H, W)
    with torch.no_grad():
        expected = network(given)
        executed = modules_of(network, (C, H, W))
        found = ModuleNetwork(executed.named, executed.wiring).eval()(given)
    assert 0.02 < float(expected.mean()) < 0.9
    assert torch.equal(found.output, expected)


def test_sums_of_branches_and_several_outputs() -> None:
    torch.manual_seed(3)
    a, b = nn.Linear(5, 3, bias=False), nn.Linear(5, 3, bias=False)
    named = [("a", a), ("b", b), ("sum", nn.Identity()), ("twice", nn.Linear(3, 2, bias=False))]
    network = ModuleNetwork(named, {"b": (INPUT,), "sum": ("a", "b")}, outputs=("twice", "a"))
    given = frames(5)
    with torch.no_grad():
        expected = torch.cat([(a(given) + b(given)) @ named[3][1].weight.T, a(given)], dim=2)
        torch.testing.assert_close(network(given).output, expected)  # products in another order of axes


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), ((2, 3), (1, 2), (1, 0))])
def test_pooled_spikes_are_the_maximum_of_spikes(kernel, stride, padding) -> None:
    generator = torch.Generator().manual_seed(4)
    membranes = torch.randn(T, B, C, H, W, generator=generator)
    spikes = (membranes > 0.9).float()
    pool = nn.MaxPool2d(kernel, stride, padding)
    expected = pool(spikes.flatten(0, 1)).unflatten(0, (T, B))
    assert 0.2 < float(expected.mean()) < 0.8
    assert torch.equal(pool_spikes(pool, spikes, membranes), expected)


def test_the_gradient_goes_to_the_largest_membrane() -> None:
    membranes = torch.tensor([[0.2, 0.5], [0.4, 0.1]]).view(1, 1, 1, 2, 2)
    spikes = torch.zeros(1, 1, 1, 2, 2, requires_grad=True)
    pool_spikes(nn.MaxPool2d(2), spikes, membranes).sum().backward()
    assert spikes.grad is not None
    assert spikes.grad.flatten().tolist() == [0.0, 1.0, 0.0, 0.0]
