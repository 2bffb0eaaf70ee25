"""The Pythons that a command starts run nothing that lies in the folder where it was called."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from data_folders import with_pictures
from known_networks import known_network

from spikeport.export.formats.netx.write import write_netx
from spikeport.pipeline.run import worker_processes
from spikeport.pipeline.run.recipe import Recipe

pytestmark = pytest.mark.slow

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


@pytest.fixture
def own_names(tmp_path: Path) -> Path:
    """A folder with modules of its own that have the names of our rooms, or of a library that the command loads."""
    folder = tmp_path / "project"
    for name in ("pipeline/__init__.py", "export.py", "hardware_profiles.py", "typer.py"):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"open({str(tmp_path / f'RAN-{Path(name).parts[0]}')!r}, 'w').close()\n")
    return folder


NOTEBOOK = """
import sys
sys.path.insert(0, "")  # as a kernel does
import numpy as np
import spikeport as sp
net = sp.load_network(sys.argv[1])
assert sp.simulate(net, np.zeros((1, 2, 3), dtype=np.uint8)).classes().tolist() == [-1]
assert sp.load_recipe("digits").name == "digits"
"""
SPAWNING = """
import multiprocessing, sys
import numpy as np
import spikeport as sp

def classes(net):
    return sp.simulate(sp.load_network(net), np.zeros((1, 2, 3), dtype=np.uint8)).classes().tolist()

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(classes, sys.argv[1:]) == [[-1]]
"""


def test_a_notebook_s_folder_with_such_names_does_no_harm(own_names: Path, tmp_path: Path) -> None:
    write_netx(known_network(), tmp_path / "known.net")
    code = [sys.executable, "-c", NOTEBOOK, tmp_path / "known.net"]
    done = subprocess.run(code, cwd=own_names, capture_output=True, text=True, check=False)
    assert (done.returncode, ran(tmp_path)) == (0, []), done.stderr


def test_spawned_processes_find_our_modules(own_names: Path, tmp_path: Path) -> None:
    write_netx(known_network(), tmp_path / "known.net")
    (own_names / "work.py").write_text(SPAWNING)
    code = [sys.executable, "work.py", tmp_path / "known.net"]
    done = subprocess.run(code, cwd=own_names, capture_output=True, text=True, check=False)
    assert (done.returncode, ran(tmp_path)) == (0, []), done.stderr


@pytest.mark.parametrize("launcher", [(), ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=1")])
def test_the_command_as_a_module_runs_nothing_of_the_folder(
    own_names: Path, tmp_path: Path, launcher: tuple[str, ...]
) -> None:
    """torchrun starts `python -m spikeport`, which searches the working folder until the command begins."""
    words = [sys.executable, *(("-P", *launcher) if launcher else ()), "-m", "spikeport", "hardware", "list"]
    done = subprocess.run(words, cwd=own_names, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "loihi1" in done.stdout
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
