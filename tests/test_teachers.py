"""Teachers: what they show of themselves, and that looking changes nothing in them."""

from __future__ import annotations

import torch
from learning_data import tiny_recipe
from torch import nn

from pipeline.networks import build_teacher
from pipeline.networks.sizes import teacher_sizes
from pipeline.networks.teacher import Teacher


def teacher(height: int = 17, width: int = 26, classes: int = 5) -> Teacher:
    torch.manual_seed(4)
    return build_teacher(tiny_recipe().teacher, (3, height, width), classes)


def images(batch: int = 3, height: int = 17, width: int = 26) -> torch.Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(2))


def test_the_three_parts_are_one_network() -> None:
    network = teacher().eval()
    seen = network.observe(images())
    assert seen.maps is not None
    assert seen.embedding is not None
    assert seen.maps.shape == (3, 64, 2, 3)
    assert torch.equal(seen.embedding, seen.maps.flatten(1))
    weight = network.head_weight
    assert weight is not None
    torch.testing.assert_close(seen.logits, seen.embedding @ weight.T + network.head.bias)
    assert torch.equal(seen.logits, network(images()))
    assert teacher_sizes(network, (3, 17, 26)) == teacher_sizes(teacher(), (3, 17, 26))
    assert teacher_sizes(network, (3, 17, 26)).maps == (64, 2, 3)
    assert teacher_sizes(network, (3, 17, 26)).embedding == 384


def test_looking_moves_no_buffer_and_leaves_no_gradient() -> None:
    """Even of a teacher that someone left in training mode, where batch norm would move."""
    network = teacher().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    seen = network.observe(images())
    assert network.training
    assert all(module.training for module in network.modules())
    assert not any(part.requires_grad for part in (seen.logits, seen.maps, seen.embedding))
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert torch.equal(seen.logits, network.eval()(images()).detach())
    network.train()(images())
    assert not torch.equal(before["features.1.running_mean"], network.features[1].running_mean)


def test_the_frozen_head_passes_a_gradient_to_what_it_classifies_only() -> None:
    network = teacher()
    embedding = torch.rand(2, 4, 384, requires_grad=True)
    logits = network.classify(embedding)
    torch.testing.assert_close(logits, network.head(embedding))
    (logits * torch.arange(5.0)).sum().backward()
    expected = torch.arange(5.0) @ network.head_weight
    torch.testing.assert_close(embedding.grad, expected.expand(2, 4, 384))
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_head_that_is_not_linear_has_no_weight() -> None:
    network = Teacher(nn.Identity(), nn.Flatten(), nn.Sequential(nn.Linear(12, 7), nn.ReLU(), nn.Linear(7, 5)))
    assert network.head_weight is None
    assert network.classify(torch.rand(4, 12)).shape == (4, 5)


def test_images_are_normalised_by_channel() -> None:
    network = Teacher(nn.Identity(), nn.Flatten(), nn.Identity(), mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0))
    seen = network.observe(torch.full((1, 3, 1, 2), 0.6))
    torch.testing.assert_close(seen.logits, torch.tensor([[1.0, 1.0, 0.4, 0.4, 0.15, 0.15]]))
