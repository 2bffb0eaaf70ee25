"""Wheel, wheel from the sdist, and editable install hold the same files, all below the one name `spikeport`."""

import importlib.util
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("spikeport/", "pipeline/", "export/", "hardware_profiles/", "recipes/")
SDIST = "import setuptools.build_meta as build, sys; build.build_sdist(sys.argv[1])"


def tracked() -> list[str]:
    """The files of the checkout that belong to the package or lie at its root."""
    words = ["git", "ls-files", "-co", "--exclude-standard"]
    names = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [name for name in names if (name.startswith(FOLDERS) or "/" not in name) and (ROOT / name).is_file()]


def build_wheel(source: Path, folder: Path) -> Path:
    words = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*words, "--wheel-dir", str(folder), str(source)], check=True, capture_output=True)
    (wheel,) = folder.glob("spikeport-*.whl")
    return wheel


def contents(wheel: Path) -> dict[str, bytes]:
    """The files of a wheel, without pip's own notes about it."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith(("RECORD", "/WHEEL"))}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of the checkout: building leaves folders behind."""
    copy = tmp_path_factory.mktemp("source")
    for name in tracked():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((ROOT / name).read_bytes())
    return copy


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    return build_wheel(source, tmp_path_factory.mktemp("wheel"))


def test_the_wheel_ships_every_file_below_one_name(wheel):
    shipped = contents(wheel)
    wanted = {
        name if name.startswith("spikeport/") else f"spikeport/{name}": (ROOT / name).read_bytes()
        for name in tracked()
        if name.startswith(FOLDERS)
    }
    assert {name: data for name, data in shipped.items() if ".dist-info/" not in name} == wanted
    for ending in (".j2", ".toml", ".txt", ".json", "py.typed"):
        assert any(name.endswith(ending) for name in wanted), ending
    assert any(name.endswith("licenses/LICENSE") for name in shipped)


def test_a_wheel_made_from_the_sdist_is_the_same(source, wheel, tmp_path):
    made = subprocess.run(
        [sys.executable, "-P", "-c", SDIST, str(tmp_path)], cwd=source, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    (sdist,) = tmp_path.glob("spikeport-*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert contents(build_wheel(unpacked, tmp_path)) == contents(wheel)


def test_the_editable_install_finds_what_the_wheel_holds(wheel):
    """Each module of the wheel is importable here under the same name, from a file with the same text."""
    for name, data in contents(wheel).items():
        if name.endswith(".py"):
            module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            spec = importlib.util.find_spec(module)
            assert spec is not None, module
            assert spec.origin is not None, module
            assert Path(spec.origin).read_bytes() == data, module


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The wheel unpacked into a folder of its own, as pip does it."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run_installed(installed, folder, *words):
    """A command in `folder`, which finds Spikeport in the unpacked wheel before any other."""
    environment = os.environ | {"PYTHONPATH": str(installed), "SPIKEPORT_CACHE": str(folder / "cache")}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_wheel_runs_beside_folders_of_the_same_names(installed, tmp_path):
    for name in ("pipeline/__init__.py", "export.py", "recipes.py", "hardware_profiles/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("raise SystemExit('this module is not Spikeport')\n")
    where = run_installed(installed, tmp_path, sys.executable, "-c", "import spikeport; print(spikeport.__file__)")
    assert where.stdout.strip() == str(installed / "spikeport" / "__init__.py")
    printed = run_installed(installed, tmp_path, sys.executable, "-m", "spikeport", "hardware", "show", "loihi1")
    assert printed.returncode == 0, printed.stderr
    assert "Loihi" in printed.stdout


def test_the_bare_names_are_not_importable(tmp_path):
    names = [name.rstrip("/") for name in FOLDERS[1:]]
    code = f"from importlib.util import find_spec; print([name for name in {names} if find_spec(name)])"
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
    banned = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]["flake8-tidy-imports"]
    assert set(banned["banned-api"]) == {"pipeline", "export", "hardware_profiles", "recipes"}


def test_every_dependency_is_imported_or_needed_by_name():
    """A dependency that no module imports is not asked for, with two that others import by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = "\n".join(
        (ROOT / name).read_text() for name in tracked() if name.endswith(".py") and name.startswith(FOLDERS)
    )
    names = {"pytorch-lightning": "pytorch_lightning", "scikit-learn": "sklearn", "pillow": "PIL", "tomli-w": "tomli_w"}
    indirect = {"onnxscript"}  # torch.onnx imports it
    for wanted in project["dependencies"]:
        name = wanted.split(">")[0].split("<")[0].strip()
        module = names.get(name, name)
        assert name in indirect or f"import {module}" in text or f"from {module}" in text, name


def test_constraints_pin_every_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {
        line.partition("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().split()
    }
    extras = [
        name for key in ("aedat4", "docs", "dev", "tensorboard") for name in project["optional-dependencies"][key]
    ]
    for wanted in (*project["dependencies"], *extras):
        name = wanted.split(">")[0].split("[")[0].lower()
        assert name == "spikeport" or name in pinned, name
