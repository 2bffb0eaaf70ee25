"""A finished training goes on for more epochs, from its last checkpoint."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from cli_inputs import one_line
from digit_recipes import DIGITS
from safetensors.torch import load_file

import spikeport as sp
from spikeport.errors import UserError
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.recipe_file import parse_recipe
from spikeport.pipeline.run.run_folder import RunFolder, create, open_run
from spikeport.pipeline.run.tensor_files import write_tree
from spikeport.pipeline.stages.added_epochs import added_epochs, with_more_epochs
from spikeport.pipeline.stages.resuming import begin
from spikeport.pipeline.stages.runner import stages_of
from spikeport.pipeline.training.student_task import StudentTask

# Without validation the last epoch is kept, so that every epoch shows in the weights.
RECIPE = f"""{DIGITS.replace("validation = 20", "validation = 0")}[student]
channels = [3, 4]
v_threshold = 0.3
[training]
epochs = 3
lr = 4e-3
threads = 1
accelerator = "cpu"
[quantization]
epochs = 1
[distillation]
train_baseline = false
[check]
backends = []
[profile]
baseline_seconds = 0.05
"""
STUDENT = "student-ckd"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run of three epochs, beside its recipe, and the same planned with five."""
    folder = tmp_path_factory.mktemp("first")
    (folder / "r.toml").write_text(RECIPE)
    sp.train(folder / "r.toml", folder / "one")
    sp.train(sp.load_recipe(folder / "r.toml", {"training.epochs": 5}), folder / "planned")
    return folder


def rows(run: Path, stage: str = STUDENT) -> list[dict]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [row for row in lines if row["stage"] == stage]


def weights(run: Path, name: str = "student.safetensors") -> dict[str, torch.Tensor]:
    return load_file(run / name)


def alike(one: Path, other: Path) -> bool:
    pairs = [(weights(one, name), weights(other, name)) for name in ("student.safetensors", "quantized.safetensors")]
    return all(torch.equal(a[key], b[key]) for a, b in pairs for key in a)


def test_two_more_epochs_follow_the_schedule_over_all_of_them(spikeport, first: Path) -> None:
    shutil.copytree(first / "one", "one")
    before = rows(Path("one"))
    teacher, tuned = (Path("one", name).read_bytes() for name in ("teacher.safetensors", "quantized.safetensors"))
    code, _, err = spikeport("run", "one", "--resume", "--epochs", "+2")
    assert code == 0, err
    after = rows(Path("one"))
    assert after[:3] == before
    assert [row["epoch"] for row in after] == [1, 2, 3, 4, 5]
    for row in after[3:]:
        assert row["lr"] == pytest.approx(4e-3 * (1 + math.cos(math.pi * row["epoch"] / 5)) / 2, abs=1e-12)
    assert before[-1]["lr"] == pytest.approx(0)  # the schedule over three epochs had ended
    assert Path("one/teacher.safetensors").read_bytes() == teacher
    assert Path("one/quantized.safetensors").read_bytes() != tuned  # of the new student
    assert len(rows(Path("one"), "quantized-ckd")) == 1
    assert not alike(Path("one"), first / "planned")
    assert "training.epochs from 3 to 5; student-ckd goes on after epoch 3" in err
    assert "reading and binning the recordings: done before" in err
    assert open_run(Path("one")).recipe.training.epochs == 5
    plans = "from epoch 1 as one of 3, from epoch 4 as one of 5"
    assert json.loads(Path("one/report.json").read_text())["provenance"]["added_epochs"] == {STUDENT: plans}
    assert plans in Path("one/report.md").read_text()
    assert plans in Path("one/report.html").read_text()


def test_the_same_two_commands_give_the_same_weights(spikeport, first: Path) -> None:
    shutil.copytree(first / "one", "one")
    assert spikeport("train", "one", "--resume", "--epochs", "+2")[0] == 0
    assert spikeport("train", first / "r.toml", "--out", "two")[0] == 0
    assert alike(first / "one", Path("two"))
    sp.train(sp.load_recipe("two", {"training.epochs": 5}), "two", resume=True)
    assert alike(Path("one"), Path("two"))
    assert added_epochs(open_run(Path("one"))) == added_epochs(open_run(Path("two")))


@pytest.mark.parametrize("killed", [3, 4])
def test_a_killed_addition_is_continued_by_the_same_command(
    spikeport, first: Path, killed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not add once more, until the epochs are trained."""
    for name in ("whole", "killed"):
        shutil.copytree(first / "one", name)
    command = ("--resume", "--epochs", "+2")
    assert spikeport("train", "whole", *command)[0] == 0
    start = StudentTask.on_train_epoch_start

    def on_train_epoch_start(task: StudentTask) -> None:
        if task.current_epoch == killed and task.stage == STUDENT:
            raise KeyboardInterrupt
        start(task)

    with monkeypatch.context() as patched:
        patched.setattr(StudentTask, "on_train_epoch_start", on_train_epoch_start)
        assert spikeport("train", "killed", *command)[0] == 130
    assert spikeport("train", "killed", *command)[0] == 0
    assert len(rows(Path("killed"))) == 5
    assert alike(Path("whole"), Path("killed"))
    sp.train("killed", resume=True, more_epochs=1)
    assert len(rows(Path("killed"))) == 6
    plans = "from epoch 1 as one of 3, from epoch 4 as one of 5, from epoch 6 as one of 6"
    assert added_epochs(open_run(Path("killed"))) == {STUDENT: plans}


def test_a_stage_is_repeated_with_its_checkpoints_gone(spikeport, first: Path) -> None:
    """`--from` begins at epoch 1, and forgets that epochs were added."""
    shutil.copytree(first / "one", "one")
    assert spikeport("train", "one", "--resume", "--epochs", "+2")[0] == 0
    assert spikeport("train", "one", "--from", "student")[0] == 0
    assert alike(Path("one"), first / "planned")
    assert added_epochs(open_run(Path("one"))) == {}


def test_a_training_whose_file_was_changed_is_trained_again_and_not_taken_from_its_checkpoint(
    spikeport, first: Path
) -> None:
    shutil.copytree(first / "one", "one")
    Path("one/student.safetensors").write_bytes(b"other")
    code, _, err = spikeport("train", "one", "--resume")
    assert code == 0, err
    assert "student-ckd epoch 1/3" in err
    assert "quantized-ckd epoch 1/1" in err
    assert alike(Path("one"), first / "one")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--epochs", "+2"), "epochs can be added to a run that goes on, and to no new one. Hint: add --resume"),
        (("--resume", "--epochs", "+0"), "0 is not a number of epochs to add"),
        (("--resume", "--epochs", "+x"), "'+x' is not a number of epochs"),
        (("--resume", "--epochs", "many"), "'many' is not a number of epochs"),
        (("--resume", "--epochs", "+2", "--set", "training.epochs=9"), "--set training.epochs gives training.epochs"),
        (("--resume", "--epochs", "+2", "--set", "training.min_steps=9"), "this run counts steps, not epochs"),
    ],
)
def test_what_adds_no_epochs_is_refused(spikeport, first: Path, words: tuple[str, ...], reason: str) -> None:
    shutil.copytree(first / "one", "one")
    code, out, err = spikeport("train", "one", *words)
    assert (code, out) == (2, "")
    assert reason in one_line(err)
    assert open_run(Path("one")).manifest == open_run(first / "one").manifest


def test_there_must_be_a_run(spikeport, first: Path) -> None:
    code, _, err = spikeport("train", first / "r.toml", "--out", "new", "--resume", "--epochs", "+2")
    assert code == 2
    assert "new: is not a run folder" in one_line(err)


# What goes on and what is trained again, without training.

TWO = {"name": "a", "teacher": {"epochs": 2}, "training": {"epochs": 3}, "quantization": {"epochs": 1}}


def recipe(**changes: Mapping[str, object]) -> Recipe:
    sections = {key: {**value, **changes.get(key, {})} for key, value in TWO.items() if isinstance(value, dict)}
    return parse_recipe({**TWO, **changes, **sections}, where="test")


def made(folder: Path, without: str = "") -> RunFolder:
    """A finished run of both methods; each training but `without` has a checkpoint of two epochs."""
    run = create(folder, recipe(), resume=False, about={})
    for stage in stages_of(run.recipe):
        run.record(stage.name, {}, (), 0.0)
        if stage.name.split("-")[0] in ("teacher", "student", "quantized") and stage.name != without:
            (run.file("checkpoints") / stage.name).mkdir(parents=True)
            write_tree({"history": [{}, {}]}, checkpoint(run, stage.name))
    return run


def checkpoint(run: RunFolder, stage: str) -> Path:
    return run.file("checkpoints") / stage / "checkpoint.safetensors"


def left(run: RunFolder) -> tuple[set[str], set[str]]:
    """Stages of trainings that are done, and those with a checkpoint."""
    stages = [stage.name for stage in stages_of(run.recipe)][1:6]
    done = set(open_run(run.path).manifest["stages"])
    return done & set(stages), {stage for stage in stages if checkpoint(run, stage).exists()}


ALL = {"teacher", "student-ckd", "quantized-ckd", "student-baseline", "quantized-baseline"}


def test_more_epochs_of_the_students_quantize_them_again(tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    begin(run.path, recipe(training={"epochs": 4}), about={}, resume=True)
    assert left(run) == ({"teacher"}, {"teacher", "student-ckd", "student-baseline"})


def test_more_epochs_of_the_quantization_leave_the_students(tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    begin(run.path, recipe(quantization={"epochs": 5}), about={}, resume=True)
    assert left(run) == ({"teacher", "student-ckd", "student-baseline"}, ALL)


def test_more_epochs_of_the_teacher_need_a_word_about_its_students(tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    for more in ({}, {"training": {"epochs": 9}}):
        with pytest.raises(UserError, match=r"student-ckd, quantized-ckd.*trained again.*--from student,"):
            begin(run.path, recipe(teacher={"epochs": 3}, **more), about={}, resume=True)
        assert left(run) == (ALL, ALL)
    begin(run.path, recipe(teacher={"epochs": 3}), about={}, again_from="student")
    assert left(run) == (set(), {"teacher"})


@pytest.mark.parametrize(
    "changes",
    [
        {"training": {"epochs": 2}},
        {"training": {"epochs": 4, "lr": 1.0}},
        {"training": {"epochs": 4, "patience": 2}},
        {"training": {"lr": 1.0}},
    ],
)
def test_only_more_epochs_alone_go_on(tmp_path: Path, changes: dict) -> None:
    run = made(tmp_path / "run")
    with pytest.raises(UserError, match=r"other settings of training\..*trained again"):
        begin(run.path, recipe(**changes), about={}, resume=True)
    assert left(run) == (ALL, ALL)


def test_a_training_without_a_checkpoint_does_not_go_on(tmp_path: Path) -> None:
    run = made(tmp_path / "run", without="student-baseline")
    with pytest.raises(UserError, match="student-baseline, quantized-baseline would be trained again"):
        begin(run.path, recipe(training={"epochs": 4}), about={}, resume=True)


def test_callbacks_may_change_between_epochs(tmp_path: Path) -> None:
    run, lines = made(tmp_path / "run"), []
    begin(run.path, recipe(training={"callbacks": ("a:b",)}), about={}, resume=True, log=lines.append)
    assert lines == ["changed: training.callbacks; no stage that is done has read it"]
    assert left(run) == (ALL, ALL)
    begin(run.path, recipe(training={"callbacks": (), "epochs": 4}), about={}, resume=True)
    assert left(run)[0] == {"teacher"}


def test_epochs_are_added_to_what_is_finished(tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    assert with_more_epochs(recipe(training={"epochs": 30}), run, 2).training.epochs == 5
    run = begin(run.path, recipe(training={"epochs": 5}), about={}, resume=True)
    assert with_more_epochs(run.recipe, run, 2).training.epochs == 5
    for stage in ("student-ckd", "student-baseline"):
        run.record(stage, {}, (), 0.0)
    assert with_more_epochs(run.recipe, run, 2).training.epochs == 7
