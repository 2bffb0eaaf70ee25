"""A user's own nn.Sequential handed over whole: what it runs is what becomes a graph, and what is shared is refused."""

from __future__ import annotations

import numpy as np
import pytest
import snntorch
import torch
from live_modules import DT, leaky, live_spikes, on_grid
from torch import nn

from spikeport.errors import UserError
from spikeport.export.calibration.float_simulator import run_float
from spikeport.export.frontends.from_snntorch import to_spiking_graph
from spikeport.export.frontends.module_walk import named_modules


def hidden(taken=1024, threshold=20 / 64, **settings):
    """A cell as it stands in a Sequential: it keeps its state itself."""
    return leaky(taken, threshold, init_hidden=True, **settings)


def run_live(net: nn.Sequential, frames: np.ndarray) -> np.ndarray:
    """What the Sequential itself fires, called step by step."""
    net = net.double().eval()
    for module in net.modules():
        if hasattr(module, "reset_mem"):
            module.reset_mem()
    with torch.no_grad():
        fired = []
        for frame in frames:
            x = torch.tensor(frame, dtype=torch.float64)[None]
            for module in _flat(net):
                x = module(x).double()  # snnTorch's surrogates give float32 spikes
            fired.append(x[0].numpy())
    return np.array(fired)


def _flat(net):
    for module in net._modules.values():
        yield from _flat(module) if isinstance(module, nn.Sequential) else (module,)


def test_a_sequential_in_a_sequential_fires_what_it_fires_itself():
    """Dropout and Identity vanish, with a note for the first; names tell the way."""
    net = nn.Sequential(
        nn.Sequential(on_grid(nn.Conv2d(2, 3, 2), 1), hidden(), nn.Dropout2d(0.5), nn.AvgPool2d((2, 1))),
        nn.Flatten(),
        nn.Identity(),
        nn.Sequential(on_grid(nn.Linear(18, 5), 2), hidden(2048)),
    )
    frames = (np.random.default_rng(4).random((15, 2, 5, 4)) < 0.4).astype(np.uint8)
    graph = to_spiking_graph(net, (2, 5, 4), DT)
    assert [step.name for step in graph.chain()] == ["0.0", "0.1", "0.3", "1", "3.0", "3.1"]
    assert graph.notes == ("0.2: Dropout2d was left out, it acts in training only",)
    wanted = run_live(net, frames)
    assert np.array_equal(run_float(graph, frames[None]).spikes[0], wanted)
    assert 0 < wanted.mean() < 1


def test_a_weight_layer_at_two_places_is_two_layers():
    """`named_children` would lose the second; a module without state may be shared."""
    shared = on_grid(nn.Linear(4, 4), 3)
    net = nn.Sequential(shared, hidden(), shared, hidden(3072))
    frames = (np.random.default_rng(5).random((15, 4)) < 0.5).astype(np.uint8)
    graph = to_spiking_graph(net, (4,), DT)
    wanted = run_live(net, frames)
    assert np.array_equal(run_float(graph, frames[None]).spikes[0], wanted)
    assert 0 < wanted.mean() < 1
    assert len(list(net.named_children())) == 3


@pytest.mark.parametrize("pairs", [False, True])
def test_a_cell_at_two_places_is_refused(pairs):
    """snnTorch would share its membrane."""
    cell = hidden()
    net = nn.Sequential(nn.Linear(3, 3), cell, nn.Sequential(nn.Linear(3, 3), cell))
    modules = [("a", net[0]), ("1", cell), ("b", net[2][0]), ("2.1", cell)] if pairs else net
    with pytest.raises(UserError, match=r"^2.1: is the same Leaky as '1': snnTorch keeps one membrane.*of its own"):
        to_spiking_graph(modules, (3,), DT)


class Net(nn.Module):
    pass


class Own(nn.Sequential):
    def forward(self, x):
        return super().forward(x) + 1


class Hooked(nn.Sequential):
    pass


@pytest.mark.parametrize(
    ("modules", "shape", "words"),
    [
        (Net(), (3,), "a Net is not an nn.Sequential: .*hand over the nn.Sequential itself"),
        (nn.Linear(3, 3), (3,), "a Linear is not an nn.Sequential"),
        (list(nn.Sequential(nn.Linear(3, 3))), (3,), "item 0 is a Linear, no pair of a name.*hand over the nn.Seq"),
        ([("a", 3)], (3,), "item 0 is a tuple, no pair"),
        (None, (3,), "a NoneType holds no modules"),
        (Own(nn.Linear(3, 3)), (3,), "Own: Own has a forward of its own"),
        (nn.Sequential(Own(nn.Linear(3, 3))), (3,), "^0: Own has a forward of its own"),
        (nn.Sequential(nn.Linear(3, 3)), 3, "input shape 3 is not a shape"),
        (nn.Sequential(nn.Linear(3, 3)), "abc", "input shape 'abc' is not a shape"),
    ],
)
def test_what_is_no_network_is_one_line(modules, shape, words):
    with pytest.raises(UserError, match=words):
        to_spiking_graph(modules, shape, DT)


def test_hooks_of_a_sequential_and_of_a_dropout_are_not_passed_over():
    for net in (Hooked(nn.Linear(3, 3)), nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.1))):
        (net if isinstance(net, Hooked) else net[1]).register_forward_hook(lambda *_: None)
        with pytest.raises(UserError, match="forward hooks"):
            to_spiking_graph(net, (3,), DT)


@pytest.mark.parametrize("beta", [-0.25, 1.5])
def test_a_beta_trained_out_of_bounds_is_clamped_as_snntorch_does(beta):
    cell = snntorch.Leaky(beta=0.5, learn_beta=True, threshold=3.0, reset_mechanism="zero")
    with torch.no_grad():
        cell.beta.fill_(beta)
    modules = [("fc", on_grid(nn.Linear(4, 3), 7)), ("cell", cell)]
    frames = (np.random.default_rng(6).random((15, 4)) < 0.5).astype(np.uint8)
    graph = to_spiking_graph(modules, (4,), DT)
    assert graph.notes == (
        f"cell: beta = {beta:g} was taken as {min(max(beta, 0), 1):g}, as snnTorch's forward takes it",
    )
    wanted = live_spikes(modules, frames)
    assert np.array_equal(run_float(graph, frames[None]).spikes[0], wanted)


def test_names_of_a_walk_are_those_of_the_state_dict():
    net = nn.Sequential(nn.Sequential(nn.Linear(2, 3)), nn.Linear(3, 2))
    assert [f"{name}.weight" for name, _ in named_modules(net)] == [key for key in net.state_dict() if "weight" in key]
