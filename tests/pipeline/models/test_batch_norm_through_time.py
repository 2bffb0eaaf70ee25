"""Batch norm through time: T norms of their own, a student of them in float, and what the chip refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from learning_data import STEPS, tiny_dataset, tiny_recipe
from torch import nn

from spikeport.errors import UserError
from spikeport.pipeline.models import sync_batch_norm as synchronized
from spikeport.pipeline.models.batch_norm_through_time import BatchNormThroughTime
from spikeport.pipeline.models.fold_batch_norm import fold_batch_norm
from spikeport.pipeline.models.sizes import teacher_sizes
from spikeport.pipeline.models.storage import load_student, save_student
from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.models.students.build import STUDENTS, build_student, check_student
from spikeport.pipeline.models.teachers.spiking import SpikingTeacher
from spikeport.pipeline.training.train import train_student

T, B, C, H, W = 3, 5, 4, 2, 7
SHAPE = (2, 8, 6)


def values(seed: int = 0) -> torch.Tensor:
    drawn = torch.randn(T, B, C, H, W, generator=torch.Generator().manual_seed(seed))
    return drawn * torch.tensor([1.0, 2.0, 5.0]).view(T, 1, 1, 1, 1) + 0.3


def randomized(student: Student, *, tied: bool = False) -> Student:
    """Statistics and gains as after some training; `tied`: the same in every step."""
    for module in student.modules():
        if isinstance(module, BatchNormThroughTime):
            for norm in module.norms:
                nn.init.uniform_(norm.weight, 0.5, 2.0)
                nn.init.normal_(norm.running_mean, 0.0, 0.1)
                nn.init.uniform_(norm.running_var, 0.02, 0.3)
                if tied:
                    norm.load_state_dict(module.norms[0].state_dict())
    return student.eval()


def built(network: str = "conv", shape: tuple[int, ...] = SHAPE, **options: object) -> Student:
    torch.manual_seed(0)
    settings = {"network": network, "norm_steps": STEPS, "v_threshold": 0.4, **options}
    return build_student(tiny_recipe(student=settings).student, shape, 3)


def frames(steps: int = STEPS, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    return (torch.rand(steps, 6, *shape, generator=torch.Generator().manual_seed(3)) < 0.4).float()


def test_it_is_a_norm_for_each_step() -> None:
    """T modules of torch, each fed with its step: values, gradients, running statistics; then in eval mode."""
    ours, theirs = BatchNormThroughTime(C, T, nn.BatchNorm2d), [nn.BatchNorm2d(C) for _ in range(T)]
    with torch.no_grad():
        for at, (one, other) in enumerate(zip(ours.norms, theirs, strict=True)):
            one.weight.copy_(torch.arange(1.0, C + 1) / (at + 2))
            other.weight.copy_(one.weight)
    x, y = values().requires_grad_(), values().requires_grad_()
    for training in (True, False):
        found = ours.train(training)(x.flatten(0, 1)).unflatten(0, (T, B))
        expected = torch.stack([norm.train(training)(step) for norm, step in zip(theirs, y, strict=True)])
        assert torch.equal(found, expected)
        for result in (found, expected):
            (result * values(1)).sum().backward()
    assert torch.equal(x.grad, y.grad)
    for one, other in zip(ours.norms, theirs, strict=True):
        assert one.bias is None
        assert torch.equal(one.weight.grad, other.weight.grad)
        assert torch.equal(one.running_mean, other.running_mean)
        assert torch.equal(one.running_var, other.running_var)


def test_against_numpy() -> None:
    norm = BatchNormThroughTime(C, T, nn.BatchNorm2d)
    with torch.no_grad():
        norm.norms[2].weight.fill_(3.0)
    x = values().double().numpy()[2]
    mean, variance = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
    found = norm(values().flatten(0, 1)).unflatten(0, (T, B))[2]
    np.testing.assert_allclose(found.detach(), 3 * (x - mean) / np.sqrt(variance + 1e-5), atol=1e-5)


def test_a_single_value_is_normalized_by_the_running_statistics() -> None:
    """One recording in a batch of dense layers: torch's norm would refuse it."""
    norm = BatchNormThroughTime(C, T, nn.BatchNorm1d).train()
    rows = torch.randn(T, C, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(norm(rows), rows / np.sqrt(1 + 1e-5))
    assert not any(each.running_mean.any() for each in norm.norms)


def test_over_several_processes_it_has_no_shift_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synchronized, "_all_reduce", lambda values: values)
    first, second = (BatchNormThroughTime(C, T, nn.BatchNorm2d) for _ in range(2))
    with synchronized.sync_batch_norm(first):
        found = first(values().flatten(0, 1))
    torch.testing.assert_close(found, second(values().flatten(0, 1)))
    torch.testing.assert_close(first.state_dict(), second.state_dict())


@pytest.mark.parametrize("network", [name for name, kind in STUDENTS.items() if "norm_steps" in kind.options])
def test_the_norm_of_a_step_acts_on_this_step_alone(network: str) -> None:
    """Gains of step 2 set to 0: from there on other currents, before it the same spikes."""
    shape = (2, 16, 32)
    student, seen = randomized(built(network, shape, width=0.05)), frames(shape=shape)
    before = student(seen).layer_spikes[0]
    first = next(module for module in student.modules() if isinstance(module, BatchNormThroughTime))
    with torch.no_grad():
        first.norms[2].weight.zero_()
    after = student(seen).layer_spikes[0]
    assert torch.equal(before[:2], after[:2])
    assert before[2].any()
    assert not torch.equal(before[2], after[2])


def test_as_a_teacher_it_is_measured_on_all_its_steps() -> None:
    sizes = teacher_sizes(SpikingTeacher(built(), Path("none")), SHAPE)
    assert (sizes.maps, sizes.stages) == ((6, 2, 2), ((4, 4, 3), (6, 2, 2)))


def test_frames_of_other_steps_are_refused() -> None:
    with pytest.raises(UserError, match="norms for 4 steps is given frames of 8"):
        built()(frames(8))


def test_what_the_chip_cannot_hold_is_refused_before_training() -> None:
    recipe = tiny_recipe(student={"norm_steps": STEPS}).student
    message = r"student.norm_steps: student.norm_steps = 4 is not for netx: weights.*Hint: .*student.norm_steps = 0"
    with pytest.raises(UserError, match=message):
        check_student(recipe, SHAPE, for_netx=True)
    assert not check_student(recipe, SHAPE, for_netx=False)
    assert check_student(tiny_recipe().student, SHAPE, for_netx=False)


@pytest.mark.parametrize("network", ["resnet20-snn", f"{__name__}:built"])
def test_networks_with_norms_of_their_own_are_refused(network: str) -> None:
    recipe = tiny_recipe(student={"network": network, "norm_steps": STEPS}).student
    with pytest.raises(UserError, match=r"has no batch norm through time.*conv, vgg-snn, mlp or conv-mlp"):
        check_student(recipe, (2, 16, 16), for_netx=False)


def test_another_number_of_steps_is_refused() -> None:
    with pytest.raises(UserError, match=r"student.norm_steps = 5 must be data.steps, 4, or 0"):
        tiny_recipe(student={"norm_steps": 5})


def test_equal_norms_fold_and_others_are_refused() -> None:
    tied = randomized(built(), tied=True)
    folded = fold_batch_norm(tied)
    assert not any(isinstance(module, (BatchNormThroughTime, nn.BatchNorm2d)) for module in folded.modules())
    expected = tied(frames())
    assert 0 < expected.maps.mean() < 1
    assert torch.equal(folded(frames()).maps, expected.maps)
    with pytest.raises(UserError, match=r"norms of norm1 differ from step to step.*weights on the chip do not change"):
        fold_batch_norm(randomized(built()))


def test_a_student_of_them_trains_and_is_stored(tmp_path: Path) -> None:
    recipe = tiny_recipe(student={"norm_steps": STEPS}, training={"epochs": 1}, distillation={"method": "baseline"})
    student = train_student(recipe, tiny_dataset(), None, "baseline", tmp_path)
    norms = student.backbone["norm1"].norms
    assert len({tuple(norm.running_mean.tolist()) for norm in norms}) == STEPS
    save_student(student, tmp_path / "student.safetensors")
    shape = tiny_dataset().test.frames.shape[2:]
    again = load_student(recipe, shape, 3, tmp_path / "student.safetensors")
    seen = torch.from_numpy(tiny_dataset().test.frames).transpose(0, 1)
    assert torch.equal(again(seen).logits, student.eval()(seen).logits)
