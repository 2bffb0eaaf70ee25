"""Imports point downward only, and Lava is imported in one place."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("pipeline", "export", "hardware_profiles")  # each may import itself and what comes after it


def imported(file: Path) -> set[str]:
    """Top-level packages that a file imports anywhere, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", LAYERS)
def test_imports_point_downward(package):
    above = set(LAYERS[: LAYERS.index(package)])
    files = list((ROOT / package).rglob("*.py"))
    assert files
    assert {str(file.relative_to(ROOT)): imported(file) & above for file in files if imported(file) & above} == {}


def test_lava_is_imported_in_its_own_environment_only():
    users = {
        file.relative_to(ROOT).parent.as_posix()
        for package in LAYERS
        for file in (ROOT / package).rglob("*.py")
        if "lava" in imported(file)
    }
    assert users == {"export/lava/inside"}


def test_nothing_is_unpickled():
    """No pickle, no torch.load, no numpy.load that would allow objects."""
    for package in LAYERS:
        for file in (ROOT / package).rglob("*.py"):
            assert not imported(file) & {"pickle", "joblib", "dill", "cloudpickle"}, file
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in ("np.load", "numpy.load"):
                    assert "allow_pickle=False" in ast.unparse(node), file
                assert not (isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"), file
