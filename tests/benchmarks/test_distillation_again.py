"""Recorded runs of the distillation study are done again, and the recipe of one is written."""

from __future__ import annotations

import json

from spikeport.pipeline.run.recipe_file import load_recipe


def test_recorded_runs_are_done_again_and_compared(study):
    """Of four runs one is recorded with another answer to one recording; the study's own files stay as they are."""
    study()
    file = study.folder / "distillation.json"
    found = json.loads(file.read_text())
    recorded = found["parts"]["methods"]["runs"]
    recorded[1]["correct_quantized"] = "10011"  # 10010 today
    recorded[3]["changes"].append("training.epochs=9")  # no run of today's study: not compared
    file.write_text(json.dumps(found))
    before = file.read_text(), (study.folder / "distillation.md").read_text()
    assert study("--again")[0] == 0
    assert len(study.trials.started) == 3
    lines = (study.folder / "nmnist_today.txt").read_text().splitlines()
    assert [line.split()[-3:] for line in lines if line.startswith("methods")] == [
        ["0", "/", "0"], ["0", "/", "0"], ["0", "/", "1"]
    ]  # fmt: skip
    assert lines[-1].startswith("2 of 3 runs give the same answer")
    runs = json.loads((study.folder / "nmnist_today.json").read_text())["runs"]
    assert [(run["run"], run["correct_quantized"]) for run in runs] == [
        ("long-longer/seed1-fold0", "10010"), ("short/seed1-fold0", "10010"), ("short/seed1-fold1", "10010")
    ]  # fmt: skip
    assert before == (file.read_text(), (study.folder / "distillation.md").read_text())
    assert study("--again", "--folds", "1", "--only", "short") == (0, recorded)
    assert study.trials.started == []  # done already
    today = json.loads((study.folder / "nmnist_today.json").read_text())["runs"]
    assert [run["run"] for run in today] == [run["run"] for run in runs]  # those of the earlier command stay
    endings = [run["command"].split("--")[-1] for run in today]
    assert endings == ["again", "only short", "again"]


def test_the_recipe_of_a_run_is_written(study):
    file = study.folder / "row.toml"
    assert study("--only", "long", "--write-recipe", str(file)) == (0, [])
    assert study.trials.started == []
    read = load_recipe(file)
    assert (read.training.epochs, read.data.folds, read.data.fold, read.distillation.train_baseline) == (2, 2, 0, False)
