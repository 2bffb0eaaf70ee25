"""What only reads what is there loads neither torch nor the trainer: a report again, a comparison, an account."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest
from finished_folder import finished_runs

from spikeport.pipeline.distillation.methods import METHODS
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.stages.runner import stages_of

HEAVY = {"torch", "pytorch_lightning", "snntorch", "tonic", "torchmetrics", "matplotlib", "onnxruntime", "sklearn"}
SCRIPT = f"""
import json, sys
from spikeport.pipeline.cli.app import main
try:
    main()
except SystemExit as left:
    code = left.code
print(json.dumps([code, sorted({HEAVY} & set(sys.modules))]), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs that came to their report, `one` and `two`, and the cache of their recordings."""
    return finished_runs(tmp_path_factory, "one", "two")


@pytest.mark.parametrize(
    "words",
    [
        ("report", "one"),
        ("report", "one", "--json"),
        ("compare", "one", "two"),
        ("hardware", "list"),
        ("hardware", "show", "loihi1"),
        ("hardware", "validate"),
        ("recipe", "show", "digits"),
        ("recipe", "schema"),
        ("profile", "one/student.net", "--input", "one/test-frames.npz", "--out", "page"),
    ],
    ids=" ".join,
)
def test_it_loads_neither_torch_nor_the_trainer(
    runs: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("SPIKEPORT_CACHE", str(runs / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    done = subprocess.run([sys.executable, "-c", SCRIPT, *words], cwd=runs, capture_output=True, text=True)
    assert json.loads(done.stderr.splitlines()[-1]) == [0, []], done.stderr


def test_a_report_made_again_is_the_same_to_the_byte(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this process had loaded when the run came to its report."""
    monkeypatch.setenv("SPIKEPORT_CACHE", str(runs / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    names = ("report.json", "report.md", "report.html", "layers.csv", "samples.csv")
    before = {name: (runs / "two" / name).read_bytes() for name in names}
    for name in names:
        (runs / "two" / name).unlink()
    subprocess.run([sys.executable, "-m", "spikeport", "report", "two"], cwd=runs, check=True, capture_output=True)
    assert {name: (runs / "two" / name).read_bytes() for name in names} == before


def test_every_stage_has_its_function() -> None:
    """They are named in words, so nothing else would say it before the stage's turn comes."""
    seen = set()
    for method in METHODS:
        for kind in ("translator", "simulator"):
            synthesis = {"kind": kind, "simulator_pretrain_epochs": 1, "pretrain_epochs": 1}
            recipe = Recipe.model_validate({"distillation": {"method": method}, "synthesis": synthesis})
            for stage in stages_of(recipe):
                function = getattr(importlib.import_module(stage.home), stage.function)
                assert function is stage.work.func
                inspect.signature(function).bind("context", **stage.options)
                seen.add(stage.function)
    assert seen >= {
        "data",
        "teacher",
        "simulator",
        "synthesis",
        "pretrain",
        "student",
        "quantized",
        "export",
        "simulate",
    }
    assert seen >= {"check", "profile", "report"}
