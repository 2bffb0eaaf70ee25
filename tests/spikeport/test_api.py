"""The names of `import spikeport`: light, complete, typed; each is what the command uses."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import nir
import numpy as np
import pytest
from finished_folder import finished_runs
from known_networks import known_network
from small_graphs import DT, graph_of, lif

import spikeport as sp
from spikeport.export.formats.netx.write import write_netx

ROOT = Path(__file__).parents[2]
FACE = ROOT / "spikeport" / "__init__.py"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two finished runs, `one` and `two`, and the cache of their recordings."""
    return finished_runs(tmp_path_factory, "one", "two")


@pytest.fixture
def cached(runs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPIKEPORT_CACHE", str(runs / "cache"))
    return runs


# Names


def test_importing_the_package_loads_no_large_library() -> None:
    code = "import sys, json; before = set(sys.modules); import spikeport"
    code += "; print(json.dumps(sorted(set(sys.modules) - before)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert loaded <= {"spikeport", "__future__"}


def test_every_public_name_loads_and_is_listed() -> None:
    assert sorted(sp.__all__) == sp.__all__
    for name in sp.__all__:
        assert getattr(sp, name).__doc__, name
        assert name in dir(sp)


def test_type_checkers_see_the_names_that_are_loaded() -> None:
    """The imports under TYPE_CHECKING are the objects that __getattr__ gives."""
    tree = ast.parse(FACE.read_text())
    (checked,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {}
    for node in checked.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            seen[alias.asname or alias.name] = getattr(importlib.import_module(node.module or ""), alias.name)
    assert set(seen) == set(sp.__all__)
    assert all(getattr(sp, name) is found for name, found in seen.items())


def test_no_public_name_is_that_of_a_module() -> None:
    """Importing the module would put it in the name's place."""
    modules = {path.stem for path in (ROOT / "spikeport").glob("*.py")} | {"pipeline", "export", "hardware_profiles"}
    assert not {"recipes", *modules} & set(sp.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'spikeport' has no attribute 'nothing'"):
        _ = sp.nothing  # type: ignore[attr-defined]


def test_every_verb_of_the_command_has_its_function() -> None:
    from spikeport.pipeline.cli.app import app

    functions = {
        "run": "run", "train": "train", "check": "check", "report": "report", "compare": "compare_runs",
        "sweep": "sweep", "export": "export_network", "simulate": "simulate", "replay": "replay", "profile": "profile",
        "doctor": "doctor", "hardware": "list_hardware", "data": "describe_dataset", "lava": "install_lava",
        "check-network": "check_network", "adapt": "adapt", "recipe": "list_recipe_keys", "frames": "save_frames",
        "predict": "predict",
    }  # fmt: skip
    verbs = {(command.name or command.callback.__name__) for command in app.registered_commands}
    verbs |= {str(group.name) for group in app.registered_groups}
    assert verbs <= set(functions), verbs - set(functions)
    assert {functions[verb] for verb in verbs} <= set(sp.__all__)


# Networks


def test_a_network_is_quantized_simulated_and_compared() -> None:
    """v <- v / 2 + input: 0.75, 1.125 and a spike of the first neuron, then again from 0; 0.25 never reaches 1."""
    graph = graph_of(nir.Linear(np.array([[0.75, 0.0], [0.0, 0.25], [0.0, 0.0]])), lif((3,)), shape=(2,))
    net = sp.quantize(graph)
    frames = np.ones((1, 4, 2), dtype=np.uint8)
    trace = sp.simulate(net, frames)
    assert trace.spikes[0].T.tolist() == [[0, 1, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert (trace.classes().tolist(), trace.classes().dtype) == ([0], np.int64)
    assert sp.compare(net, frames, backends=("reference", "reference")).mismatches == 0
    assert net.dt_s == DT
    assert "weight error" in repr(net)
    assert len(repr(net).splitlines()) == 3 + len(net.network.layers)
    assert len(repr(net.explain()).splitlines()) > 3


def test_a_net_file_is_what_was_saved(tmp_path: Path) -> None:
    write_netx(known_network(), tmp_path / "known.net")
    net = sp.load_network(tmp_path / "known.net")
    frames = np.array([[[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]]], dtype=np.uint8)
    assert sp.simulate(net, frames).spikes.tolist() == [[[0], [0], [1], [0]]]  # as worked out by hand
    assert net.save(tmp_path / "again.net").read_bytes() == (tmp_path / "known.net").read_bytes()
    with pytest.raises(sp.UserError, match="does not hold the graph"):
        net.explain()
    with pytest.raises(sp.UserError, match="cannot be written"):
        net.save(tmp_path / "known.nir")


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((2, 4, 4), dtype=np.uint8), r"shape \(2, 4, 4\), which is not \[N, T, 3\]"),
        (np.zeros((4, 3), dtype=np.uint8), "which is not"),
        (np.zeros((2, 4, 3)), "float64, not whole numbers"),
    ],
)
def test_frames_that_do_not_fit_are_refused(frames: np.ndarray, message: str) -> None:
    with pytest.raises(sp.UserError, match=message):
        sp.simulate(known_network(), frames)


def test_a_silent_sample_has_no_class() -> None:
    frames = np.zeros((2, 4, 3), dtype=np.uint8)
    frames[1] = 1
    assert sp.simulate(known_network(), frames).classes().tolist() == [-1, 0]


def test_limits_of_a_device() -> None:
    """Its voltage decays by all of 4096, for which the chip's field has no room."""
    report = sp.check_limits(known_network(), "loihi1")
    assert (report.passes, report.summary) == (False, "exceeds public limits: voltage decay")
    with pytest.raises(sp.UserError):
        sp.check_limits(known_network(), "no-such-device")


# Runs


def test_changes_are_values_by_key() -> None:
    recipe = sp.load_recipe("digits", {"training.epochs": 3, "student.channels": [4, 6], "name": "a b"})
    assert (recipe.training.epochs, recipe.student.channels, recipe.name) == (3, (4, 6), "a b")
    assert sp.load_recipe("digits", ["training.epochs=3"]).training.epochs == 3
    with pytest.raises(sp.UserError, match=r"training\.nothing|unknown key"):
        sp.load_recipe("digits", {"training.nothing": 3})


def test_a_finished_run_is_opened(cached: Path) -> None:
    run = sp.open_run(cached / "one")
    assert run.stages[:2] == ("data", "teacher")
    assert run.summary == run.report["summary"]
    assert run.trace.classes().tolist() == run.folder.result("simulate")["predicted"]
    again = sp.simulate(run.network, run.dataset.test.frames)
    assert np.array_equal(again.spikes, run.trace.spikes)
    assert run.summary in repr(run)
    with pytest.raises(sp.UserError, match=r"run folder"):
        sp.open_run(cached)


def test_runs_are_compared(cached: Path, tmp_path: Path) -> None:
    found = sp.compare_runs([cached / "one", sp.open_run(cached / "two")])
    assert found.summary in repr(found)
    assert found.save(tmp_path / "compared").is_file()


def test_a_report_is_written_elsewhere(cached: Path, tmp_path: Path) -> None:
    page = sp.report(cached / "one", out=tmp_path / "page")
    assert page.parent == tmp_path / "page"
    assert json.loads((page.parent / "report.json").read_text()) == sp.open_run(cached / "one").report


def test_functions_print_nothing(cached: Path, capfd: pytest.CaptureFixture[str]) -> None:
    calls: list[tuple[int, int]] = []
    frames = np.zeros((2, 4, 3), dtype=np.uint8)
    sp.simulate(known_network(), frames, progress=lambda done, total: calls.append((done, total)))
    sp.compare_runs([cached / "one", cached / "two"])
    sp.report(cached / "one")
    assert capfd.readouterr() == ("", "")
    assert calls[-1] == (2, 2)


def test_tables_print_themselves() -> None:
    rows = sp.list_hardware()
    assert "loihi1" in repr(rows)
    assert "loihi1" in rows.column("id")
    assert "<table>" in rows._repr_html_()
    assert len(repr(sp.show_hardware("loihi1")).splitlines()) == len(sp.show_hardware("loihi1")) + 2


# Types


@pytest.mark.slow
def test_mypy_sees_true_types() -> None:
    pytest.importorskip("mypy")
    words = ["--config-file", str(ROOT / "pyproject.toml"), "--strict", "tests/typing/api.py"]
    done = subprocess.run([sys.executable, "-m", "mypy", *words], cwd=ROOT, capture_output=True, text=True)
    faults = [line for line in done.stdout.splitlines() if line.startswith("tests/typing/api.py")]
    assert faults == []
    assert done.returncode in (0, 1), done.stderr
