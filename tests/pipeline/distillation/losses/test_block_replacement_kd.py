"""Hybrids of student and teacher: against NumPy, the one-block case, what is frozen, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from learning_data import tiny_dataset, tiny_recipe
from loss_inputs import seeded
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import Sizes, StepInputs, Stream, TeacherTargets
from spikeport.pipeline.distillation.losses.block_replacement_kd import BlockReplacementKd
from spikeport.pipeline.distillation.losses.stages import StageAdapter, pair_stages
from spikeport.pipeline.distillation.losses.teacher_head_kd import TeacherHeadKd
from spikeport.pipeline.distillation.method_spec import method_spec
from spikeport.pipeline.models.teachers.build import build_teacher
from spikeport.pipeline.models.teachers.cnn import CnnTeacher
from spikeport.pipeline.training.student_task import check_losses
from spikeport.pipeline.training.train import initial_student, train_student

T, B, K = 3, 5, 4


def small_teacher() -> CnnTeacher:
    """Two stages of (6, 4, 3) and (7, 2, 1) for images of 8 x 6."""
    torch.manual_seed(0)
    stage1 = [nn.Conv2d(3, 6, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)]
    stage2 = [nn.Conv2d(6, 7, 1, bias=False), nn.ReLU(), nn.MaxPool2d(2)]
    return CnnTeacher(nn.Sequential(*stage1, *stage2), nn.Flatten(), nn.Linear(14, K), stages=(4, 7))


def stream(teacher: CnnTeacher, *shapes: tuple[int, int, int]) -> Stream:
    spikes = [(torch.rand(T, B, *shape, generator=seeded(at)) < 0.4).float() for at, shape in enumerate(shapes)]
    targets = teacher.predict(torch.rand(B, 3, 8, 6, generator=seeded(9)))
    return Stream(
        logits=torch.zeros(T, B, K),
        features=torch.zeros(T, B, 1),
        labels=torch.arange(B) % K,
        embedding=spikes[-1].flatten(2),
        stages=tuple(each.requires_grad_() for each in spikes),
        teacher=TeacherTargets(logits=targets.logits, stages=targets.stages, tail=teacher.tail, head=teacher.classify),
    )


def sizes(teacher: CnnTeacher, *shapes: tuple[int, int, int], tail: bool = True) -> Sizes:
    stages = teacher.predict(torch.zeros(1, 3, 8, 6)).stages
    assert stages is not None
    return Sizes(
        steps=T,
        classes=K,
        v_threshold=1.0,
        student_stages=shapes,
        student_embedding=int(np.prod(shapes[-1])),
        teacher_embedding=14,
        teacher_stages=tuple((each.shape[1], each.shape[2], each.shape[3]) for each in stages),
        teacher_tail=True if tail else None,
    )


def value(loss: BlockReplacementKd | TeacherHeadKd, one: Stream) -> Tensor:
    return loss.compute(one, StepInputs(streams={"event": one}, progress=0.5, generator=seeded()))


def softmax(rows: np.ndarray) -> np.ndarray:
    return np.exp(rows) / np.exp(rows).sum(1, keepdims=True)


def test_against_numpy() -> None:
    """Equal sizes and no adapters: rates through the second stage and the head, and through the head alone."""
    teacher, shapes = small_teacher(), ((6, 4, 3), (7, 2, 1))
    one = stream(teacher, *shapes)
    loss = BlockReplacementKd(sizes(teacher, *shapes), tau=3.0, ce_weight=0.5, always_adapt=False)
    assert not list(loss.parameters())
    assert one.stages is not None
    assert one.teacher is not None
    first, second = (each.detach().double().numpy().mean(0) for each in one.stages)
    weight = teacher.features[4].weight[:, :, 0, 0].detach().double().numpy()
    inner = np.maximum(np.einsum("oc,bchw->bohw", weight, first), 0)
    pooled = inner[:, :, :, :2].reshape(B, 7, 2, 2, 1, 2).max((3, 5))  # a pool drops the third column
    dense, bias = (each.detach().double().numpy() for each in (teacher.head.weight, teacher.head.bias))
    p = softmax(one.teacher.logits.double().numpy() / 3)
    parts = []
    for maps in (pooled, second):
        logits = maps.reshape(B, 14) @ dense.T + bias
        kd = 9 * (p * np.log(p / softmax(logits / 3))).sum(1).mean()
        parts.append(kd - 0.5 * np.log(softmax(logits)[np.arange(B), one.labels]).mean())
    assert value(loss, one).item() == pytest.approx(np.mean(parts), abs=1e-5)  # float32


def test_the_last_hybrid_is_the_teachers_head_on_the_student() -> None:
    """One stage and no cross entropy: `teacher_head_kd`."""
    teacher, shape = small_teacher(), (7, 2, 1)
    one = stream(teacher, shape)
    hybrid = BlockReplacementKd(sizes(teacher, shape), ce_weight=0.0, always_adapt=False)
    assert hybrid.pairs == [(0, 1)]
    torch.testing.assert_close(value(hybrid, one), value(TeacherHeadKd(sizes(teacher, shape)), one))


def test_the_teacher_is_frozen_and_every_stage_of_the_student_learns() -> None:
    """Other widths and sizes, a teacher left in training mode: no gradient and no statistics there."""
    teacher, shapes = small_teacher(), ((2, 5, 9), (4, 3, 2), (3, 1, 2))
    one = stream(teacher, *shapes)
    before = {name: tensor.clone() for name, tensor in teacher.train().state_dict().items()}
    loss = BlockReplacementKd(sizes(teacher, *shapes))
    assert loss.pairs == [(1, 0), (2, 1)]
    value(loss, one).backward()
    assert one.stages is not None
    assert one.stages[0].grad is None  # of the student's three stages, the last two are paired
    assert all(each.grad is not None and each.grad.any() for each in one.stages[1:])
    assert all(weight.grad is not None and weight.grad.any() for weight in loss.parameters())
    assert all(weight.grad is None for weight in teacher.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in teacher.state_dict().items())


def test_pairs_begin_at_the_end() -> None:
    assert pair_stages(3, 3) == [(0, 0), (1, 1), (2, 2)]
    assert pair_stages(2, 5) == [(0, 3), (1, 4)]
    assert pair_stages(4, 1) == [(3, 0)]


def test_an_adapter_averages_places_and_repeats_them() -> None:
    maps = torch.tensor([[[[1.0, 3.0, 5.0, 7.0]]]])
    assert StageAdapter((1, 1, 4), (1, 1, 2), always=False)(maps).tolist() == [[[[2.0, 6.0]]]]
    assert StageAdapter((1, 1, 4), (1, 2, 4), always=False)(maps).tolist() == [[[[1.0, 3.0, 5.0, 7.0]] * 2]]
    assert StageAdapter((1, 1, 4), (3, 2, 2), always=False)(maps).shape == (1, 3, 2, 2)


def own_teacher(input_shape: tuple[int, ...], classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(classes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher": {"network": f"{__name__}:own_teacher"}}, "teacher's stages.*does not show them.*cnn-small"),
        ({"student": {"network": "mlp"}}, "stages of the student, and its layers have no places.*convolutions"),
    ],
)
def test_networks_without_stages_are_refused_before_training(changes: dict, message: str) -> None:
    recipe = tiny_recipe(distillation={"method": "block-replacement"}, **changes)
    data = tiny_dataset(paired_images=True)
    teacher = build_teacher(recipe.teacher, (3, *data.test.frames.shape[3:]), 3)
    with pytest.raises(UserError, match=message):
        check_losses(recipe, data, method_spec(recipe.distillation), initial_student(recipe, data), teacher)


def test_a_spiking_teacher_has_stages_but_no_rest() -> None:
    teacher, shape = small_teacher(), (7, 2, 1)
    with pytest.raises(UserError, match="does not show them"):
        BlockReplacementKd(sizes(teacher, shape, tail=False))


def test_it_trains_as_a_method(tmp_path: Path) -> None:
    """One epoch: the teacher is as before, and the student has other weights than the baseline."""
    data = tiny_dataset(paired_images=True)
    students = []
    for method in ("baseline", "block-replacement"):
        recipe = tiny_recipe(
            distillation={"method": method}, training={"epochs": 1, "ema_decay": 0.0}, student={"v_threshold": 0.2}
        )
        torch.manual_seed(0)
        teacher = build_teacher(recipe.teacher, (3, *data.test.frames.shape[3:]), 3)
        before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
        students.append(train_student(recipe, data, teacher, method, tmp_path / method))
        assert all(torch.equal(before[name], tensor) for name, tensor in teacher.state_dict().items())
    assert not torch.equal(*(student.backbone["conv1"].weight for student in students))
