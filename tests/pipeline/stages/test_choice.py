"""The stage that chooses the method: folds, both outcomes, a kill, and test recordings that are not read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from learning_data import tiny_dataset, tiny_recipe

from spikeport.pipeline.run.auto_method import with_method
from spikeport.pipeline.run.run_folder import create, open_run
from spikeport.pipeline.stages import choice as stage
from spikeport.pipeline.stages.choice_result import NotNeeded
from spikeport.pipeline.stages.context import Context
from spikeport.pipeline.stages.reporting import CallbackProgress
from spikeport.pipeline.stages.synthesis import synthesis
from spikeport.pipeline.stages.train import pretrain, student, teacher
from spikeport.pipeline.training import candidate, choice_folds, shared_pretraining
from spikeport.pipeline.training.epoch_log import METRICS, rows_of_stages
from spikeport.pipeline.training.train import initial_student

NOTHING = 1e-9  # a learning rate that changes nothing
TRAINING = {"epochs": 10, "lr": 2e-2, "batch": 8, "ema_decay": 0.0}
SYNTHESIS = {"updates": 100, "lr": 1e-2, "finetune_epochs": 2, "finetune_lr": 2e-2, "pretrain_lr": 2e-2}


def recipe(**sections):
    """Candidates that are trained twice, with a translator."""
    auto = {"candidates": ("synthetic-events",), "folds": 2, "trainings": 2, **sections.pop("auto", {})}
    synthesis = {"updates": 4, "width": 4, "pretrain_epochs": 3, "pretrain_batch": 8, **sections.pop("synthesis", {})}
    student = {"channels": [4, 6], "v_threshold": 0.3}
    values = {"student": student, "training": {**TRAINING, "epochs": 2}, **sections}
    return tiny_recipe(distillation={"method": "auto", "auto": auto}, synthesis=synthesis, **values)


def context(folder: Path, values, dataset=None) -> Context:
    made = Context(create(folder, values, resume=False, about={}), CallbackProgress())
    made.__dict__["dataset"] = dataset or tiny_dataset(paired_images=True)
    made.lines = []
    made.progress = CallbackProgress(lambda *_: None, made.lines.append)
    teacher(made)
    made.lines.clear()
    return made


def result(made: Context) -> dict:
    return stage.choice(made).result.to_json()


def without_seconds(found: dict) -> dict:
    rows = [{key: value for key, value in row.items() if key != "seconds"} for row in found["candidates"]]
    return {**found, "candidates": rows}


SPOILED = {
    "synthetic-events": {
        "training": {**TRAINING, "lr": NOTHING},
        "synthesis": SYNTHESIS,
    },  # the baseline learns nothing
    "baseline": {
        "training": TRAINING,
        "synthesis": {**SYNTHESIS, "updates": 4, "pretrain_lr": NOTHING, "finetune_lr": NOTHING},
    },
}


@pytest.mark.parametrize("better", SPOILED)
def test_what_learns_is_chosen_over_what_does_not(better, tmp_path):
    made = context(
        tmp_path / "run",
        recipe(**SPOILED[better], auto={"trainings": 1}, teacher={"epochs": 6, "lr": 1e-2, "batch": 10}),
    )
    found = result(made)
    rows = {row["name"]: row for row in found["candidates"]}
    other = next(name for name in rows if name != better)
    assert rows[better]["accuracy"] > 0.5 > rows[other]["accuracy"]
    assert (found["chosen"], found["kind"], found["recordings"], found["answers"]) == (better, "folds", 23, 23)
    assert rows["synthetic-events"]["better"] == (better == "synthetic-events")
    assert found["reason"].startswith(f"{better}, since ")
    text = "\n".join(made.lines)
    assert "choice: fold 1 of 1, synthetic-events: " in text
    assert f"Chosen: {found['reason']}." in text
    assert json.loads(json.dumps(found)) == found


def test_labels_and_frames_of_test_recordings_change_nothing(tmp_path):
    data = tiny_dataset(paired_images=True)
    other = replace(data.test, labels=data.test.labels[::-1].copy(), frames=1 - data.test.frames)
    first = result(context(tmp_path / "a", recipe()))
    second = result(context(tmp_path / "b", recipe(), replace(data, test=other)))
    assert without_seconds(first) == without_seconds(second)


def test_what_was_trained_before_a_kill_is_not_trained_again(tmp_path, monkeypatch):
    whole = result(context(tmp_path / "whole", recipe()))
    made, trained = context(tmp_path / "run", recipe()), []
    train = stage.train_candidate

    def killed(*args, **named):
        if len(trained) == 3:
            raise KeyboardInterrupt
        trained.append(args[0].distillation.method)
        return train(*args, **named)

    monkeypatch.setattr(stage, "train_candidate", killed)
    with pytest.raises(KeyboardInterrupt):
        stage.choice(made)
    assert trained == ["baseline", "synthetic-events", "baseline"]
    trained.clear()
    found = result(made)
    assert trained == ["synthetic-events"]
    assert without_seconds(found) == without_seconds(whole)
    trained.clear()
    made.run = replace(made.run, recipe=recipe(training={"epochs": 1}))
    with pytest.raises(KeyboardInterrupt):  # another recipe: from the beginning
        stage.choice(made)
    assert len(trained) == 3


def test_a_large_validation_part_is_held_out_and_what_is_chosen_is_not_trained_twice(tmp_path, monkeypatch):
    """Weights and log of the student are those of a run that names the method."""
    monkeypatch.setattr(choice_folds, "ENOUGH", 15)
    candidates = ("ckd-events", "synthetic-events")
    values = recipe(auto={"candidates": candidates}, synthesis={"kind": "simulator", "pretrain_epochs": 1})
    made = context(tmp_path / "run", values)
    monkeypatch.setattr(stage, "choose", lambda _: "synthetic-events")
    output = stage.choice(made)
    found = output.result.to_json()
    assert (found["kind"], found["recordings"], found["trainings"]) == ("validation", 15, 1)
    assert [line.endswith(", pretrained before") for line in made.lines if line.startswith("  choice: ")] == [0, 0, 1]
    made.run.record("teacher", {"predicted": None, "reason": "not asked"}, (), 0.0)
    made.run.record("choice", found, (), 0.0)
    made.run = open_run(made.run.path)
    assert "reason" in pretrain(made).result.to_json()
    student(made, "auto")
    assert "  it was trained for the choice" in made.lines
    named = context(tmp_path / "named", with_method(values, "synthetic-events"))
    named.run.record("teacher", {"predicted": None, "reason": "not asked"}, (), 0.0)
    pretrain(named)
    student(named, "synthetic-events")
    own, other = (each.run.file("student.safetensors").read_bytes() for each in (made, named))
    assert own == other
    epochs = rows_of_stages(made.run.file(METRICS))["student-auto"]
    assert [row.losses for row in epochs] == [
        row.losses for row in rows_of_stages(named.run.file(METRICS))["student-synthetic-events"]
    ]
    student(made, "baseline")
    assert made.lines.count("  it was trained for the choice") == 2


@pytest.mark.parametrize(("recordings", "pretrained"), [(0, 2), (2, 3)])
def test_candidates_and_folds_share_pretrainings_and_answer_the_same(recordings, pretrained, tmp_path, monkeypatch):
    """Two candidates in three folds, the last with other weights: six pretrainings, each of its own kind."""
    values = recipe(
        auto={"candidates": ("synthetic-events", "ckd-events"), "trainings": 3},
        synthesis={"kind": "simulator", "pretrain_epochs": 1, "pretrain_recordings": recordings},
    )
    made = context(tmp_path / "shared", values)
    found = result(made)
    assert sum(line.endswith(", pretrained before") for line in made.lines) == 6 - pretrained
    assert not (made.checkpoints("choice") / "pretraining").exists()
    unlike = iter(range(100))
    monkeypatch.setattr(shared_pretraining, "_digest", lambda _: str(next(unlike)))
    alone = context(tmp_path / "alone", values)
    assert without_seconds(result(alone)) == without_seconds(found)
    answers = [(each.checkpoints("choice") / "answers.json").read_text() for each in (made, alone)]
    one, other = ([(e["predicted"], e["counts"]) for e in json.loads(text)["done"].values()] for text in answers)
    assert one == other
    assert not any(line.endswith(", pretrained before") for line in alone.lines)


def test_a_candidate_that_cannot_be_trained_is_left_out(tmp_path):
    """Recordings of a class have no image, so no translator can be trained."""
    data = tiny_dataset()
    others = replace(data.static, labels=data.static.labels % 2)
    found = result(context(tmp_path / "run", recipe(), replace(data, static=others)))
    assert found["chosen"] == "baseline"
    assert [row["name"] for row in found["candidates"]] == ["baseline"]
    assert found["left_out"]["synthetic-events"] == "class 'bottom' has no static image"


def test_without_pairs_each_fold_trains_a_translator_on_its_own_recordings(tmp_path, monkeypatch):
    trained, build = [], candidate.translator_task

    def watched(values, data):
        trained.append((len(data.train), len(data.validation), build(values, data)))
        return trained[-1][2]

    monkeypatch.setattr(candidate, "translator_task", watched)
    found = result(context(tmp_path / "run", recipe(), tiny_dataset()))
    assert [row["name"] for row in found["candidates"]] == ["baseline", "synthetic-events"]
    assert [counts for *counts, _ in trained] == [[22, 0], [23, 0]]
    assert trained[0][2].model.identity != trained[1][2].model.identity
    assert all(task.model.noise for *_, task in trained)


@pytest.mark.parametrize(("mixed", "kind"), [(7, "none"), (8, "folds")])
def test_seven_answers_decide_nothing(mixed, kind, tmp_path):
    """Recordings of a class in two groups are answered, and not those of the class that is one group."""
    data = tiny_dataset(paired_images=True)
    labels = np.where(np.arange(len(data.train)) < mixed, 0, 1)
    train = replace(data.train, labels=labels, groups=np.where(labels == 0, np.arange(len(labels)) % 2, 2))
    held = len(data.validation)
    validation = replace(data.validation, labels=np.ones(held, int), groups=np.full(held, 2))
    made = context(tmp_path / "run", recipe(), replace(data, train=train, validation=validation))
    fitted = synthesis(made).result  # nothing is fitted for candidates that cannot compete
    found = result(made)
    assert (found["kind"], isinstance(fitted, NotNeeded)) == (kind, kind == "none")
    if kind == "none":
        assert found["chosen"] == "baseline"
        assert found["reason"].startswith("baseline, since only 7 of 45 recordings can be answered")


def test_recordings_of_one_group_leave_the_baseline(tmp_path):
    data = tiny_dataset(paired_images=True)
    parts = {name: replace(part, groups=np.zeros(len(part), int)) for name in ("train", "validation")
             if (part := getattr(data, name))}  # fmt: skip
    found = result(context(tmp_path / "run", recipe(), replace(data, **parts)))
    assert (found["chosen"], found["kind"], found["candidates"]) == ("baseline", "none", [])
    assert found["reason"] == "baseline, since the recordings cannot be cut into folds"


def test_candidates_begin_with_the_same_weights_and_take_as_many_steps_on_recordings():
    """Heads of other streams aside."""
    values, data = recipe(auto={"candidates": ("synthetic-events", "ckd-events", "ckd")}), tiny_dataset()
    first = initial_student(with_method(values, "baseline"), data).state_dict()
    for name in ("synthetic-events", "ckd-events", "ckd"):
        own = with_method(values, name)
        assert own.synthesis.finetune_epochs == own.training.epochs
        state = initial_student(own, data).state_dict()
        assert {key for key in first if "heads.static" not in key} <= set(state)
        assert all(np.array_equal(first[key].numpy(), value.numpy()) for key, value in state.items())


def test_a_candidate_has_its_keys_and_options_and_other_recipes_stay_as_they_are():
    values = recipe(auto={"options": {"ckd-events": {"pretrain": True, "tau": 3.0}}})
    own = with_method(values, "ckd-events").distillation
    assert (own.method, own.static, own.shared_head) == ("ckd-events", "synthetic", True)
    assert own.options == {"pretrain": True, "tau": 3.0}
    plain = with_method(values, "baseline").distillation
    assert (plain.method, plain.static, plain.shared_head, plain.options) == ("baseline", "value", False, {})
    assert with_method(tiny_recipe(), "baseline") == tiny_recipe()
    given = with_method(recipe(synthesis={"finetune_epochs": 7}), "synthetic-events")
    assert given.synthesis.finetune_epochs == 7
