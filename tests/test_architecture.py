"""Imports go down only, between houses and between rooms; Lava is imported in one place; nothing is unpickled."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HOUSES = ("spikeport", "hardware_profiles", "export", "pipeline")
# From low to high: a room imports itself and what comes before it.
EXPORT = ("network", "formats", "mapping", "graph", "frontends", "lowering", "quantization", "backends", "calibration")
LOWER = ("run", "data", "models", "distillation", "training", "adaptation", "profiling")
PIPELINE = (*LOWER, "report", "stages", "sweep", "cli")
ROOMS = (
    "spikeport",
    "hardware_profiles",
    *(f"export.{name}" for name in EXPORT),
    *(f"pipeline.{name}" for name in PIPELINE),
)
FACE = ("spikeport", "spikeport.__main__")  # the public names and the command: they load everything, lazily


def modules() -> dict[str, Path]:
    """Every module by its installed name."""
    found = {}
    for house in HOUSES:
        for file in (ROOT / house).rglob("*.py"):
            parts = list(file.relative_to(ROOT).with_suffix("").parts)
            name = ".".join(parts if house == "spikeport" else ["spikeport", *parts])
            found[name.removesuffix(".__init__")] = file
    return found


MODULES = modules()


def imported(file: Path) -> set[str]:
    """Modules and names that a file imports anywhere: at the top, inside functions, for type checkers."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def of_ours(file: Path) -> set[str]:
    """Modules of Spikeport that a file imports."""
    return {
        name if name in MODULES else name.rpartition(".")[0]
        for name in imported(file)
        if name.partition(".")[0] == "spikeport"
    }


def room(name: str) -> str:
    """`export.graph` of `spikeport.export.graph.chain`; the floor is `spikeport`."""
    parts = name.split(".")[1:]
    if not parts or parts[0] not in HOUSES:
        return "spikeport"
    return parts[0] if parts[0] == "hardware_profiles" else ".".join(parts[:2])


@pytest.mark.parametrize("name", ROOMS)
def test_imports_go_down_only(name):
    below = ROOMS[: ROOMS.index(name) + 1]
    files = {module: file for module, file in MODULES.items() if room(module) == name and module not in FACE}
    assert files
    upward = {
        module: found
        for module, file in files.items()
        if (found := {other for other in of_ours(file) if room(other) not in below})
    }
    assert upward == {}


def test_every_module_lies_in_a_room():
    strays = {name for name in MODULES if room(name) not in ROOMS and name.count(".") > 1}
    assert strays == set()


def test_no_two_modules_import_each_other_in_a_circle():
    imports = {name: of_ours(file) - {name} for name, file in MODULES.items() if name not in FACE}
    order: list[str] = []
    open_: list[str] = []

    def visit(name: str) -> None:
        assert name not in open_, " -> ".join([*open_[open_.index(name) :], name])
        if name in order or name not in imports:
            return
        open_.append(name)
        for other in sorted(imports[name]):
            visit(other)
        open_.pop()
        order.append(name)

    for name in imports:
        visit(name)


def test_lava_is_imported_in_its_own_environment_only():
    users = {
        file.relative_to(ROOT).parent.as_posix()
        for file in MODULES.values()
        if any(name.partition(".")[0] == "lava" for name in imported(file))
    }
    assert users == {"export/backends/lava/inside"}


def test_nothing_is_unpickled():
    """No pickle, no torch.load, no numpy.load that would allow objects."""
    for file in MODULES.values():
        tops = {name.partition(".")[0] for name in imported(file)}
        assert not tops & {"pickle", "joblib", "dill", "cloudpickle"}, file
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("np.load", "numpy.load"):
                assert "allow_pickle=False" in ast.unparse(node), file
            assert not (isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"), file
