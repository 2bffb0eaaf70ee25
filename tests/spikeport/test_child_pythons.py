"""The Pythons that a command starts run nothing that lies in the folder where it was called."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from data_folders import with_pictures

from spikeport.pipeline.run import worker_processes
from spikeport.pipeline.run.recipe import Recipe

HOUSE = Path(__file__).parents[2]
OURS = ("spikeport", "pipeline", "export", "hardware_profiles")
SHADOWS = (
    "spikeport/__init__.py",
    "pipeline/__init__.py",
    "export.py",
    "typer.py",
    "torch.py",
    "numpy/__init__.py",
    "venv.py",
    "pip.py",
)


@pytest.fixture
def shadowed(tmp_path: Path) -> Path:
    """A folder with modules of many names, each of which would leave a file RAN-<module>."""
    folder = tmp_path / "shadow"
    for name in SHADOWS:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        mark = tmp_path / f"RAN-{Path(name).parts[0]}"
        file.write_text(f"open({str(mark)!r}, 'w').close()\n")
    return folder


def ran(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in tmp_path.glob("RAN-*"))


def test_the_shadows_would_run(shadowed: Path, tmp_path: Path) -> None:
    """Else the tests below could not fail."""
    subprocess.run([sys.executable, "-m", "spikeport"], cwd=shadowed, capture_output=True, check=False)
    assert "RAN-spikeport" in ran(tmp_path)  # how much more depends on how Spikeport is installed


def test_a_sweep_runs_nothing_of_the_folder_it_is_called_in(shadowed: Path, tmp_path: Path) -> None:
    data = with_pictures(tmp_path / "root").model_copy(update={"height": 10, "width": 12})
    sections = {"teacher": {"epochs": 1}, "student": {"channels": (2, 3)}, "training": {"epochs": 1}}
    values = {"name": "tiny", "data": data, "quantization": {"epochs": 0}, **sections}
    (tmp_path / "tiny.toml").write_text(Recipe.model_validate(values).as_toml())
    command = [Path(sys.executable).with_name("spikeport"), "sweep", tmp_path / "tiny.toml", "--seeds", "1", "-q"]
    words = ["--set", "distillation.method=baseline", "--out", tmp_path / "out"]
    done = subprocess.run([*command, *words], cwd=shadowed, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "sweep.md").is_file()
    assert ran(tmp_path) == []


def test_other_ranks_search_the_folder_for_another_s_module_alone() -> None:
    assert worker_processes._command_of(ModuleSpec("spikeport.__main__", None)) == [
        sys.executable,
        "-P",
        "-m",
        "spikeport.__main__",
    ]
    theirs = [sys.executable, *(["-P"] if sys.flags.safe_path else []), "-m", "study.main"]
    assert worker_processes._command_of(ModuleSpec("study.main", None)) == theirs


def test_every_python_that_is_started_is_told_not_to_search_the_folder() -> None:
    """Whatever list begins with an interpreter and -m or -c has -P or -I before it."""
    found = 0
    for path in (path for package in OURS for path in (HOUSE / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.List):
                words = [entry.value for entry in node.elts if isinstance(entry, ast.Constant)]
                if "-m" in words or "-c" in words:
                    starred = any(isinstance(entry, ast.Starred) for entry in node.elts)
                    assert {"-P", "-I"} & set(words) or starred, f"{path}: {ast.unparse(node)}"
                    found += 1
    assert found >= 3
