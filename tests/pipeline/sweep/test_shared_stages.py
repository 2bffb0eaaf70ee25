"""Trials of a sweep share a teacher and a first training where these would be the same."""

from __future__ import annotations

import pytest
from sweep_runs import finished_run

from spikeport.pipeline.run.recipe_file import load_recipe
from spikeport.pipeline.run.run_folder import open_run
from spikeport.pipeline.sweep.sharing import share_stages


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text("name = 'r'\n[distillation]\nmethod = 'baseline'\n")
    return path


@pytest.mark.parametrize(
    ("change", "shared"),
    [
        ("distillation.method=ckd", True),
        ("training.epochs=9", True),
        ("student.channels=[3]", True),
        ("training.threads=3", False),
        ("teacher.epochs=9", False),
        ("data.steps=9", False),
        ("data.split_seed=9", False),
        ("seed=9", False),
    ],
)
def test_a_teacher_is_shared_where_its_training_would_be_the_same(recipe, tmp_path, change, shared):
    finished_run(recipe, ["distillation.method=baseline"], tmp_path / "first")
    (tmp_path / "unfinished").mkdir()
    others = [tmp_path / "absent", tmp_path / "unfinished", tmp_path / "first"]
    taken = share_stages(recipe, [change], tmp_path / "second", others)
    assert taken == (tmp_path / "first" if shared else None)
    if not shared:
        assert not (tmp_path / "second").exists()
        return
    begun = open_run(tmp_path / "second")
    assert begun.recipe == load_recipe(recipe, [change])
    assert list(begun.manifest["stages"]) == ["data", "teacher"]
    assert begun.is_done("teacher")
    assert begun.file("teacher.safetensors").read_text() == str(tmp_path / "first")
    assert share_stages(recipe, [change], tmp_path / "second", others) is None


@pytest.mark.parametrize(
    ("change", "stages"),
    [
        ("synthesis.finetune_epochs=3", ["data", "teacher", "synthesis", "pretrain"]),
        ("synthesis.finetune_lr=0.5", ["data", "teacher", "synthesis", "pretrain"]),
        ("training.epochs=9", ["data", "teacher", "synthesis", "pretrain"]),
        ("quantization.epochs=9", ["data", "teacher", "synthesis", "pretrain"]),
        ("training.ema_decay=0.5", ["data", "teacher"]),  # pretraining reads these
        ("training.weight_decay=0.5", ["data", "teacher"]),
        ("synthesis.pretrain_epochs=3", ["data", "teacher"]),
        ("student.hidden=3", ["data", "teacher"]),
        ("augmentation.shift=4", ["data", "teacher"]),
        ("distillation={method = 'baseline'}", ["data", "teacher"]),
        ("training.gradient_clip_norm=0.5", None),
    ],
)
def test_pretraining_is_shared_where_it_would_be_the_same(recipe, tmp_path, change, stages):
    own = ["distillation={method = 'synthetic-events'}"]
    finished_run(recipe, own, tmp_path / "first")
    taken = share_stages(recipe, [*own, change], tmp_path / "second", [tmp_path / "first"])
    assert taken == (tmp_path / "first" if stages else None)
    if stages:
        begun = open_run(tmp_path / "second")
        assert list(begun.manifest["stages"]) == stages
        assert all(begun.is_done(stage) for stage in stages)
        assert begun.manifest["about"]["taken_from"] == "first"


def test_what_is_shared_ends_in_the_same_weights(spikeport, tmp_path):
    """A run that took teacher, translator and pretraining over, and one that trained them itself."""
    (tmp_path / "r.toml").write_text(
        """
data = {source = "digits", height = 16, width = 18, steps = 3, train = 30, validation = 20, test = 20}
teacher = {epochs = 1}
student = {channels = [3]}
training = {threads = 1}
distillation = {method = "synthetic-events", train_baseline = false}
synthesis = {pretrain_epochs = 1, updates = 5, width = 3, finetune_epochs = 1}
quantization = {epochs = 1}
"""
    )
    assert spikeport("train", "r.toml", "--out", "first")[0] == 0
    change = "synthesis.finetune_epochs=2"
    assert share_stages(tmp_path / "r.toml", [change], tmp_path / "taken", [tmp_path / "first"]) == tmp_path / "first"
    code, _, err = spikeport("train", "r.toml", "--set", change, "--out", "taken", "--resume")
    assert (code, err.count("done before")) == (0, 4)
    assert spikeport("train", "r.toml", "--set", change, "--out", "own")[0] == 0
    for name in ("pretrain", "student", "quantized"):
        one, other = ((tmp_path / run / f"{name}.safetensors").read_bytes() for run in ("taken", "own"))
        assert one == other


def test_a_teacher_file_that_changed_is_not_shared(recipe, tmp_path):
    finished_run(recipe, [], tmp_path / "first")
    (tmp_path / "first" / "teacher.safetensors").write_text("other")
    assert share_stages(recipe, ["training.epochs=9"], tmp_path / "second", [tmp_path / "first"]) is None
