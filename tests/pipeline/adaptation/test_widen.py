"""More channels change nothing before the training, and say how far a membrane was above its threshold."""

from __future__ import annotations

import copy

import snntorch
import torch
from torch import nn

from spikeport.export.quantization.quantize import quantize
from spikeport.pipeline.adaptation.objective import rate_difference
from spikeport.pipeline.adaptation.source import source_of_modules
from spikeport.pipeline.adaptation.student import AdaptedNetwork, student_of
from spikeport.pipeline.adaptation.widen import widen

T, B, C, H, W = 6, 3, 2, 9, 11


def network() -> AdaptedNetwork:
    torch.manual_seed(1)
    layers = nn.Sequential(
        nn.Conv2d(C, 4, 3), nn.MaxPool2d(2), snntorch.Leaky(0.6, threshold=0.3), nn.Conv2d(4, 3, 2),
        snntorch.Leaky(0.5, threshold=0.2), nn.Flatten(), nn.Linear(3 * 2 * 3, 5), snntorch.Leaky(0.7, threshold=0.2),
    )  # fmt: skip
    return student_of(source_of_modules(layers, (C, H, W), 1e-3).nearest, [])


def test_outputs_stay_and_added_channels_have_higher_thresholds() -> None:
    plain = network()
    wide = copy.deepcopy(plain)
    assert widen(wide, 3) == ["2", "4"]
    frames = (torch.rand(T, B, C, H, W, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    with torch.no_grad():
        expected, found = plain(frames), wide(frames)
    assert 0.02 < float(expected.output.mean()) < 0.9
    assert torch.equal(found.output, expected.output)
    assert found.layers["2"].shape[2] == 12
    assert torch.equal(found.layers["2"][:, :, :4], expected.layers["2"])
    one, two, three = (float(found.layers["2"][:, :, 4 * i : 4 * i + 4].mean()) for i in range(3))
    assert one > two > three
    assert float(rate_difference(expected.layers["2"], found.layers["2"])) == 0.0
    shapes = [layer.output_shape[0] for layer in quantize(wide.graph())[0].layers]
    assert shapes == [12, 12, 9, 5]


def test_one_channel_per_channel_changes_nothing() -> None:
    plain = network()
    before = copy.deepcopy(plain.state_dict())
    assert widen(plain, 1) == []
    assert all(torch.equal(before[key], tensor) for key, tensor in plain.state_dict().items())
