"""What the benchmark of residual students counts, on one block whose relays and spikes are known by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from learning_data import tiny_recipe
from residual_students import costs
from torch import nn

from spikeport.export.frontends.from_snntorch import to_spiking_graph
from spikeport.export.quantization.quantize import quantize as quantize_graph
from spikeport.pipeline.models.fold_batch_norm import fold_batch_norm
from spikeport.pipeline.models.neurons.leaky import LoihiLeaky
from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.models.students.residual import SpikingBlock
from spikeport.pipeline.training.qat import quantize
from spikeport.pipeline.training.scaling import scales

SHAPE, CLASSES = (3, 5, 4), 2


@pytest.fixture(scope="module")
def student() -> Student:
    """A block of 3 channels, whose shortcut is its input, and an output layer."""
    torch.manual_seed(0)
    recipe = tiny_recipe(student={"network": "resnet18-snn"}).student
    block = SpikingBlock(3, 3, 1, recipe, norm=True)
    head = nn.Linear(3 * 5 * 4, CLASSES)
    layers = nn.ModuleDict({"block": block, "flatten": nn.Flatten()})
    return quantize(fold_batch_norm(Student(layers, nn.ModuleDict({"event": head}), LoihiLeaky(0.75))))


def test_relays_and_their_spikes_are_counted(student: Student) -> None:
    """One relay for each of the 60 inputs stands beside the 60 neurons of the first convolution, and fires as often as
    its input. The chunks of the simulation change nothing: there are more recordings than one holds."""
    graph = to_spiking_graph(student.deployed(), SHAPE, 0.001, scales(student), wiring=student.wiring())
    network, _ = quantize_graph(graph)
    frames = (np.random.default_rng(1).random((53, 6, *SHAPE)) < 0.3).astype(np.uint8)
    found = costs(network, graph, frames)
    with torch.no_grad():
        fired = student(torch.as_tensor(frames).transpose(0, 1).float()).layer_spikes
    assert (found.layers, found.neurons, found.relays) == (3, 60 + 60 + 60 + CLASSES, 60)
    assert found.weights == 6 * 3 * 9 + 3 * 6 * 9 + CLASSES * 60
    assert found.relay_spikes == frames.sum() / 53
    assert found.spikes == (frames.sum() + sum(float(spikes.sum()) for spikes in fired)) / 53
    first = dict(student.deployed())["block.conv1"]
    assert isinstance(first, nn.Conv2d)
    largest = float(first.weight.detach().abs().max()) * scales(student)["block.conv1"]
    assert found.reached == (round(largest),)
