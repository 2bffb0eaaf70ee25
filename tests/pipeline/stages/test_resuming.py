"""A run goes on under a changed recipe where nothing is lost by it; what is trained is never thrown away unasked."""

from __future__ import annotations

import json

import pytest

from spikeport.errors import UserError
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.recipe_file import parse_recipe
from spikeport.pipeline.run.run_folder import create, open_run
from spikeport.pipeline.stages.resuming import READS, begin, what_is_read
from spikeport.pipeline.stages.runner import stages_of
from spikeport.pipeline.training.epoch_log import METRICS, write_metrics
from spikeport.pipeline.training.results import EpochRow

BASE = {"name": "a", "training": {"epochs": 3}}
NAMES = ["data", "teacher", "student-ckd", "quantized-ckd", "student-baseline", "quantized-baseline"]
NAMES += ["export", "simulate", "check", "profile", "report"]


def recipe(**changes) -> Recipe:
    values = {key: dict(value) if isinstance(value, dict) else value for key, value in BASE.items()}
    for key, value in changes.items():
        if isinstance(value, dict):
            values[key] = {**values.get(key, {}), **value}
        else:
            values[key] = value
    return parse_recipe(values, where="test")


def made(folder, upto: str = "report"):
    """A run of BASE that has come to `upto`, each stage with a file and a line of metrics of its own."""
    run = create(folder, recipe(), resume=False, about={})
    assert [stage.name for stage in stages_of(run.recipe)] == NAMES
    for name in NAMES[: NAMES.index(upto) + 1]:
        run.file(f"{name}.bin").write_text(name)
        write_metrics(run.file(METRICS), name, [EpochRow(stage=name, epoch=1)])
        run.record(name, {}, (f"{name}.bin",), 0.0)
    return run


def state(folder):
    """Stages that stand, the recipe, and the stages that have metrics."""
    run = open_run(folder)
    lines = run.file(METRICS).read_text().splitlines()
    return list(run.manifest["stages"]), run.recipe, [json.loads(line)["stage"] for line in lines]


END = NAMES[NAMES.index("export") :]
AGAIN = {  # what is done again with a stage, or with all of a kind
    None: [],
    "student": ["student-ckd", "quantized-ckd", "student-baseline", "quantized-baseline", *END],
    "quantized": ["quantized-ckd", "quantized-baseline", *END],
    "student-ckd": ["student-ckd", "quantized-ckd", *END],
    "student-baseline": ["student-baseline", "quantized-baseline", *END],
    **{name: NAMES[NAMES.index(name) :] for name in ("data", "teacher", *END)},
}


def goes_on(folder, changed, first, **asked):
    message = []
    begin(folder, changed, about={}, resume=True, log=message.append, **asked)
    done = [name for name in NAMES if name not in AGAIN[first]]
    assert state(folder) == (done, changed, done)
    return message


FREE = [
    ({"check": {"backends": ()}}, "check"),
    ({"check": {"timeout_s": 5.0}}, "check"),
    ({"profile": {"hardware": ("loihi1",)}}, "profile"),
    ({"profile": {"per_step": True}}, "profile"),
    ({"name": "b"}, "report"),
    ({"training": {"threads": 1}}, None),
    ({"training": {"devices": 2}}, None),
    ({"training": {"accelerator": "cpu"}}, None),
    ({"training": {"logger": "csv"}}, None),
]


@pytest.mark.parametrize(("changes", "first"), FREE)
def test_what_costs_no_weights_may_change_and_is_said(tmp_path, changes, first):
    made(tmp_path / "run")
    (line,) = goes_on(tmp_path / "run", recipe(**changes), first)
    (section,) = changes
    assert section in line
    builds = "" if first == "report" else " and what builds on it"
    assert line.endswith(f"done again: {first}{builds}" if first else "no stage that is done has read it")
    assert goes_on(tmp_path / "run", recipe(**changes), first) == []  # and is no news the next time


LOSING = [
    ({"seed": 2}, "teacher"),
    ({"data": {"steps": 4}}, "data"),
    ({"teacher": {"epochs": 9}}, "teacher"),
    ({"training": {"gradient_clip_norm": 1.0}}, "teacher"),
    ({"training": {"epochs": 60}}, "student"),
    ({"training": {"lr": 0.5}}, "student"),
    ({"student": {"hidden": 7}}, "student"),
    ({"augmentation": {"shift": 0}}, "student"),
    ({"quantization": {"epochs": 1}}, "quantized"),
]


@pytest.mark.parametrize(("changes", "first"), LOSING)
def test_what_costs_weights_is_refused_until_it_is_said(tmp_path, changes, first):
    made(tmp_path / "run")
    before, changed = state(tmp_path / "run"), recipe(**changes)
    ((section, values),) = changes.items()
    key = f"{section}.{next(iter(values))}" if isinstance(values, dict) else section
    with pytest.raises(UserError) as refused:
        begin(tmp_path / "run", changed, about={}, resume=True)
    assert refused.value.message == f"the run there was made with other settings of {key}"
    assert f"--from {first}" in refused.value.hint
    learned = [name for name in AGAIN[first] if name not in ("data", *END)]
    assert refused.value.cause.startswith(", ".join(learned))
    later = "student-ckd" if first in ("data", "teacher") else "quantized-baseline"
    with pytest.raises(UserError, match=f"--from {first}"):
        begin(tmp_path / "run", changed, about={}, again_from=later)
    assert state(tmp_path / "run") == before
    (line,) = goes_on(tmp_path / "run", changed, first, again_from=first)
    assert key in line
    reason = "since a training goes on with more epochs alone"
    assert (reason in refused.value.cause) == key.endswith("epochs")
    assert (f"--init-from {tmp_path / 'run'} trains its weights on" in refused.value.hint) == key.endswith("epochs")


def test_settings_of_stages_to_come_may_change(tmp_path):
    """Teacher done, student not begun: its epochs are nobody's yet."""
    made(tmp_path / "run", "teacher")
    changed = recipe(training={"epochs": 60}, student={"hidden": 7}, quantization={"epochs": 1})
    begin(tmp_path / "run", changed, about={}, resume=True)
    assert state(tmp_path / "run") == (["data", "teacher"], changed, ["data", "teacher"])


def test_a_begun_training_has_read_its_settings(tmp_path):
    run = made(tmp_path / "run", "teacher")
    checkpoint = run.file("checkpoints") / "student-ckd" / "checkpoint.safetensors"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_text("epoch 2")
    with pytest.raises(UserError, match=r"training.lr.*student-ckd would be trained again.*--from student-ckd"):
        begin(run.path, recipe(training={"lr": 0.5}), about={}, resume=True)
    begin(run.path, recipe(training={"threads": 1}), about={}, resume=True)
    assert checkpoint.exists()
    begin(run.path, recipe(training={"lr": 0.5}), about={}, again_from="student")
    assert not checkpoint.exists()


@pytest.mark.parametrize(
    ("word", "first"),
    [("student", "student"), ("quantized", "quantized"), ("student-baseline", "student-baseline"), ("data", "data")],
)
def test_a_stage_is_done_again_with_the_same_recipe(tmp_path, word, first):
    run = made(tmp_path / "run")
    assert goes_on(run.path, recipe(), first or word, again_from=word) == []
    assert run.file("teacher.bin").exists()  # overwritten when it is trained, not before


def test_another_method_leaves_no_file_of_the_old_one(tmp_path):
    run = made(tmp_path / "run")
    other = recipe(distillation={"method": "he2024"})
    with pytest.raises(UserError, match=r"distillation.method.*student-ckd.*--from student,"):
        begin(run.path, other, about={}, resume=True)
    begin(run.path, other, about={}, again_from="student")
    assert state(run.path)[0] == ["data", "teacher"]
    assert not run.file("student-ckd.bin").exists()
    assert run.file("student-baseline.bin").exists()


def test_an_arm_to_compare_with_comes_later(tmp_path):
    run = create(tmp_path / "run", recipe(distillation={"train_baseline": False}), resume=False, about={})
    for name in ("data", "teacher", "student-ckd", "quantized-ckd", "export"):
        run.record(name, {}, (), 0.0)
    message = []
    begin(run.path, recipe(), about={}, resume=True, log=message.append)
    assert list(open_run(run.path).manifest["stages"]) == ["data", "teacher", "student-ckd", "quantized-ckd"]
    assert message == ["changed: distillation.train_baseline; done again: student-baseline and what builds on it"]


@pytest.mark.parametrize(("word", "training"), [("nonsense", False), ("simulator", False), ("export", True)])
def test_a_stage_that_is_none_is_refused(tmp_path, word, training):
    run = made(tmp_path / "run")
    with pytest.raises(UserError, match=rf"--from: '{word}' is not a stage.*use one of data, teacher"):
        begin(run.path, recipe(), about={}, again_from=word, only_training=training)
    assert state(run.path)[0] == NAMES


def test_there_must_be_a_run_to_go_on_with(tmp_path):
    with pytest.raises(UserError, match="no run in this folder"):
        begin(tmp_path / "run", recipe(), about={}, again_from="student")


def test_every_section_is_read_by_somebody():
    """A section that the table forgets could change without a word."""
    read = {section for sections in READS.values() for section in sections}
    assert read == set(Recipe.model_fields)
    for stage in READS:
        assert set(what_is_read(stage, recipe())) == set(READS[stage])


def test_a_kill_while_stages_are_forgotten_changes_nothing(tmp_path, monkeypatch):
    """At every write: the same command afterwards does what it would have done."""
    from spikeport import files
    from spikeport.pipeline.stages import resuming

    changed = recipe(training={"epochs": 60})
    writes = 0

    def killed(at):
        def write(path, *_, **__):
            nonlocal writes
            writes += 1
            if writes == at:
                raise KeyboardInterrupt
            return real(path, *_, **__)

        return write

    real = files.os.replace
    for at in (1, 2, 3):
        run, writes = made(tmp_path / str(at)), 0
        with monkeypatch.context() as patched:
            patched.setattr(files.os, "replace", killed(at))
            with pytest.raises(KeyboardInterrupt):
                resuming.begin(run.path, changed, about={}, again_from="student")
        begin(run.path, changed, about={}, again_from="student")
        assert state(run.path) == (["data", "teacher"], changed, ["data", "teacher"])
