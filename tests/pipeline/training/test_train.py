"""Training: exact resume after a kill, independence of test recordings and seeds, and how it fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from json_lines import lines
from learning_data import tiny_dataset, tiny_recipe

from spikeport.errors import UserError
from spikeport.pipeline.data.event_synthesis.simulator import Simulator
from spikeport.pipeline.run.seeding import derived_seed
from spikeport.pipeline.run.tensor_files import read_tree
from spikeport.pipeline.training.checkpoints import CHECKPOINT
from spikeport.pipeline.training.pretraining import pretrain_student
from spikeport.pipeline.training.qat import qat_finetune
from spikeport.pipeline.training.train import initial_student, train_student, train_teacher

HELPERS = Path(__file__).parents[2] / "helpers"


# A student that stops in the middle of its third epoch, until it is killed.
SLOW_TRAINING = """
import sys, time
from pathlib import Path
from learning_data import tiny_dataset, tiny_recipe
from spikeport.pipeline.training.train import train_student, train_teacher

def report(done, total, what):
    print(what, done, total, flush=True)
    if what == "student-ckd" and done == total // 2 + 2:
        time.sleep(3600)

folder, recipe, data = Path(sys.argv[1]), tiny_recipe(), tiny_dataset()
teacher = train_teacher(recipe, data, folder / "teacher", report)
train_student(recipe, data, teacher, "ckd", folder / "student", report, folder / "metrics.jsonl")
"""


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    states = a.state_dict(), b.state_dict()
    return states[0].keys() == states[1].keys() and all(torch.equal(states[0][k], states[1][k]) for k in states[0])


def without_seconds(rows: list[dict]) -> list[dict]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def test_a_killed_training_ends_in_the_same_weights(tmp_path: Path) -> None:
    """SIGKILL in the middle of epoch 3 of 4, then a resume: weights, choice and metrics as if unbroken."""
    recipe, data = tiny_recipe(), tiny_dataset()
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_TRAINING, str(broken)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HELPERS), str(HELPERS.parent)])},
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.split()[:2] == ["student-ckd", "10"]:  # 4 batches an epoch: the second batch of the third
            process.send_signal(signal.SIGKILL)
            break
    assert process.wait() == -signal.SIGKILL
    assert [row["epoch"] for row in lines(broken / "metrics.jsonl")] == [1, 2]

    seen: list[int] = []
    teacher = train_teacher(recipe, data, unbroken / "teacher")
    whole = train_student(recipe, data, teacher, "ckd", unbroken / "student", metrics=unbroken / "metrics.jsonl")
    resumed = train_student(
        recipe,
        data,
        train_teacher(recipe, data, broken / "teacher"),
        "ckd",
        broken / "student",
        lambda done, total, what: seen.append(done),
        broken / "metrics.jsonl",
    )
    assert seen == list(range(9, 17))  # it went on after the second epoch, and did not start over
    assert same_weights(whole, resumed)
    assert without_seconds(lines(broken / "metrics.jsonl")) == without_seconds(lines(unbroken / "metrics.jsonl"))
    assert [row["epoch"] for row in lines(broken / "metrics.jsonl")] == [1, 2, 3, 4]


def test_a_finished_training_is_only_read(tmp_path: Path) -> None:
    recipe, data, calls = tiny_recipe(), tiny_dataset(), []
    first = train_student(recipe, data, None, "baseline", tmp_path)
    (tmp_path / "metrics.jsonl").unlink()  # as if killed after the last checkpoint, before its line
    again = train_student(recipe, data, None, "baseline", tmp_path, lambda *report: calls.append(report))
    assert same_weights(first, again)
    assert not calls
    assert len(lines(tmp_path / "metrics.jsonl")) == 4


def test_silent_recordings_are_counted_each_epoch_and_no_class(tmp_path: Path) -> None:
    """A student whose threshold nothing reaches: no validation recording of class 0 is right by its silence."""
    recipe = tiny_recipe(student={"v_threshold": 500.0}, training={"epochs": 2}, quantization={"epochs": 1})
    data = tiny_dataset()
    student = train_student(recipe, data, None, "baseline", tmp_path)
    qat_finetune(recipe, data, student, tmp_path / "tuned")
    rows = [*lines(tmp_path / "metrics.jsonl"), *lines(tmp_path / "tuned" / "metrics.jsonl")]
    count = len(data.validation.labels)
    assert np.any(data.validation.labels == 0)
    assert [(row["validation_accuracy"], row["validation_silent"]) for row in rows] == [(0, count)] * 3


@pytest.mark.parametrize(("least", "steps"), [(0, 2), (1, 2), (9, 10)])
@pytest.mark.parametrize("pretrained", [False, True])
def test_few_recordings_are_trained_for_the_least_number_of_steps(
    tmp_path: Path, least: int, steps: int, *, pretrained: bool
) -> None:
    """7 recordings in batches of 3 are 2 steps an epoch, and epochs are whole."""
    recipe = tiny_recipe(training={"epochs": 1, "batch": 3, "min_steps": least}, synthesis={"finetune_epochs": 1})
    data, seen = tiny_dataset(train=7), []
    first = initial_student(recipe, data) if pretrained else None
    train_student(
        recipe, data, None, "baseline", tmp_path, lambda done, total, what: seen.append((done, total)), pretrained=first
    )
    assert seen[-1] == (steps, steps)


@pytest.mark.parametrize(("least", "steps"), [(0, 8), (8, 8), (9, 12)])
def test_few_images_are_pretrained_on_for_the_least_number_of_steps(tmp_path: Path, least: int, steps: int) -> None:
    """Images in four batches, for two epochs, and epochs are whole."""
    data = tiny_dataset(train=7)
    synthesis = {"kind": "simulator", "pretrain_epochs": 2, "pretrain_min_steps": least}
    synthesis["pretrain_batch"] = len(data.static.labels) // 4
    recipe = tiny_recipe(distillation={"method": "synthetic-events"}, synthesis=synthesis)
    camera, seen = Simulator(recipe.data.steps, recipe.data.step_us), []
    teacher = train_teacher(recipe, data, tmp_path / "teacher")
    pretrain_student(recipe, data, teacher, camera, tmp_path, lambda done, total, what: seen.append((done, total)))
    assert seen[-1] == (steps, steps)


def test_losses_with_parameters_are_initialized_by_the_seed(tmp_path: Path) -> None:
    """Whatever torch's global generator was at."""
    term = {"loss": "feature_kd", "stream": "event", "options": {"projector": "affine"}}
    recipe = tiny_recipe(distillation={"method": "baseline", "losses": [term]}, training={"epochs": 1})
    data = tiny_dataset(paired_images=True)
    teacher = train_teacher(recipe, data, tmp_path / "teacher")
    students = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        students.append(train_student(recipe, data, teacher, "baseline", tmp_path / str(seed)))
    assert same_weights(*students)
    other = recipe.model_copy(update={"seed": 6})
    assert not same_weights(students[0], train_student(other, data, teacher, "baseline", tmp_path / "other"))


def test_an_alignment_may_come_and_go(tmp_path: Path) -> None:
    """Its learned coefficients go on weighing the events' steps while its own weight is 0."""
    term = {
        "loss": "cka_alignment", "stream": "hybrid", "options": {"coefficients": "learnable"},
        "schedule": {"shape": "cosine", "start": 0.2, "end": 0.4},
    }  # fmt: skip
    recipe = tiny_recipe(
        distillation={"method": "he2024", "options": {"cka_weight": 0.0, "cka_learnable": False}, "losses": [term]}
    )
    train_student(recipe, tiny_dataset(paired_images=True), None, "he2024", tmp_path)
    rows = lines(tmp_path / "metrics.jsonl")
    assert [row["hybrid.cka_alignment.weight"] > 0 for row in rows] == [True, True, False, False]
    assert all(max(row["event_weights"]) < 0.5 for row in rows)


def test_no_choice_looks_at_the_test_recordings(tmp_path: Path) -> None:
    """Published code keeps the epoch that is best on them (distillation.md 1.1, hazard 4). Other test recordings, all
    labeled wrongly: the same weights throughout, the same choices, the same lines of metrics."""
    recipe, data = tiny_recipe(training={"epochs": 6}), tiny_dataset()
    test = data.test
    other = replace(test, frames=1 - test.frames, labels=(test.labels + 1) % 3)
    found = []
    for name, seen in (("one", data), ("two", replace(data, test=other))):
        folder = tmp_path / name
        teacher = train_teacher(recipe, seen, folder / "teacher")
        student = train_student(recipe, seen, teacher, "ckd", folder / "student")
        tuned = qat_finetune(recipe, seen, student, folder / "tuned")
        stages = [lines(folder / stage / "metrics.jsonl") for stage in ("teacher", "student", "tuned")]
        best = [read_tree(folder / stage / CHECKPOINT)["best"]["epoch"] for stage in ("student", "tuned")]
        found.append(((teacher, student, tuned), [without_seconds(stage) for stage in stages], best))
    assert all(same_weights(one, two) for one, two in zip(found[0][0], found[1][0], strict=True))
    assert found[0][1:] == found[1][1:]


def test_methods_start_alike_and_seeds_do_not(tmp_path: Path) -> None:
    data = tiny_dataset()
    assert same_weights(initial_student(tiny_recipe(), data), initial_student(tiny_recipe(), data))
    other = tiny_recipe().model_copy(update={"seed": 6})
    assert not same_weights(initial_student(tiny_recipe(), data), initial_student(other, data))
    assert derived_seed(1, "a", 2, 3) == derived_seed(1, "a", 2, 3)
    different = {derived_seed(*key) for key in [(1, "a", 2, 3), (1, "a", 3, 2), (1, "b", 2, 3), (2, "a", 2, 3)]}
    assert len(different) == 4


def test_distillation_leaves_the_teacher_alone(tmp_path: Path) -> None:
    """Neither a weight nor a batch norm statistic of the teacher changes during distillation."""
    recipe, data = tiny_recipe(), tiny_dataset()
    teacher = train_teacher(recipe, data, tmp_path / "teacher")
    before = {key: tensor.clone() for key, tensor in teacher.state_dict().items()}
    train_student(recipe, data, teacher, "ckd", tmp_path / "student")
    assert all(torch.equal(before[key], tensor) for key, tensor in teacher.state_dict().items())


def test_skipping_a_teacher_without_weight_changes_nothing(tmp_path: Path) -> None:
    """With kd_weight 0 the teacher is never asked: a broken one gives the same student."""
    recipe = tiny_recipe(distillation={"options": {"kd_weight": 0.0}})
    data = tiny_dataset()
    teacher = train_teacher(recipe, data, tmp_path / "teacher")
    students = []
    for name, taught in (("whole", teacher), ("broken", _Refuses())):
        students.append(train_student(recipe, data, taught, "ckd", tmp_path / name))
    assert same_weights(*students)


class _Refuses(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        raise AssertionError("asked")


def test_the_teacher_learns_and_is_chosen_without_the_test_set(tmp_path: Path) -> None:
    """With images paired with the validation recordings they choose; without, images held out of training do."""
    for paired_images in (False, True):
        recipe = tiny_recipe(teacher={"epochs": 6})
        teacher = train_teacher(recipe, tiny_dataset(paired_images=paired_images), tmp_path / str(paired_images))
        rows = lines(tmp_path / str(paired_images) / "metrics.jsonl")
        assert rows[-1]["loss"] < rows[0]["loss"] / 2
        assert teacher(torch.rand(2, 3, 9, 11)).shape == (2, 3)
        assert max(row["validation_accuracy"] for row in rows) > 0.9


def test_impossible_requests(tmp_path: Path) -> None:
    data = tiny_dataset()
    with pytest.raises(UserError, match=r"student-ckd needs a teacher.*Hint: train without"):
        train_student(tiny_recipe(), data, None, "ckd", tmp_path)
    with pytest.raises(UserError, match=r"'magic' is not a distillation method.*use one of baseline, ckd"):
        train_student(tiny_recipe(), data, None, "magic", tmp_path)
    with pytest.raises(UserError, match=r"'snail' is not a student network.*use one of conv"):
        train_student(tiny_recipe(student={"network": "snail"}), data, None, "baseline", tmp_path)
    with pytest.raises(UserError, match=r"'snail' is not a teacher network.*use one of cnn-small"):
        train_teacher(tiny_recipe(teacher={"network": "snail"}), data, tmp_path)
    with pytest.raises(UserError, match=r"teacher: the loss is no longer finite.*lower the learning rate"):
        train_teacher(tiny_recipe(teacher={"lr": 1e30}), data, tmp_path)
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match=r"torch finds no GPU.*set it to cpu or auto"):
            train_student(tiny_recipe(training={"accelerator": "gpu"}), data, None, "baseline", tmp_path / "gpu")
