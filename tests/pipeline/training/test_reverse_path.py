"""A teacher that learns from its student: one step by NumPy, turns, what stays, and a resume."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from learning_data import tiny_dataset, tiny_recipe, tiny_teacher
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import StepInputs, Stream, TeacherTargets
from spikeport.pipeline.distillation.streams import Clip
from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.models.teachers.base import Teacher
from spikeport.pipeline.models.teachers.cnn import CnnTeacher
from spikeport.pipeline.stages.checks import check_recipe
from spikeport.pipeline.training.reverse_path import ReversePath
from spikeport.pipeline.training.train import train_student

T, B, K = 3, 5, 4


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def seen(teacher: Teacher, *, asked: bool = True) -> tuple[dict[str, Clip], StepInputs]:
    labels, images = torch.arange(B) % K, drawn(1, B, 3, 2, 2)
    clip = Clip(frames=torch.zeros(T, B, 2, 2, 2), labels=labels, images=images)
    targets = TeacherTargets(logits=teacher.predict(images).logits)
    logits = (4 * drawn(2, T, B, K)).requires_grad_()
    stream = Stream(logits=logits, features=logits, labels=labels, teacher=targets if asked else None)
    step = StepInputs(streams={"event": stream}, progress=0.0, generator=torch.Generator())
    return {"event": clip}, step


def softmax(rows: np.ndarray) -> np.ndarray:
    return np.exp(rows) / np.exp(rows).sum(1, keepdims=True)


def test_a_step_by_numpy() -> None:
    """z = W x + b: dCE/dz = (softmax(z) - y) / B, and tau^2 KL(s || z) gives tau (softmax(z / tau) - p) / B."""
    torch.manual_seed(0)
    teacher = CnnTeacher(nn.Identity(), nn.Flatten(), nn.Linear(12, K))
    path = ReversePath(teacher, lr=0.5)
    clips, step = seen(teacher)
    path.see(clips, step)
    loss = path.learn().item()
    x = clips["event"].images.reshape(B, 12).double().numpy()
    w, b = (each.detach().double().numpy() for each in (teacher.head.weight, teacher.head.bias))
    z, y = x @ w.T + b, np.eye(K)[np.arange(B) % K]
    p, q = softmax(step.streams["event"].logits.detach().double().numpy().mean(0) / 2), softmax(z / 2)
    gradient = (softmax(z) - y + 2 * (q - p)) / B
    np.testing.assert_allclose(path.teacher.head.weight.detach(), w - 0.5 * gradient.T @ x, atol=1e-6)
    np.testing.assert_allclose(path.teacher.head.bias.detach(), b - 0.5 * gradient.sum(0), atol=1e-6)
    expected = -np.log((softmax(z) * y).sum(1)).mean() + 4 * (p * np.log(p / q)).sum(1).mean()
    assert loss == pytest.approx(expected, abs=1e-5)
    assert step.streams["event"].logits.grad is None


def test_the_given_teacher_and_statistics_stay() -> None:
    torch.manual_seed(0)
    features = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.5))
    teacher = CnnTeacher(features, nn.Flatten(), nn.Linear(16, K)).train()
    before, path = weights_of(teacher), ReversePath(teacher, lr=0.5)
    for asked in (False, True):
        path.see(*seen(teacher, asked=asked))
        moved = path.learn().item() > 0
        assert moved is asked
        assert equal(weights_of(path.teacher), before) is not asked
        assert path.learn().item() == 0  # one step a batch
    assert equal(weights_of(teacher), before)
    after = weights_of(path.teacher)
    assert all(torch.equal(after[name], before[name]) for name in before if "running" in name)
    assert not torch.equal(after["features.1.weight"], before["features.1.weight"])


def train(folder: Path, *, reverse_lr: float = 0.05, losses: tuple[str, ...] = (), stop_at: int = 0) -> Student:
    recipe = tiny_recipe(
        distillation={"method": "tser", "reverse_lr": reverse_lr, "losses": [{"loss": each} for each in losses]},
        training={"epochs": 3, "ema_decay": 0.0},
        student={"v_threshold": 0.2},
    )
    torch.manual_seed(0)
    teacher = tiny_teacher()
    before = weights_of(teacher)

    def progress(done: int, _: int, __: str) -> None:
        if done == stop_at:
            raise RuntimeError("killed")

    student = train_student(recipe, tiny_dataset(paired_images=True), teacher, "tser", folder, progress)
    assert equal(weights_of(teacher), before)
    return student


def test_student_and_teacher_take_turns(tmp_path: Path) -> None:
    """The first batch is that of a frozen teacher; later ones are not. Also with losses that go through the teacher,
    whose weights may not change before the student's gradient is there."""
    with_path, without = (weights_of(train(tmp_path / str(lr), reverse_lr=lr)) for lr in (0.05, 0.0))
    assert not equal(with_path, without)
    train(tmp_path / "through", losses=("block_replacement_kd", "teacher_head_kd", "shared_singular_vectors"))
    lines = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("0.05", "0.0")]
    assert ['"teacher"' in text for text in lines] == [True, False]


def test_a_resumed_training_ends_in_the_same_weights(tmp_path: Path) -> None:
    whole = weights_of(train(tmp_path / "whole"))
    with pytest.raises(RuntimeError, match="killed"):
        train(tmp_path / "killed", stop_at=6)  # in the second of three epochs of four batches
    assert equal(weights_of(train(tmp_path / "killed")), whole)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"distillation": {"method": "baseline", "reverse_lr": 0.1}}, "baseline has no teacher that could learn"),
        ({"teacher": {"network": "onnx:a.onnx", "epochs": 0}}, r"onnx:a.onnx cannot learn from the student"),
        ({"training": {"accumulate": 2}}, "each whole batch, and these are computed in parts.*accumulate"),
    ],
)
def test_what_cannot_learn_is_refused_before_training(changes: dict, message: str) -> None:
    recipe = tiny_recipe(**{"distillation": {"method": "tser", "reverse_lr": 0.1}, **changes})
    with pytest.raises(UserError, match=f"distillation.reverse_lr: .*{message}"):
        check_recipe(recipe, for_netx=False)


def test_a_teacher_that_is_not_trained_is_refused() -> None:
    class Fixed(CnnTeacher):
        trainable = False

    with pytest.raises(UserError, match="this Fixed cannot learn from the student"):
        ReversePath(Fixed(nn.Identity(), nn.Flatten(), nn.Linear(12, K)), lr=0.1)
