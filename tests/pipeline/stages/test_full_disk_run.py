"""A disk that fills in any stage of a run: one error, nothing half-written, and the same bytes once there is room."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import tempfile

import pytest
from full_disk import FILLER, empty, fill, small_disk

from spikeport.errors import CannotWriteError
from spikeport.pipeline.run.progress import ProgressPrinter
from spikeport.pipeline.run.recipe_file import MANIFEST, parse_recipe
from spikeport.pipeline.run.run_folder import create, locked, open_run
from spikeport.pipeline.stages import runner as stages
from spikeport.pipeline.stages.context import Context
from spikeport.pipeline.stages.runner import run_stages, stages_of
from spikeport.versions import about_this_run

RECIPE = {
    "name": "tiny",
    "data": {"source": "digits", "height": 16, "width": 18, "steps": 5, "train": 40, "validation": 10, "test": 10},
    "teacher": {"epochs": 1},
    "student": {"channels": [2, 3, 4]},
    "training": {"epochs": 1, "threads": 1},
    "quantization": {"epochs": 1},
    "distillation": {"train_baseline": False},
    "check": {"backends": ()},
    "profile": {"baseline_seconds": 0.01, "per_step": True},
}
NAMES = ["data", "teacher", "student-ckd", "quantized-ckd", "export", "simulate", "check", "profile", "report"]
MEASURED = {"baseline.json", MANIFEST, "metrics.jsonl", "report.json", "report.md", "report.html", ".lock", FILLER}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    root = tmp_path_factory.mktemp("unbroken")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPIKEPORT_CACHE", str(root / "cache"))
        run = create(root / "run", parse_recipe(RECIPE, where="test"), resume=False, about=about_this_run())
        assert [stage.name for stage in stages_of(run.recipe)] == NAMES
        run_stages(Context(run, ProgressPrinter(quiet=True)))
    return root / "run"


def come_to(unbroken, folder, stage):
    """A copy in `folder` of the run as it was before `stage`."""
    shutil.copytree(unbroken, folder)
    run = open_run(folder)
    for later in NAMES[NAMES.index(stage) :]:
        for name in run.files(later):
            run.file(name).unlink()
    run.forget(tuple(NAMES[NAMES.index(stage) :]))


def contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in MEASURED)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def goes_on(folder):
    with locked(folder):
        run_stages(Context(open_run(folder), ProgressPrinter(quiet=True)))


def fails_and_goes_on(folder, stage, unbroken, full, room):
    before = contents(folder)
    full()
    with pytest.raises(CannotWriteError) as raised:
        goes_on(folder)
    room()
    assert "\n" not in str(raised.value)
    assert str(folder.parent) in raised.value.where  # the file, or where a library keeps its own
    assert list(json.loads((folder / MANIFEST).read_text())["stages"]) == NAMES[: NAMES.index(stage)]
    after = contents(folder)
    assert not [name for name in after if ".spikeport-" in name]
    assert {name: after[name] for name in before} == before
    goes_on(folder)
    of_stage = {name: bytes_ for name, bytes_ in contents(unbroken).items() if name in open_run(folder).files(stage)}
    assert {name: bytes_ for name, bytes_ in contents(folder).items() if name in of_stage} == of_stage


@pytest.fixture
def up_to(monkeypatch, tmp_path):
    """Runs end with a stage, so that each test does one; frames are cached where there is room."""
    monkeypatch.setenv("SPIKEPORT_CACHE", str(tmp_path / "cache"))

    def cut(stage):
        monkeypatch.setattr(stages, "stages_of", lambda recipe: stages_of(recipe)[: NAMES.index(stage) + 1])

    return cut


@pytest.mark.parametrize("stage", NAMES)
def test_a_full_disk(unbroken, tmp_path, monkeypatch, up_to, stage):
    up_to(stage)
    with small_disk(tmp_path / "disk", "16M") as disk:
        (disk / "tmp").mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(disk / "tmp"))
        come_to(unbroken, disk / "run", stage)
        fails_and_goes_on(disk / "run", stage, unbroken, lambda: fill(disk, 0), lambda: empty(disk))


@pytest.mark.parametrize("stage", ["teacher", "export", "report"])
def test_files_that_may_not_grow(unbroken, tmp_path, up_to, stage):
    """Without a disk of its own: no file may take more than 64 bytes."""
    up_to(stage)
    come_to(unbroken, tmp_path / "run", stage)
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

    try:
        fails_and_goes_on(tmp_path / "run", stage, unbroken, lambda: limit(64), lambda: limit(before))
    finally:
        limit(before)
        signal.signal(signal.SIGXFSZ, handler)


def test_the_command_says_it_in_one_line_and_how_to_go_on(spikeport, tmp_path):
    with small_disk(tmp_path / "disk", "64k") as disk:
        (tmp_path / "a.toml").write_text(parse_recipe(RECIPE, where="test").as_toml())
        fill(disk, 0)
        code, _, err = spikeport("train", "a.toml", "--out", disk / "run")
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert code == 2
    assert len(errors) == 1
    assert "No space left on device" in errors[0]
    assert "Traceback" not in err
