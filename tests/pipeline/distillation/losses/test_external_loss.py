"""Losses of other packages, named in a recipe as package.module:Class."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from learning_data import tiny_dataset, tiny_recipe

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import Sizes, StepInputs, Stream, TeacherTargets
from spikeport.pipeline.distillation.losses.table import build_loss
from spikeport.pipeline.distillation.method_parts import MethodSpec
from spikeport.pipeline.distillation.objective import Objective, check_spec, uses_teacher
from spikeport.pipeline.run.sections.distillation import LossSpec
from spikeport.pipeline.training.train import train_student

# A file of a user's: two losses that work and others that do not.
TOY = '''
import torch
from torch import nn

from spikeport.pipeline.distillation.losses.base import (
    DistillationLoss, Labels, Sizes, StudentEmbedding, StudentLogits, TeacherEmbedding
)
from spikeport.pipeline.distillation.losses.tet import tet


class Scaled(DistillationLoss):
    """Temporal efficient training, `factor` times."""

    def __init__(self, sizes: Sizes, *, factor: float = 1.0, mse_weight: float = 1e-3) -> None:
        super().__init__(sizes)
        self.factor, self.mse_weight, self.target = factor, mse_weight, sizes.v_threshold

    def forward(self, logits: StudentLogits, labels: Labels) -> torch.Tensor:
        return self.factor * tet(logits, labels, mse_weight=self.mse_weight, target=self.target)


class Towards(DistillationLoss):
    """Mean squared difference of the teacher's embedding and a linear map of the student's, averaged over time."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.map = nn.Linear(sizes.student_embedding, sizes.teacher_embedding)

    def forward(self, student: StudentEmbedding, teacher: TeacherEmbedding) -> torch.Tensor:
        return (self.map(student.mean(0)) - teacher).square().mean()


class Unannotated(DistillationLoss):
    def forward(self, logits):
        return logits.mean()


class PerSample(DistillationLoss):
    def forward(self, logits: StudentLogits) -> torch.Tensor:
        return logits.mean((0, 2))


class NotALoss:
    pass
'''
T, B, K = 3, 5, 4
SIZES = Sizes(steps=T, classes=K, v_threshold=1.0, student_embedding=7, teacher_embedding=9)


@pytest.fixture(autouse=True)
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toy_losses.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "toy_losses", raising=False)


def rand(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def step(teacher: TeacherTargets | None = None) -> StepInputs:
    stream = Stream(
        logits=rand(0, T, B, K),
        features=rand(1, T, B, 6),
        labels=torch.arange(B) % K,
        embedding=rand(2, T, B, 7),
        teacher=teacher,
    )
    return StepInputs(streams={"event": stream}, progress=0.5, generator=torch.Generator())


def test_it_trains_a_student(tmp_path: Path) -> None:
    """Twice the shipped loss at half its weight, powers of two: the very weights that the shipped loss trains."""
    data, students = tiny_dataset(), []
    for at, loss in enumerate(
        [
            {"loss": "tet", "weight": 0.5},
            {"loss": "toy_losses:Scaled", "weight": 0.25, "options": {"factor": 2.0}},
            {"loss": "toy_losses:Scaled", "weight": 0.25, "options": {"factor": 4.0}},
        ]
    ):
        recipe = tiny_recipe(distillation={"method": "baseline", "losses": [loss]}, training={"epochs": 1})
        students.append(train_student(recipe, data, None, "baseline", tmp_path / str(at)).state_dict())
    shipped, same, stronger = students
    assert all(torch.equal(shipped[key], same[key]) for key in shipped)
    assert any(not torch.equal(shipped[key], stronger[key]) for key in shipped)


def test_its_parameters_are_trained_and_its_needs_are_known() -> None:
    spec = MethodSpec(losses=(LossSpec(loss="toy_losses:Towards"),))
    assert uses_teacher(spec)
    assert not uses_teacher(MethodSpec(losses=(LossSpec(loss="toy_losses:Scaled"),)))
    torch.manual_seed(0)
    objective = Objective(spec, SIZES)
    targets = TeacherTargets(logits=rand(3, B, K), embedding=rand(4, B, 9))
    seen = step(targets)
    weight, bias = objective.parameters()
    mapped = seen.streams["event"].embedding.mean(0) @ weight.T + bias
    expected = ((mapped - targets.embedding) ** 2).sum() / (B * 9)
    value = objective(seen)
    torch.testing.assert_close(value.total, expected)
    assert "event.toy_losses:Towards" in value.parts
    value.total.backward()
    assert weight.grad.any()
    with pytest.raises(UserError, match="needs embedding of the teacher, and this teacher has none"):
        objective(step(TeacherTargets(logits=rand(3, B, K))))
    with pytest.raises(UserError, match="needs embedding of the teacher, and this teacher has none"):
        objective.check(Sizes(steps=T, classes=K, v_threshold=1.0, student_embedding=7))


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"loss": "toy_losses:Nowhere"}, r"cannot be imported.*Nowhere"),
        ({"loss": "no_such_module_at_all:Loss"}, "cannot be imported"),
        ({"loss": "toy_losses:NotALoss"}, "'toy_losses:NotALoss' is not a loss.*subclass of"),
        ({"loss": "toy_losses:Scaled", "options": {"factor": "much"}}, "factor = 'much'.*its options are factor, mse"),
        ({"loss": "toy_losses:Towards", "options": {"factor": 2.0}}, "unknown key 'factor'.*its options are none"),
    ],
)
def test_what_cannot_be_is_refused_before_training(recipe: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_spec(MethodSpec(losses=(LossSpec(**recipe),)))


def test_what_its_code_does_wrong_is_named() -> None:
    with pytest.raises(UserError, match=r"parameter 'logits' of Unannotated.forward is not annotated"):
        build_loss("toy_losses:Unannotated", {}, SIZES)
    with pytest.raises(UserError, match=r"PerSample.forward returned a tensor of shape \(5,\), not a scalar"):
        Objective(MethodSpec(losses=(LossSpec(loss="toy_losses:PerSample"),)), SIZES)(step())
    with pytest.raises(UserError, match=r"toy_losses:Towards failed: TypeError"):  # nn.Linear(None, 9)
        build_loss("toy_losses:Towards", {}, Sizes(steps=T, classes=K, v_threshold=1.0, teacher_embedding=9))
