"""An own Python file beside a recipe, or in the working folder, is found without PYTHONPATH, and shadows nothing."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_inputs import one_line
from digit_recipes import DIGITS

import spikeport as sp
from spikeport import factory, own_modules
from spikeport.errors import UserError

NAME = "own_factory_file"  # of no module that is installed
RECIPE = f"""{DIGITS}[student]
network = "{NAME}:student"
[distillation]
method = "baseline"
[training]
epochs = 1
threads = 1
accelerator = "cpu"
logger = "{NAME}:lines"
callbacks = ["{NAME}:Said"]
[quantization]
epochs = 1
"""
CODE = f"""
import {NAME}_beside as beside

def student(input_shape, classes):
    from {NAME}_later import make  # not before it is called
    return make(input_shape, classes)

def lines(folder, stage):
    from pytorch_lightning.loggers import CSVLogger
    return CSVLogger(folder / beside.FOLDER, name=stage, version="")

class Said(beside.Callback):
    def on_fit_start(self, trainer, task):
        print("own callback", task.stage)
"""
LATER = """
import snntorch as snn
import torch

def make(input_shape, classes):
    c, h, w = input_shape
    neurons = snn.Leaky(beta=0.75, threshold=0.3, reset_mechanism="zero")
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(c * h * w, classes), neurons)
"""


def write(folder: Path, answer: str = "") -> Path:
    """The files of a recipe with its own code in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "r.toml").write_text(RECIPE)
    (folder / f"{NAME}.py").write_text(CODE + f"ANSWER = {answer!r}\n")
    (folder / f"{NAME}_beside.py").write_text("from pytorch_lightning import Callback\nFOLDER = 'own lines'\n")
    (folder / f"{NAME}_later.py").write_text(LATER)
    return folder / "r.toml"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As a new process: without folders of recipes, and without the modules of other tests."""
    monkeypatch.setattr(own_modules, "_recipe_folders", [])
    monkeypatch.setattr(own_modules, "_added", [])
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in [name for name in sys.modules if name.startswith(NAME)]:
        del sys.modules[name]


def small(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.py").write_text(text)


def test_the_folder_of_the_recipe_comes_before_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    small(tmp_path / "here", "PLACE = 'working folder'")
    small(tmp_path / "there", "PLACE = 'recipe'")
    monkeypatch.chdir(tmp_path / "here")
    assert factory.load_object(f"{NAME}:PLACE", "key") == "working folder"
    own_modules.look_in(tmp_path / "there")
    assert factory.load_object(f"{NAME}:PLACE", "key") == "recipe"
    file = tmp_path / "there" / f"{NAME}.py"
    assert f"note: key = '{NAME}:PLACE' is code, which runs now: module {NAME} of {file}" in capsys.readouterr().err


def test_two_recipes_have_files_of_the_same_name(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name, name)
        (tmp_path / name / f"{NAME}_beside.py").write_text(f"Callback, FOLDER = object, {name!r}")
    recipes = [sp.load_recipe(tmp_path / name / "r.toml") for name in ("one", "two")]
    for recipe, name in (*zip(recipes, ("one", "two"), strict=True), (recipes[0], "one")):
        from spikeport.pipeline.stages.settings import as_recipe

        as_recipe(recipe)
        assert factory.load_object(f"{NAME}:ANSWER", "key") == name
        assert factory.load_object(f"{NAME}:beside.FOLDER", "key") == name
    assert recipes[0] == recipes[1]  # where a recipe was read is no setting of it


@pytest.mark.parametrize("taken", ["json", "numpy", "spikeport", "sys"])
def test_no_own_file_shadows_a_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: str) -> None:
    (tmp_path / f"{taken}.py").write_text("PLACE = 'own'")
    monkeypatch.chdir(tmp_path)
    own_modules.look_in(tmp_path)
    file = tmp_path / f"{taken}.py"
    with pytest.raises(UserError, match=rf"installed module, which is found first: rename {file}"):
        factory.load_object(f"{taken}:PLACE", "key")
    small(tmp_path, f"import {taken}\nFILE = getattr({taken}, '__file__', '')")
    assert str(tmp_path) not in factory.load_object(f"{NAME}:FILE", "key")


def test_a_folder_of_results_is_no_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder named as a missing package does not make it look installed; a package of own files does."""
    (tmp_path / NAME / "data").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=rf"cannot be imported.*put {NAME}.py beside the recipe or into the working"):
        factory.load_object(f"{NAME}:make", "key")
    (tmp_path / NAME / "inner.py").write_text("from . import other\nmake = other.VALUE")
    (tmp_path / NAME / "other.py").write_text("VALUE = 7")
    assert factory.load_object(f"{NAME}.inner:make", "key") == 7


def test_a_missing_file_names_the_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    own_modules.look_in(tmp_path)
    with pytest.raises(UserError) as refused:
        factory.load_object(f"{NAME}:make", "student.network")
    assert f"(looked in {tmp_path}, {tmp_path / 'here'})" in refused.value.hint


def test_a_file_that_fails_is_no_half_module(tmp_path: Path) -> None:
    small(tmp_path, "import a_module_that_is_not_there")
    own_modules.look_in(tmp_path)
    with pytest.raises(UserError, match="No module named 'a_module_that_is_not_there'"):
        factory.load_object(f"{NAME}:make", "key")
    assert NAME not in sys.modules


def test_a_run_folder_brings_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes are trusted as far as they are named; a run folder may be somebody else's."""
    write(tmp_path / "run")
    (tmp_path / "run" / "recipe.toml").write_text(RECIPE)
    (tmp_path / "run" / "manifest.json").write_text("{}")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert sp.load_recipe(tmp_path / "run" / "recipe.toml").folder is None
    with pytest.raises(UserError, match="cannot be imported"):
        factory.load_object(f"{NAME}:student", "key")


def test_objects_of_own_classes_reach_processes_that_are_spawned(tmp_path: Path) -> None:
    """As workers of a DataLoader get their data set: by the name of its class."""
    text = """
    class Set:
        def __len__(self):
            return 3
        def __getitem__(self, row):
            return row * row
    """
    small(tmp_path, textwrap.dedent(text))
    own_modules.look_in(tmp_path)
    import torch

    data = factory.load_object(f"{NAME}:Set", "key")()
    loader = torch.utils.data.DataLoader(
        data, num_workers=1, multiprocessing_context=multiprocessing.get_context("spawn")
    )
    assert [int(batch) for batch in loader] == [0, 1, 4]


def started(folder: Path, *words: object) -> subprocess.CompletedProcess:
    """The command in a process of its own, which has no folder on its path."""
    environment = {**os.environ, "SPIKEPORT_CACHE": str(folder / "cache")}
    environment.pop("PYTHONPATH", None)
    command = [sys.executable, "-P", "-m", "spikeport", *map(str, words)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_run_of_a_recipe_with_own_code(tmp_path: Path) -> None:
    """Student, logger, callback, files beside them; in this process, in processes of a sweep, and in two that train
    together."""
    recipe = write(tmp_path / "recipes")
    (tmp_path / "here").mkdir()
    for words in (("train", recipe, "--out", "run"), ("train", recipe, "--out", "two", "--set", "training.devices=2")):
        done = started(tmp_path / "here", *words)
        assert done.returncode == 0, done.stderr
        assert f"module {NAME} of {recipe.parent / NAME}.py" in done.stderr
        assert "own callback student-baseline" in done.stdout
        assert (tmp_path / "here" / words[3] / "own lines" / "student-baseline" / "metrics.csv").exists()
    done = started(tmp_path / "here", "sweep", recipe, "--seeds", "2", "--out", "sweep")
    assert done.returncode == 0, done.stderr
    missing = started(tmp_path / "here", "train", "run", "--resume", "--epochs", "+1")
    assert missing.returncode == 2  # a run folder brings no code
    assert f"put {NAME}.py beside the recipe or into the working folder" in one_line(missing.stderr)
    done = started(tmp_path / "recipes", "train", "../here/run", "--resume", "--epochs", "+1")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [("check-network",), ("export", "--out", "out", "--no-check")])
def test_networks_of_the_working_folder(spikeport, tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / f"{NAME}.py").write_text(LATER + "\ndef net():\n    return make((2, 3, 4), 5)\n")
    verb, *options = words
    code, out, err = spikeport(verb, f"{NAME}:net", *options, "--input-shape", "2,3,4", "--dt", "1e-3")
    assert code == 0, out + err
    assert f"module {NAME} of {tmp_path / NAME}.py" in err
