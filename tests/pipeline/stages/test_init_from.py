"""A run that starts from the float weights of another run: which weights, what is refused, and what is recorded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from cli_inputs import one_line
from digit_recipes import DIGITS
from learning_data import tiny_dataset, tiny_recipe
from safetensors.torch import load_file

import spikeport as sp
from spikeport import notes
from spikeport.pipeline.data.splits.leakage import check_leakage, held_out_keys
from spikeport.pipeline.models.storage import save_student
from spikeport.pipeline.run.run_folder import RunFolder, create, open_run
from spikeport.pipeline.stages.settings import load_recipe
from spikeport.pipeline.training.first_weights import started_student
from spikeport.pipeline.training.train import new_student

RECIPE = f"""{DIGITS}[student]
channels = [3, 4]
v_threshold = 0.3
[training]
epochs = 3
threads = 1
accelerator = "cpu"
weight_decay = 0.0
[quantization]
epochs = 1
[distillation]
train_baseline = false
[check]
backends = []
"""
STILL = ("--set", "training.lr=1e-30", "--set", "teacher.lr=1e-30", "--set", "teacher.weight_decay=0.0")
WEIGHTS = ("backbone.conv1.weight", "backbone.conv2.weight", "heads.event.weight")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run, beside its recipe."""
    folder = tmp_path_factory.mktemp("first")
    (folder / "r.toml").write_text(RECIPE)
    sp.train(folder / "r.toml", folder / "one")
    return folder


def test_the_networks_start_from_those_of_the_run(spikeport, first: Path) -> None:
    """With a learning rate of almost 0 no weight moves: they end as the other run's, bit for bit."""
    code, _, err = spikeport("run", first / "r.toml", "--init-from", first / "one", "--out", "two", *STILL)
    assert code == 0, err
    for file in ("student.safetensors", "teacher.safetensors"):
        before, after = load_file(first / "one" / file), load_file(Path("two") / file)
        trained = [name for name in before if name.endswith((".weight", ".bias"))]
        assert len(trained) > 5
        assert all(torch.equal(before[name], after[name]) for name in trained)
    stages = open_run(Path("two")).manifest["stages"]
    digest = open_run(first / "one").manifest["stages"]["student-ckd"]["files"]["student.safetensors"]
    text = f"student.safetensors of run one (recipe small, {digest})"
    assert stages["student-ckd"]["result"]["started_from"] == text
    assert "teacher.safetensors of run one" in stages["teacher"]["result"]["started_from"]
    assert "started_from" not in stages["quantized-ckd"]["result"]
    report = json.loads(Path("two/report.json").read_text())
    assert report["provenance"]["started_from"]["student-ckd"] == text
    assert f"student-ckd: {text}" in Path("two/report.md").read_text()
    assert load_recipe("two/recipe.toml").training.init_from == str(first / "one")


def test_without_it_nothing_is_recorded_and_other_weights_come_out(spikeport, first: Path) -> None:
    code, _, err = spikeport("train", first / "r.toml", "--out", "two", *STILL)
    assert code == 0, err
    before, after = (load_file(folder / "student.safetensors") for folder in (first / "one", Path("two")))
    assert not any(torch.equal(before[name], after[name]) for name in WEIGHTS)
    assert "started_from" not in Path("two/manifest.json").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("data.split_seed=4",), "of the recordings that are held out here"),
        (("student.channels=[3,5]",), "backbone.conv2.weight is [4, 3, 3, 3], not [5, 3, 3, 3]"),
        (("student.hidden=7",), "no backbone."),
        (("distillation.initialize=true",), "distillation.initialize gives the student's first weights too"),
        (("training.init_from=nowhere",), "nowhere: is not a run folder"),
    ],
)
def test_what_does_not_fit_is_refused_before_a_training(spikeport, first: Path, words, said: str) -> None:
    given = (f"training.init_from={first / 'one'}", *words)
    code, _, err = spikeport(
        "train", first / "r.toml", "--out", "two", *(word for one in given for word in ("--set", one))
    )
    assert code == 2
    assert said in one_line(err)
    assert not Path("two/metrics.jsonl").exists()


def test_a_run_is_not_started_from_itself_or_from_two(spikeport, first: Path) -> None:
    code, _, err = spikeport(
        "train", first / "r.toml", "--out", first / "one", "--init-from", first / "one", "--resume"
    )
    assert (code, "a run cannot start from itself" in one_line(err)) == (2, True)
    code, _, err = spikeport("train", first / "r.toml", "--init-from", "a", "--set", "training.init_from=b")
    assert (code, "--set training.init_from gives training.init_from too" in one_line(err)) == (2, True)


def test_a_run_whose_student_is_not_trained_is_refused(spikeport, first: Path, tmp_path: Path) -> None:
    create(tmp_path / "new", load_recipe(first / "r.toml"), resume=False, about={})
    code, _, err = spikeport("train", first / "r.toml", "--out", "two", "--init-from", "new")
    assert code == 2
    assert "its stage student-ckd has not run" in one_line(err)
    assert not Path("two").exists()


def test_the_weights_of_the_teacher_that_are_named_are_taken(spikeport, first: Path) -> None:
    weights = first / "one" / "teacher.safetensors"
    words = ("--set", f"teacher.weights={weights}", "--set", "teacher.epochs=0", "--set", "training.epochs=1")
    code, _, err = spikeport("train", first / "r.toml", "--out", "two", "--init-from", first / "one", *words)
    assert code == 0, err
    assert "the teacher starts from teacher.weights, and only the student from training.init_from" in err
    assert "started_from" not in open_run(Path("two")).result("teacher")


def test_another_teacher_is_initialized_and_that_is_said(spikeport, first: Path) -> None:
    words = ("--set", "teacher.width=0.5", "--set", "training.epochs=1")
    code, _, err = spikeport("train", first / "r.toml", "--out", "two", "--init-from", first / "one", *words)
    assert code == 0, err
    assert "the teacher is initialized: teacher.width differ" in err


def test_a_stopped_run_goes_on_to_the_same_weights(spikeport, first: Path, tmp_path: Path) -> None:
    recipe = load_recipe(first / "r.toml")

    def stop(done: int, _: int, stage: str) -> None:
        if stage == "student-ckd" and done == 7:  # of 9 steps: in the third epoch
            raise KeyboardInterrupt

    whole = sp.train(recipe, tmp_path / "whole", init_from=first / "one")
    with pytest.raises(KeyboardInterrupt):
        sp.train(recipe, tmp_path / "stopped", init_from=first / "one", progress=stop)
    code, _, err = spikeport("train", first / "r.toml", "--out", "stopped", "--resume")
    assert (code, "made with other settings of training.init_from" in one_line(err)) == (2, True)
    resumed = sp.train(recipe, tmp_path / "stopped", init_from=first / "one", resume=True)
    for file in ("student.safetensors", "quantized.safetensors"):
        assert (whole.path / file).read_bytes() == (resumed.path / file).read_bytes()


# Other classes


def other_run(folder: Path, **changes) -> tuple[RunFolder, dict[str, torch.Tensor]]:
    """A run of the tiny data set with a student of other weights than a new one's."""
    recipe, data = tiny_recipe(**changes), tiny_dataset()
    run = create(folder, recipe, resume=False, about={})
    student = new_student(recipe, data)
    for weight in student.parameters():
        torch.nn.init.normal_(weight)
    save_student(student, run.file("student.safetensors"))
    run.record("data", {"name": "tiny", "classes": list(data.classes), "held_out_keys": held_out_keys(data)}, (), 0.0)
    run.record(f"student-{recipe.distillation.method}", {}, ("student.safetensors",), 0.0)
    return run, student.state_dict()


@pytest.mark.parametrize("classes", [("top", "middle", "bottom"), ("a", "b", "c"), ("a", "b", "c", "d")])
def test_the_last_layer_is_left_where_the_classes_are_others(tmp_path: Path, capsys, monkeypatch, classes) -> None:
    monkeypatch.setattr(notes, "_printed", set())
    run, theirs = other_run(tmp_path / "run")
    data = replace(tiny_dataset(), classes=classes)
    plain = new_student(tiny_recipe(), data).state_dict()
    recipe = tiny_recipe(training={"init_from": str(run.path)}, student={"beta": 0.5})
    started = new_student(recipe, data)
    found = started.state_dict()
    same = classes == tiny_dataset().classes
    weights = {name for name, _ in started.named_parameters()}
    for name in weights:
        left = name.startswith("heads.") and not same
        assert torch.equal(found[name], plain[name] if left else theirs[name]), name
    assert found["backbone.conv1_neurons.beta"] == 0.5  # the recipe's
    assert ("heads.event and heads.static of the student left as initialized" in capsys.readouterr().err) == (not same)
    assert started_student(started, recipe, classes).endswith(" without heads.event and heads.static") == (not same)


def test_a_run_that_the_other_was_started_from_is_checked_too(tmp_path: Path) -> None:
    data = tiny_dataset()
    oldest, _ = other_run(tmp_path / "oldest")
    fewer = replace(data, test=replace(data.test, keys=data.test.keys[2:]))
    oldest.record("data", {"name": "tiny", "held_out_keys": held_out_keys(fewer)}, (), 0.0)
    other, _ = other_run(tmp_path / "other")
    check_leakage(other.path, data)
    (other.path / "recipe.toml").write_text(tiny_recipe(training={"init_from": str(oldest.path)}).as_toml())
    with pytest.raises(sp.UserError, match=r"oldest: this run may have trained on 2 of the recordings"):
        check_leakage(other.path, data)
