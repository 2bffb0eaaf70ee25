"""The examples of the guides work as they stand: files are written as shown, tests and commands of the pages run."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from spikeport.export.formats.frames_file import write_frames
from spikeport.export.formats.netx.write import write_netx
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork

DOCS = Path(__file__).resolve().parents[2] / "docs"
# Small data and short trainings in place of what a page leaves at its default; the rest of a recipe is the page's.
SMALL = {"data.train": 40, "data.validation": 10, "data.test": 20, "teacher.epochs": 1, "training.epochs": 1,
         "quantization.epochs": 1, "check.backends": "[]", "profile.baseline_seconds": 0.1}  # fmt: skip


def write_files(page: str, folder: Path) -> list[str]:
    """Writes every code block that has a title under that name; returns the names."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.findall(r'^```\w+ title="([\w./-]+)"\n(.*?)^```$', text, re.DOTALL | re.MULTILINE)
    assert found, f"{page} has no files"
    for name, code in found:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(code, encoding="utf-8")
    return [name for name, _ in found]


def call(folder: Path, *words: str) -> str:
    environment = os.environ | {"SPIKEPORT_CACHE": str(folder / "cache")}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def run_tests(folder: Path, name: str) -> None:
    call(folder, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", name)


def run_recipe(folder: Path, name: str = "recipe.toml") -> str:
    small = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    return call(folder, sys.executable, "-P", "-m", "spikeport", "run", name, "--out", "made", *small)


def test_the_backend_of_the_guide(tmp_path):
    assert write_files("how-to/backend.md", tmp_path) == ["numpy_backend.py", "test_numpy_backend.py"]
    run_tests(tmp_path, "test_numpy_backend.py")
    layer = IntegerLayer(name="fc", kind="dense", weight=2 * np.arange(-7, 8).reshape(3, 5), bias=None, i_decay=4096,
                         v_decay=512, vth_mant=9, input_shape=(5,))  # fmt: skip
    write_netx(IntegerNetwork(input_shape=(5,), layers=(layer,)), tmp_path / "a.net")
    write_frames(tmp_path / "f.npz", (np.random.default_rng(0).random((4, 6, 5)) < 0.6).astype(np.uint8))
    words = ("simulate", "a.net", "--input", "f.npz", "--backend", "reference,numpy_backend:make")
    assert "0 mismatches" in call(tmp_path, sys.executable, "-P", "-m", "spikeport", *words)


@pytest.mark.slow
def test_the_student_of_the_guide(tmp_path):
    assert write_files("how-to/student.md", tmp_path) == ["my_student.py", "recipe.toml"]
    assert "0 mismatches" in run_recipe(tmp_path)


@pytest.mark.slow
def test_the_neuron_of_the_guide(tmp_path):
    assert write_files("how-to/neuron.md", tmp_path) == [
        "threshold_neuron.py",
        "test_threshold_neuron.py",
        "recipe.toml",
    ]
    run_tests(tmp_path, "test_threshold_neuron.py")
    assert "0 mismatches" in run_recipe(tmp_path)


@pytest.mark.slow
def test_the_data_set_of_the_guide(tmp_path):
    assert write_files("how-to/data-set.md", tmp_path) == ["moving_dots.py", "recipe.toml"]
    printed = call(tmp_path, sys.executable, "-P", "-m", "spikeport", "data", "info", "recipe.toml")
    assert "120" in printed
    assert "row" in printed
    assert "0 mismatches" in run_recipe(tmp_path)


@pytest.mark.slow
def test_the_loss_of_the_guide(tmp_path):
    assert write_files("how-to/loss.md", tmp_path) == ["probability_loss.py", "test_probability_loss.py", "recipe.toml"]
    run_tests(tmp_path, "test_probability_loss.py")
    assert "0 mismatches" in run_recipe(tmp_path)
    assert "event.probability_loss:ProbabilityMse" in (tmp_path / "made" / "metrics.jsonl").read_text()


@pytest.mark.slow
def test_the_tutorial(tmp_path):
    assert write_files("tutorial.md", tmp_path) == ["make_recordings.py", "bars.toml"]
    call(tmp_path, sys.executable, "make_recordings.py")
    spikeport = (sys.executable, "-P", "-m", "spikeport")
    assert "120" in call(tmp_path, *spikeport, "data", "info", "bars.toml")
    call(tmp_path, *spikeport, "data", "preview", "bars.toml", "--out", "preview.png")
    fast = ("--set", "check.backends=[]", "--set", "profile.baseline_seconds=0.1")
    printed = call(tmp_path, *spikeport, "run", "bars.toml", "--out", "runs/bars", *fast)
    assert "0 mismatches" in printed
    found = json.loads((tmp_path / "runs/bars/report.json").read_text())
    assert found["accuracy"]["student_quantized"]["value"] > 0.9
    assert (tmp_path / "runs/bars/report.html").is_file()
    call(tmp_path, *spikeport, "data", "check", "data/recordings", "--write-recipe", "events.toml")
    call(tmp_path, *spikeport, "run", "events.toml", "--out", "runs/events", *fast)
    alone = json.loads((tmp_path / "runs/events/report.json").read_text())
    assert alone["accuracy"]["student_quantized"]["value"] > 0.9
    assert alone["accuracy"]["teacher"]["value"] is None
