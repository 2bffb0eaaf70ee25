"""Runs whose synthetic events have the motion of the recordings, and the domain gap that they report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from digit_recipes import DIGITS

import spikeport as sp
from spikeport.pipeline.data.event_synthesis.motion import Motion
from spikeport.pipeline.distillation.method_spec import pretraining_stages
from spikeport.pipeline.run.run_folder import open_run
from spikeport.pipeline.stages import synthesis
from spikeport.pipeline.stages.results import StudentResult

RECIPE = f"""{DIGITS}[student]
channels = [3, 4]
v_threshold = 0.3
[training]
epochs = 2
threads = 1
accelerator = "cpu"
[quantization]
epochs = 1
[synthesis]
kind = "motion"
motion_generations = 1
pretrain_epochs = 1
finetune_epochs = 1
[distillation]
train_baseline = false
"""


def written(folder: Path, method: str, more: str = "") -> Path:
    (folder / "r.toml").write_text(f'{RECIPE}method = "{method}"\n{more}[check]\nbackends = []\n')
    return folder / "r.toml"


@pytest.mark.parametrize(
    ("method", "more", "stages"),
    [
        ("synthetic-events", "", {"synthesis", "pretrain"}),
        ("ckd-events", "", {"synthesis"}),
        ("ckd-events", "options = { pretrain = true }\n", {"synthesis", "pretrain"}),
    ],
)
def test_a_run_fits_the_motion_and_reports_its_domain_gap(
    method: str, more: str, stages: set[str], tmp_path: Path, spikeport
) -> None:
    """To the report: the motion is kept, and the gap of every layer stands in the log, the manifest and the report."""
    recipe = written(tmp_path, method, more)
    code, _, err = spikeport("run", recipe, "--out", "run")
    assert code == 0, err
    run = open_run(tmp_path / "run")
    assert {"synthesis", "pretrain"} & set(run.manifest["stages"]) == stages
    motion = Motion.from_text((tmp_path / "run" / "motion.json").read_text(), "motion.json")
    assert motion.gain > 0
    assert "distance of synthetic events from the recordings: filters " in err
    result = StudentResult.from_json(run.result(f"student-{method}"))
    assert [layer.layer for layer in result.gap] == ["conv1", "conv2", "output"]
    assert all(0 <= layer.gap <= 1 and 0 <= layer.among_recordings <= 1 for layer in result.gap)
    line = "Domain gap of the synthetic events (0 none, 1 complete): conv1 "
    assert line in err
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    (remarks,) = [row["remarks"] for row in report["training"]["stages"] if row["stage"] == f"student-{method}"]
    assert any(line in remark for remark in remarks)
    assert line in (tmp_path / "run" / "report.html").read_text()


def test_the_keys_of_a_method_hold_unless_the_recipe_has_its_own(tmp_path: Path) -> None:
    events = sp.load_recipe(written(tmp_path, "ckd-events"))
    assert (events.distillation.static, events.distillation.shared_head) == ("synthetic", True)
    assert pretraining_stages(events) == ("synthesis",)
    own = sp.load_recipe(written(tmp_path, "ckd-events", "shared_head = false\n"))
    assert (own.distillation.static, own.distillation.shared_head) == ("synthetic", False)
    plain = sp.load_recipe(written(tmp_path, "ckd"))
    assert (plain.distillation.static, plain.distillation.shared_head) == ("value", False)
    assert plain == sp.load_recipe(written(tmp_path, "ckd-events"), ["distillation.method=ckd"])


def test_too_few_recordings_or_no_images_are_refused(tmp_path: Path, spikeport) -> None:
    recipe = written(tmp_path, "synthetic-events")
    code, _, err = spikeport("train", recipe, "--set", "data.train=2", "--set", "data.validation=0", "--out", "run")
    assert code == 2
    assert "a motion is fitted to 3 or more training recordings" in err or "class" in err


@pytest.fixture
def torch_threads() -> Iterator[None]:
    """Other tests of this process get as many threads as before."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("torch_threads")
@pytest.mark.parametrize("count", [1, 2])
def test_a_fit_uses_the_threads_of_the_recipe(count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where no training came before it in this process, since the teacher is given."""
    first = sp.train(sp.load_recipe(written(tmp_path, "baseline")), tmp_path / "first")
    weights = first.folder.file("teacher.safetensors")
    changes = {"distillation.method": "synthetic-events", "teacher.weights": str(weights), "teacher.epochs": 0}
    seen = []

    def watched(*_: object) -> None:
        seen.append(torch.get_num_threads())
        raise KeyboardInterrupt

    monkeypatch.setattr(synthesis, "fit_motion", watched)
    torch.set_num_threads(3 - count)
    with pytest.raises(KeyboardInterrupt):
        sp.train(sp.load_recipe(written(tmp_path, "baseline"), changes | {"training.threads": count}), tmp_path / "run")
    assert seen == [count]
