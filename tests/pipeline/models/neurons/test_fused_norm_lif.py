"""Batch norm and neurons fused, against torch's batch norm and the cell's own loop in float64."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spikeport.pipeline.models.neurons.fused_norm_lif import can_fuse, fused_norm_lif
from spikeport.pipeline.models.neurons.leaky import LoihiLeaky
from spikeport.pipeline.models.students import base as students
from spikeport.pipeline.models.students.build import build_student
from spikeport.pipeline.run.sections.networks import Student as StudentRecipe

T, B, H, W = 5, 3, 7, 11


def layer(channels: int) -> tuple[nn.BatchNorm2d, LoihiLeaky]:
    norm = nn.BatchNorm2d(channels, momentum=0.3)
    generator = torch.Generator().manual_seed(channels)
    with torch.no_grad():
        norm.weight.copy_(0.5 + torch.rand(channels, generator=generator))
        norm.bias.copy_(torch.randn(channels, generator=generator) / 2)
    return norm, LoihiLeaky(0.7, 0.8)


def values_of(channels: int) -> Tensor:
    """Channels last, each channel with another mean and spread."""
    generator = torch.Generator().manual_seed(1)
    spread = torch.linspace(0.3, 2.0, channels)
    values = torch.randn(T * B, H, W, channels, generator=generator) * spread + 3 * spread
    return values.permute(0, 3, 1, 2).unflatten(0, (T, B))


def slow(norm: nn.BatchNorm2d, cell: LoihiLeaky, values: Tensor) -> tuple[Tensor, Tensor]:
    spikes, membranes = cell(norm(values.flatten(0, 1)).unflatten(0, values.shape[:2]))
    return spikes, membranes * (1 - spikes)


@pytest.mark.parametrize("channels", [4, 16])
def test_it_is_batch_norm_and_then_the_neurons(channels: int) -> None:
    """Spikes equal (no membrane comes that near the threshold); numbers to 1e-5 of the largest, a float32 affine
    map and some five products and sums a step."""
    norm, cell = layer(channels)
    exact_norm, exact_neurons = copy.deepcopy(norm).double(), copy.deepcopy(cell).double()
    values = values_of(channels).requires_grad_()
    exact_values = values.detach().double().requires_grad_()
    grad_spk, grad_reset_mem = torch.randn(2, *values.shape, generator=torch.Generator().manual_seed(2))

    assert can_fuse(norm, cell, values)
    spikes, reset_mem = fused_norm_lif(norm, cell, values)
    exact_spikes, exact_reset_mem = slow(exact_norm, exact_neurons, exact_values)
    assert torch.equal(spikes.double(), exact_spikes)
    assert 0.05 < float(spikes.detach().mean()) < 0.6

    ((spikes * grad_spk).sum() + (reset_mem * grad_reset_mem).sum()).backward()
    ((exact_spikes * grad_spk).sum() + (exact_reset_mem * grad_reset_mem).sum()).backward()
    pairs = [
        (reset_mem, exact_reset_mem), (values.grad, exact_values.grad), (norm.weight.grad, exact_norm.weight.grad),
        (norm.bias.grad, exact_norm.bias.grad), (norm.running_mean, exact_norm.running_mean),
        (norm.running_var, exact_norm.running_var),
    ]  # fmt: skip
    for found, expected in pairs:
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-5 * float(expected.detach().abs().max()))
    assert norm.num_batches_tracked == exact_norm.num_batches_tracked == 1


def test_each_output_may_go_without_a_gradient() -> None:
    norm, cell = layer(16)
    grads = []
    for part in (0, 1):
        values = values_of(16).requires_grad_()
        fused_norm_lif(norm, cell, values)[part].sum().backward()
        exact = values_of(16).double().requires_grad_()
        slow(copy.deepcopy(norm).double(), copy.deepcopy(cell).double(), exact)[part].sum().backward()
        torch.testing.assert_close(values.grad.double(), exact.grad, rtol=0, atol=1e-5 * float(exact.grad.abs().max()))
        grads.append(values.grad)
    assert not torch.allclose(*grads)
    spikes, reset_mem = fused_norm_lif(norm, cell, values_of(16), reset_mem=False)
    assert reset_mem.numel() == 0
    assert torch.equal(spikes, fused_norm_lif(norm, cell, values_of(16))[0])


def test_threads_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also not which thread sums what: 3 * 16 * 77 * 16 neurons are 58 blocks, cut into 1 and into 3 parts."""
    from spikeport.pipeline.models.neurons import kernel_dispatch as fused

    monkeypatch.setattr(fused, "VALUES_PER_THREAD", 1)
    found, before = [], torch.get_num_threads()
    for threads in (1, 3):
        torch.set_num_threads(threads)
        norm, cell = layer(16)
        values = torch.cat([values_of(16)] * 16, dim=1).requires_grad_()
        spikes, reset_mem = fused_norm_lif(norm, cell, values)
        (spikes.sum() + reset_mem.square().sum()).backward()
        found.append([spikes, reset_mem, values.grad, norm.weight.grad, norm.bias.grad, norm.running_var])
    torch.set_num_threads(before)
    assert all(torch.equal(one, three) for one, three in zip(*found, strict=True))


def test_what_it_leaves_to_the_modules() -> None:
    norm, cell = layer(16)
    values = values_of(16)
    assert can_fuse(norm, cell, values)
    assert not can_fuse(None, cell, values)
    assert not can_fuse(norm, nn.ReLU(), values)
    assert not can_fuse(norm, cell, values.double())
    assert not can_fuse(norm, cell, values.contiguous())
    assert not can_fuse(copy.deepcopy(norm).eval(), cell, values)
    assert not can_fuse(norm, LoihiLeaky(0.75, 0.75, numerics="loihi", scale=64.0), values)
    assert not can_fuse(layer(6)[0], cell, values_of(6))  # a block of 1,024 values would cut a pixel
    hooked = copy.deepcopy(cell)
    hooked.register_forward_hook(lambda *_: None)
    assert not can_fuse(norm, hooked, values)
    shared = copy.deepcopy(norm)
    shared.forward = lambda x: x  # as under several processes
    assert not can_fuse(shared, cell, values)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not can_fuse(norm, cell, values)


@pytest.mark.parametrize("hidden", [0, 9])
def test_a_student_is_the_same_with_and_without(hidden: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two layers fused; the first has no features to give."""
    recipe = StudentRecipe(channels=(8, 16), hidden=hidden)
    torch.manual_seed(3)
    one = build_student(recipe, (2, 9, 13), 5)
    two = copy.deepcopy(one)
    frames = (torch.rand(T, B, 2, 9, 13) < 0.3).float()
    outputs = []
    for network in (one, two):
        if network is two:
            monkeypatch.setattr(students, "can_fuse", lambda *_: False)
        output = network(frames)
        (output.logits.sum() + output.features.square().sum()).backward()
        outputs.append(output)
    for view in ("logits", "spikes", "maps", "embedding"):
        assert torch.equal(*(getattr(output, view) for output in outputs))
    assert 0.01 < float(outputs[0].maps.detach().mean()) < 0.9
    torch.testing.assert_close(outputs[0].features, outputs[1].features, rtol=0, atol=1e-5)
    for first, second in zip(one.parameters(), two.parameters(), strict=True):
        if first.grad is not None:  # the static head has none
            size = float(second.grad.abs().max())
            assert np.isfinite(size)
            torch.testing.assert_close(first.grad, second.grad, rtol=0, atol=1e-4 * size)  # sums over T B H W terms
    for first, second in zip(one.buffers(), two.buffers(), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-6)
