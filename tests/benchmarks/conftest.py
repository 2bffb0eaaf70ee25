"""The distillation study with runs that are made in a moment."""

from __future__ import annotations

import json

import distillation
import pytest
from distillation_parts import Part, Variant
from sweep_runs import FakeTrials


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The driver with a part of two variants, whose runs are made in a moment."""
    recipe = tmp_path / "r.toml"
    recipe.write_text("name = 'r'\n[distillation]\nmethod = 'baseline'\n")
    variants = (Variant("", "short", ("training.epochs=1",)), Variant("", "long, longer", ("training.epochs=2",)))
    monkeypatch.setitem(
        distillation.PARTS, "methods", Part("Methods", lambda _: variants, folds=2, seeds=1, about="Two.")
    )
    trials = FakeTrials(monkeypatch)
    words = ["--recipe", str(recipe), "--runs", str(tmp_path / "runs"), "--results", str(tmp_path)]

    def run(*more, part="methods"):
        trials.started.clear()
        code = distillation.main([part, *words, *more])
        file = tmp_path / "distillation.json"
        return code, json.loads(file.read_text())["parts"]["methods"]["runs"] if file.is_file() else []

    run.trials, run.recipe, run.folder = trials, recipe, tmp_path
    return run
