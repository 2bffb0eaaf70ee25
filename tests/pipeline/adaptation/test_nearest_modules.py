"""The nearest legal modules: what moves, what is replaced, and that each change is named."""

from __future__ import annotations

import pytest
import snntorch
import torch
from torch import nn

from spikeport.export.frontends.convert import modules_of
from spikeport.export.frontends.from_snntorch import to_spiking_graph
from spikeport.export.quantization.quantize import quantize
from spikeport.pipeline.adaptation.nearest_modules import NearestModules, nearest_modules

SHAPE = (2, 9, 11)


def nearest(network: nn.Module, shape: tuple[int, ...]) -> NearestModules:
    executed = modules_of(network, shape)
    return nearest_modules(executed.named, executed.wiring)


def test_pools_of_currents_move_behind_neurons_over_norms() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.MaxPool2d(2), nn.BatchNorm2d(3), nn.Dropout(0.5), snntorch.Leaky(beta=0.7),
        nn.Conv2d(3, 4, 2), snntorch.Leaky(beta=0.8, reset_mechanism="zero", reset_delay=False), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(4, 2), snntorch.Leaky(beta=torch.tensor([0.5, 0.7]), reset_mechanism="zero"),
    )  # fmt: skip
    found = nearest(network.eval(), SHAPE)
    assert [name for name, _ in found.named] == ["0", "2", "3", "4", "1", "5", "6", "7", "8", "9", "10"]
    assert found.wiring["4"] == ("3",)
    assert found.wiring["1"] == ("4",)
    assert found.wiring["5"] == ("1",)
    assert found.pairs == {"4": "1", "6": "6", "10": "10"}
    assert found.changes == [
        "4: reset by subtract became reset to zero",
        "1: the maximum of currents became a maximum of spikes, behind 4",
        "10: beta of 0.5 to 0.7 became 0.6",
        "10: a reset in the step after the spike became a reset in the same step",
    ]
    integers, _ = quantize(to_spiking_graph(found.named, SHAPE, 1e-3, None, "", found.wiring))
    assert [layer.name for layer in integers.layers] == ["0", "1", "5", "7", "9"]


def test_a_legal_network_is_left_as_it_is() -> None:
    neurons = {"reset_mechanism": "zero", "reset_delay": False}
    network = nn.Sequential(nn.Linear(5, 4), snntorch.Leaky(0.5, **neurons), nn.Linear(4, 3),
                            snntorch.Leaky(0.7, reset_mechanism="none"))  # fmt: skip
    found = nearest(network, (5,))
    assert not found.changes
    graph = to_spiking_graph(found.named, (5,), 1e-3, None, "", found.wiring)
    assert quantize(graph)[0].readout.kind == "membrane"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"inhibition": True}, "inhibition was left out"),
        ({"graded_spikes_factor": 2.0}, "graded spikes became spikes of size 1"),
        ({"reset_mechanism": "none"}, "reset by none became reset to zero"),
    ],
)
def test_other_settings_are_named(settings, words: str) -> None:
    given = {"reset_mechanism": "zero", "reset_delay": False, **settings}
    network = nn.Sequential(nn.Linear(5, 4), snntorch.Leaky(0.5, **given), nn.Linear(4, 3),
                            snntorch.Leaky(0.7, reset_mechanism="zero", reset_delay=False))  # fmt: skip
    found = nearest(network, (5,))
    assert [change for change in found.changes if words in change]
