"""The trials of a sweep: each runs once, in its own process, and resumes after a kill; nothing is unpickled."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys

import pytest
from data_folders import with_pictures
from sweep_runs import FakeTrials, finished_run

from spikeport.errors import MissingDependencyError, UserError
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.recipe_file import load_recipe
from spikeport.pipeline.run.run_folder import create
from spikeport.pipeline.sweep import engine
from spikeport.pipeline.sweep.engine import JOURNAL, open_study, run_trials
from spikeport.pipeline.sweep.plan import parse_over, plan_trials
from spikeport.pipeline.sweep.sweep import sweep
from spikeport.pipeline.sweep.trial import start_trial, trial_result


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text("name = 'r'\n[distillation]\nmethod = 'baseline'\n")
    return path


@pytest.fixture
def trials(monkeypatch):
    return FakeTrials(monkeypatch)


def run(recipe, out, over="training.epochs=1,2", **options):
    return sweep(recipe, [], parse_over([over]), out, **{"seeds": 2, **options})


def test_a_trial_result_is_what_the_run_folder_holds(recipe, tmp_path):
    finished_run(recipe, [], tmp_path / "run", right=("11010", "10010"))
    result = trial_result(tmp_path / "run")
    assert (result.correct_float, result.correct_quantized) == ("11010", "10010")
    assert (result.accuracy_float, result.accuracy_quantized, result.seconds) == (0.6, 0.4, 2.75)
    assert trial_result(tmp_path / "none") is None
    finished_run(recipe, [], tmp_path / "killed", last=False)
    assert trial_result(tmp_path / "killed") is None


def test_a_sweep_runs_each_trial_once_and_keeps_what_each_got_right(recipe, tmp_path, trials):
    result = run(recipe, tmp_path / "out")
    assert len(trials.started) == len(set(trials.started)) == 4
    assert result == json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert [(row["setting"], row["seed"]) for row in result["trials"]] == [
        ("epochs=1", 1), ("epochs=2", 1), ("epochs=1", 2), ("epochs=2", 2)
    ]  # fmt: skip
    assert {row["correct_quantized"] for row in result["trials"]} == {"10010"}
    assert result["rows"][1]["quantized"]["difference"]["n"] == 2
    assert "| epochs=2 | 2 | 60.00" in (tmp_path / "out" / "sweep.md").read_text()


def test_a_finished_sweep_is_read_and_may_grow_but_not_change(recipe, tmp_path, trials):
    before = run(recipe, tmp_path / "out")
    with pytest.raises(UserError, match="already holds a sweep"):
        run(recipe, tmp_path / "out")
    trials.started.clear()
    assert run(recipe, tmp_path / "out", resume=True)["trials"] == before["trials"]
    assert trials.started == []
    grown = run(recipe, tmp_path / "out", over="training.epochs=1,2,3", resume=True)
    assert len(grown["trials"]) == 6
    assert len(trials.started) == 2
    recipe.write_text(recipe.read_text() + "[training]\nbatch = 3\n")
    with pytest.raises(UserError, match=r"made with other settings of training.batch"):
        run(recipe, tmp_path / "out", resume=True)


def test_a_folder_that_holds_something_else_is_left_alone(recipe, tmp_path, trials):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match="files that are not a sweep"):
        run(recipe, tmp_path / "out")
    assert [entry.name for entry in (tmp_path / "out").iterdir() if entry.name[0] != "."] == ["thesis.tex"]
    create(tmp_path / "run", load_recipe(recipe), resume=False, about={})
    with pytest.raises(UserError, match="files that are not a sweep"):
        run(recipe, tmp_path / "run", resume=True)


def test_a_mistake_is_named_before_a_folder_is_made(recipe, tmp_path, trials):
    with pytest.raises(UserError, match=r"unknown key 'training.epoch'"):
        run(recipe, tmp_path / "out", over="training.epoch=1,2")
    assert not (tmp_path / "out").exists()


def test_a_trial_that_fails_is_named_and_the_others_go_on(recipe, tmp_path, trials):
    trials.code = 2
    result = run(recipe, tmp_path / "out")
    assert (len(trials.started), len(result["failed"]), result["trials"]) == (4, 4, [])
    assert all("left with 2: data: too few" in why for why in result["failed"].values())
    assert "left with 2" in (tmp_path / "out" / "sweep.md").read_text()
    trials.code = 0
    again = run(recipe, tmp_path / "out", resume=True)
    assert (len(again["trials"]), again["failed"]) == (4, {})


def test_where_every_trial_lacks_something_the_sweep_lacks_it(recipe, tmp_path, trials):
    trials.code = 3
    with pytest.raises(MissingDependencyError, match=r"no trial could run.*data: too few"):
        run(recipe, tmp_path / "out")
    trials.code = 0
    assert len(run(recipe, tmp_path / "out", resume=True)["trials"]) == 4


def test_a_trial_that_ends_well_but_unfinished_has_failed(recipe, tmp_path, trials):
    trials.last = False
    assert len(run(recipe, tmp_path / "out")["failed"]) == 4


@pytest.mark.parametrize("jobs", [1, 3])
def test_jobs_run_beside_each_other_and_share_the_cores(recipe, tmp_path, trials, monkeypatch, jobs):
    """None ends before so many live."""
    trials.hold = jobs
    monkeypatch.setattr(engine.os, "cpu_count", lambda: 7)
    run(recipe, tmp_path / "out", jobs=jobs)
    assert trials.most == jobs
    assert trials.threads == 7 // jobs


@contextlib.contextmanager
def terminated_at(trials, living):
    """SIGTERM when so many trials live; the command takes it as Ctrl-C, and what runs in the background may not hear
    Ctrl-C itself."""
    trials.hold, trials.then = living, lambda: os.kill(os.getpid(), signal.SIGTERM)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)
        trials.hold = 0


def test_ctrl_c_stops_the_trials_and_the_sweep_goes_on_later(recipe, tmp_path, trials):
    trials.last = False
    with terminated_at(trials, 2):
        run(recipe, tmp_path / "out", jobs=2)
    assert [process.wait() for process in trials.processes] == [-signal.SIGTERM] * 2
    stopped = list(trials.started)
    assert len(stopped) == 2
    assert [entry.state.name for entry in open_study(tmp_path / "out").trials] == ["RUNNING"] * 2 + ["WAITING"] * 2
    trials.last = True
    trials.started.clear()
    assert len(run(recipe, tmp_path / "out", resume=True)["trials"]) == 4
    assert set(stopped) <= set(trials.started)
    assert len(trials.started) == 4
    states = sorted(entry.state.name for entry in open_study(tmp_path / "out").trials)
    assert states == ["COMPLETE"] * 4 + ["FAIL"] * 2


def test_a_damaged_journal_is_named_and_finished_trials_are_kept(recipe, tmp_path, trials):
    sweep(recipe, [], parse_over([]), tmp_path / "s", seeds=1)
    (tmp_path / "s" / JOURNAL).write_text("{\n")
    with pytest.raises(UserError, match=rf"{JOURNAL}: the sweep's journal is damaged.*Hint: remove it"):
        sweep(recipe, [], parse_over([]), tmp_path / "s", seeds=2, resume=True)
    (tmp_path / "s" / JOURNAL).unlink()
    trials.started.clear()
    result = sweep(recipe, [], parse_over([]), tmp_path / "s", seeds=2, resume=True)
    assert len(trials.started) == 1
    assert len(result["trials"]) == 2


def test_what_a_smaller_sweep_no_longer_asks_for_is_not_run(recipe, tmp_path, trials):
    with terminated_at(trials, 1):
        run(recipe, tmp_path / "out")
    trials.started.clear()
    assert len(run(recipe, tmp_path / "out", over="training.epochs=2", resume=True)["trials"]) == 2
    assert {name.split("/")[0].partition("-")[0] for name in trials.started} == {"epochs=2"}


def test_the_journal_is_json_and_nothing_is_unpickled(recipe, tmp_path, trials, monkeypatch):
    """More entries than Optuna's snapshot interval of 100, read again with pickle out of order."""
    import pickle

    def refuse(*_):
        raise AssertionError("pickled")

    monkeypatch.setattr(pickle, "dumps", refuse)
    monkeypatch.setattr(pickle, "loads", refuse)
    _, planned = plan_trials(recipe, [], parse_over([]), seeds=40)
    (tmp_path / "out").mkdir()
    run_trials(recipe, planned, tmp_path / "out", jobs=4, done=lambda *_: None)
    lines = (tmp_path / "out" / JOURNAL).read_text().splitlines()
    assert len([json.loads(line) for line in lines]) > 100
    assert len(open_study(tmp_path / "out").trials) == 40


def test_a_started_trial_is_the_command_with_its_share_of_threads(recipe, tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(subprocess, "Popen", lambda command, **how: seen.update(command=command, **how))
    start_trial(recipe, ("a.b=1", "seed=3"), tmp_path / "s" / "seed3", threads=3)
    assert seen["command"] == [
        sys.executable, "-P", "-m", "spikeport", "train", str(recipe),
        "--out", str(tmp_path / "s" / "seed3"), "--resume", "--set", "a.b=1", "--set", "seed=3",
    ]  # fmt: skip
    assert (seen["env"]["OMP_NUM_THREADS"], seen["env"]["MKL_NUM_THREADS"]) == ("3", "3")


def test_the_command_with_real_trials(spikeport, tmp_path):
    """Two folds of 24 recordings, each tested once; and a trial that fails as training does."""
    data = with_pictures(tmp_path / "root").model_copy(update={"height": 10, "width": 12})
    sections = {"teacher": {"epochs": 1}, "student": {"channels": (2, 3)}, "training": {"epochs": 1}}
    values = {"name": "tiny", "data": data, "quantization": {"epochs": 0}, **sections}
    (tmp_path / "tiny.toml").write_text(Recipe.model_validate(values).as_toml())
    method = ("--set", "distillation.method=baseline")
    code, out, err = spikeport("sweep", "tiny.toml", *method, "--folds", 2, "--jobs", 2, "--json")
    assert code == 0, err
    result = json.loads(out)
    assert [(row["fold"], row["recordings"]) for row in result["trials"]] == [(0, 12), (1, 12)]
    folder = tmp_path / "runs" / "sweep-tiny"
    assert (folder / "sweep.md").is_file()
    assert (folder / result["trials"][0]["run"] / "quantized.safetensors").is_file()
    assert "nothing is compared" not in err
    code, _, err = spikeport("sweep", "tiny.toml", *method, "--set", "data.train=30", "--out", "other")
    assert code == 2
    assert "one setting, one seed and no folds: nothing is compared; add --over, --seeds or --folds" in err
    assert "1 of 1 trials failed" in err
    assert "too few recordings" in err
    code, _, err = spikeport("sweep", "tiny.toml", *method, "--set", "data.root=gone", "--out", "third", "-q")
    assert (code, "Traceback" in err) == (3, False), err
    assert "gone" in err
