"""Weights on another's singular vectors: equal vectors, rotations by hand, NumPy, and what training does."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from learning_data import tiny_dataset, tiny_recipe, tiny_teacher
from loss_inputs import seeded
from torch import Tensor, nn

from spikeport.pipeline.distillation.initialize import layer_pairs, weight_pairs
from spikeport.pipeline.distillation.losses.base import Sizes, StepInputs, Stream, TeacherTargets
from spikeport.pipeline.distillation.losses.reconstructions.shared_singular_vectors import (
    SharedSingularVectors,
    energy_off_vectors,
    singular_vectors,
)
from spikeport.pipeline.training.qat import qat_finetune
from spikeport.pipeline.training.train import train_student


def off(ours: Tensor, theirs: Tensor) -> Tensor:
    return energy_off_vectors(ours, *singular_vectors(theirs))


def test_equal_vectors_with_other_values_are_free() -> None:
    """Wide, tall, and a convolution; one value of the student is negative."""
    for shape in ((4, 7), (7, 4), (5, 2, 3, 3)):
        theirs = torch.randn(*shape, generator=seeded(1), dtype=torch.float64)
        left, right = singular_vectors(theirs)
        values = torch.tensor([3.0, -0.5, 0.25, 2.0, 1.0], dtype=torch.float64)[: left.shape[1]]
        ours = (left * values @ right).reshape(shape)
        assert off(ours, theirs).item() == pytest.approx(0, abs=1e-14)
        assert off(theirs, theirs).item() == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize("degrees", [0, 30, 45, 90])
def test_a_rotation_by_hand(degrees: float) -> None:
    """W_t = diag(2, 1) has the axes as vectors. A rotation has cos a on its diagonal, twice of |W|^2 = 2: sin^2 a."""
    a = math.radians(degrees)
    rotation = torch.tensor([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
    assert off(rotation, torch.diag(torch.tensor([2.0, 1.0]))).item() == pytest.approx(math.sin(a) ** 2, abs=1e-6)


def test_against_numpy() -> None:
    """The smallest |W - U S V^T|^2 over S, by least squares in the matrices u_i v_i^T."""
    ours, theirs = (torch.randn(4, 2, 3, generator=seeded(at), dtype=torch.float64) for at in (2, 3))
    u, _, vt = np.linalg.svd(theirs.reshape(4, 6).numpy(), full_matrices=False)
    basis = np.stack([np.outer(u[:, i], vt[i]).ravel() for i in range(4)], axis=1)
    flat = ours.reshape(24).numpy()
    best, *_ = np.linalg.lstsq(basis, flat, rcond=None)
    expected = ((flat - basis @ best) ** 2).sum() / (flat**2).sum()
    assert off(ours, theirs).item() == pytest.approx(expected, abs=1e-12)
    assert off(5 * ours, 0.1 * theirs).item() == pytest.approx(expected, abs=1e-12)  # scales do not matter
    assert 0 < expected < 1


def test_weights_of_zero_are_off_nothing() -> None:
    zero = torch.zeros(3, 4, requires_grad=True)
    loss = off(zero, torch.randn(3, 4, generator=seeded()))
    loss.backward()
    assert loss.item() == 0
    assert not zero.grad.any()


def networks() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    teacher = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 1), nn.Linear(6, 7))
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.Linear(6, 7), nn.Linear(7, 3)), teacher


def value(loss: SharedSingularVectors, student: nn.Module, teacher: nn.Module) -> Tensor:
    logits = torch.zeros(2, 3, 4, requires_grad=True)
    targets = TeacherTargets(logits=torch.zeros(3, 4), weight_pairs=weight_pairs(student, teacher))
    one = Stream(logits=logits, features=logits, labels=torch.zeros(3).long(), teacher=targets)
    return loss.compute(one, StepInputs(streams={"event": one}, progress=0.0, generator=seeded()))


def test_layers_of_one_shape_are_compared() -> None:
    """The first layer's colors become polarities. A teacher that changes is decomposed again."""
    student, teacher = networks()
    loss = SharedSingularVectors(Sizes(steps=2, classes=4, v_threshold=1.0, teacher_weight_pairs=2))
    gray = teacher[0].weight.mean(1, keepdim=True).expand(4, 2, 3, 3)
    for _ in range(2):
        expected = (off(student[0].weight, gray) + off(student[1].weight, teacher[2].weight)) / 2
        torch.testing.assert_close(value(loss, student, teacher), expected)
        with torch.no_grad():
            teacher[2].weight.copy_(torch.randn(7, 6, generator=seeded(4)))
    value(loss, student, teacher).backward()
    assert student[0].weight.grad.any()
    assert student[1].weight.grad.any()
    assert student[2].weight.grad is None
    assert all(weight.grad is None for weight in teacher.parameters())


def test_training_draws_the_weights_to_the_vectors_and_quantization_leaves_it_out(tmp_path: Path) -> None:
    data, shares = tiny_dataset(paired_images=True), {}
    for name, losses in (("with", [{"loss": "shared_singular_vectors", "weight": 30.0}]), ("without", [])):
        recipe = tiny_recipe(
            distillation={"method": "baseline", "losses": losses},
            training={"epochs": 3, "lr": 0.02, "ema_decay": 0.0},
            quantization={"epochs": 1},
        )
        torch.manual_seed(0)
        teacher = tiny_teacher()
        student = train_student(recipe, data, teacher, "baseline", tmp_path / name)
        ((_, ours), (_, theirs)), *_ = layer_pairs(student, teacher)
        gray = theirs.weight.mean(1, keepdim=True).expand_as(ours.weight)
        shares[name] = off(ours.weight, gray).item()
        if losses:
            qat_finetune(recipe, data, student, tmp_path / "quantized", method="baseline", teacher=teacher)
    assert shares["with"] < shares["without"] - 0.1
    for folder, acts in (("with", True), ("quantized", False)):
        lines = [json.loads(line) for line in (tmp_path / folder / "metrics.jsonl").read_text().splitlines()]
        found = [line["event.shared_singular_vectors"] for line in lines if "event.shared_singular_vectors" in line]
        assert found
        assert all((part > 0.1) is acts for part in found)
