"""Sources with shortcuts, concatenations and several outputs: their own forward is the oracle, and the reference."""

from __future__ import annotations

import numpy as np
import snntorch
import torch
from torch import Tensor, nn

from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.quantization.quantize import quantize
from spikeport.pipeline.adaptation.module_network import run_neurons
from spikeport.pipeline.adaptation.source import source_of_modules
from spikeport.pipeline.adaptation.student import student_of
from spikeport.pipeline.training.qat import convert, prepare_qat
from spikeport.pipeline.training.scaling import rescale

T, B, C, H, W = 5, 3, 2, 6, 7


class Branched(nn.Module):
    """A shortcut that is added, a concatenation of spikes, and two outputs; subtracts its threshold."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(6)
        self.conv1, self.conv2 = nn.Conv2d(C, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.short = nn.Conv2d(C, 4, 1)
        self.fc, self.side = nn.Linear(8 * H * W, 3), nn.Linear(4 * H * W, 2)
        self.lif1, self.lif2, self.out, self.aside = (
            snntorch.Leaky(beta, threshold=0.4, init_hidden=True) for beta in (0.5, 0.6, 0.7, 0.8)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first = self.lif1(self.conv1(x))
        second = self.lif2(self.conv2(first) + self.short(x))
        both = torch.cat([first, second], dim=1)
        return self.out(self.fc(both.flatten(1))), self.aside(self.side(second.flatten(1)))


def test_branches_concatenations_and_outputs_run_train_and_compile() -> None:
    network = Branched().eval()
    frames = (torch.rand(T, B, C, H, W, generator=torch.Generator().manual_seed(1)) < 0.3).float()
    source = source_of_modules(network, (C, H, W), 1e-3)
    with torch.no_grad():
        for neurons in (network.lif1, network.lif2, network.out, network.aside):
            neurons.reset_mem()
        expected = torch.stack([torch.cat(network(step), dim=1) for step in frames])
        found = source.network(frames)
        assert 0.05 < float(expected.mean()) < 0.9
        assert torch.equal(found.output, expected)
        assert set(source.pairs) == {"lif1", "lif2", "out", "aside"}
        trained = rescale(student_of(source.nearest, []))
        prepare_qat(trained)
        trained = convert(trained)
        own = trained(frames).output.transpose(0, 1).numpy().astype(np.uint8)
    integers, _ = quantize(trained.graph())
    trace = simulate(integers, frames.transpose(0, 1).numpy().astype(np.uint8))
    assert own.shape == trace.spikes.shape == (B, T, 5)
    assert 0.02 < own.mean() < 0.98
    assert np.array_equal(trace.spikes, own)


class Around(nn.Module):
    """A shortcut around one convolution: both read the same spikes, so the chip adds their weights."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.conv1, self.conv2 = nn.Conv2d(C, 3, 1), nn.Conv2d(3, 3, 3, padding=1)
        self.lif1, self.lif2 = (snntorch.Leaky(beta, threshold=0.4, init_hidden=True) for beta in (0.5, 0.6))
        with torch.no_grad():
            self.conv2.weight[:, :, 1, 1] = torch.eye(3)

    def forward(self, x: Tensor) -> Tensor:
        first = self.lif1(self.conv1(x))
        return self.lif2(self.conv2(first) + first)


def test_weights_that_the_chip_adds_stay_in_its_range() -> None:
    frames = (torch.rand(T, B, C, H, W, generator=torch.Generator().manual_seed(2)) < 0.3).float()
    trained = rescale(student_of(source_of_modules(Around().eval(), (C, H, W), 1e-3).nearest, []))
    assert [layer.limit for layer in trained.weight_layers()] == [254, 126]
    prepare_qat(trained)
    trained = convert(trained)
    integers, _ = quantize(trained.graph())
    assert max(int(np.abs(layer.weight).max()) for layer in integers.layers) > 200
    with torch.no_grad():
        own = trained(frames).output.transpose(0, 1).numpy().astype(np.uint8)
    assert 0.02 < own.mean() < 0.98
    assert np.array_equal(simulate(integers, frames.transpose(0, 1).numpy().astype(np.uint8)).spikes, own)


def test_neurons_of_the_source_begin_at_zero() -> None:
    neurons = snntorch.Leaky(0.5, threshold=10.0, init_hidden=True)
    currents = torch.ones(2, 1, 3)
    with torch.no_grad():
        for _ in range(2):
            _, membranes = run_neurons(neurons, currents)
            assert membranes[:, 0, 0].tolist() == [1.0, 1.5]
