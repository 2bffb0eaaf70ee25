"""A run folder keeps what stages gave, notices what changed, and never mixes two runs."""

import json
import subprocess
import sys

import pytest

from spikeport.errors import UserError
from spikeport.pipeline.run.recipe_file import parse_recipe
from spikeport.pipeline.run.run_folder import create, locked, open_run

RECIPE = parse_recipe({"name": "a", "training": {"epochs": 3}}, where="test")


@pytest.fixture
def run(tmp_path):
    run = create(tmp_path / "run", RECIPE, resume=False, about={})
    run.file("student.bin").write_bytes(b"weights")
    run.record("student", {"accuracy": 0.5}, ("student.bin",), 1.25)
    return run


def test_a_recorded_stage_is_done_after_reopening(run):
    again = open_run(run.path)
    assert again.is_done("student")
    assert not again.is_done("quantize")
    assert again.result("student") == {"accuracy": 0.5}
    assert again.recipe == RECIPE


def test_a_stage_whose_file_changed_or_went_is_not_done(run):
    run.file("student.bin").write_bytes(b"other")
    assert not open_run(run.path).is_done("student")
    run.file("student.bin").unlink()
    assert not open_run(run.path).is_done("student")


def test_a_stage_that_never_ran_says_how_to_go_on(run):
    with pytest.raises(UserError, match=r"'export' has not run.*--resume"):
        run.result("export")


def test_a_run_is_not_overwritten(run):
    with pytest.raises(UserError, match=r"already holds a run.*--resume"):
        create(run.path, RECIPE, resume=False, about={})
    assert create(run.path, RECIPE, resume=True, about={}).is_done("student")


@pytest.mark.parametrize("resume", [False, True])
def test_a_run_that_has_done_nothing_begins_anew(tmp_path, resume):
    """Data were not where the first recipe said; the corrected one goes into the same folder, resumed or not."""
    create(tmp_path / "a", RECIPE, resume=False, about={"first": 1})
    other = parse_recipe({"name": "a", "training": {"epochs": 4}}, where="test")
    made = create(tmp_path / "a", other, resume=resume, about={"second": 2})
    assert made.recipe.training.epochs == 4
    assert open_run(tmp_path / "a").recipe == other
    assert open_run(tmp_path / "a").manifest["about"] == {"second": 2}


def test_a_folder_that_cannot_be_one_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match=r"file: cannot write here.*choose another folder"), locked(tmp_path / "file"):
        pass
    with pytest.raises(UserError, match=r"cannot write here"), locked(tmp_path / "file" / "below"):
        pass


def test_other_peoples_files_are_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match="files that are not a run"):
        create(tmp_path, RECIPE, resume=True, about={})
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": "other"}', '{"schema": "spikeport-run/1", "stages": 3}'])
def test_a_damaged_manifest_says_so(run, text):
    run.file("manifest.json").write_text(text)
    with pytest.raises(UserError, match=r"manifest.json is damaged"):
        open_run(run.path)


def test_no_run_folder_says_so(tmp_path):
    with pytest.raises(UserError, match="is not a run folder"):
        open_run(tmp_path)


def test_the_manifest_is_plain_json(run):
    manifest = json.loads(run.file("manifest.json").read_text())
    assert manifest["stages"]["student"]["seconds"] == 1.25


def test_forgotten_stages_run_again(run):
    """All of them: a kill may come before any of them is done again."""
    run.record("quantize", {"accuracy": 0.4}, (), 0.5)
    run.forget(("student", "quantize", "export"))
    assert open_run(run.path).manifest["stages"] == {}


def test_one_process_at_a_time(run):
    code = "import pathlib\nfrom spikeport.pipeline.run.run_folder import locked\n"
    code += f"with locked(pathlib.Path({str(run.path)!r})): pass"
    with locked(run.path):
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "another spikeport process works in this folder" in other.stderr
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
