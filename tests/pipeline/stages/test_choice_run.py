"""Runs of "auto" from a recipe to the report, what they refuse, and epochs that cannot be added."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from digit_recipes import DIGITS
from learning_data import tiny_recipe

import spikeport as sp
from spikeport.errors import UserError
from spikeport.pipeline.report.content import content
from spikeport.pipeline.report.content.page_text import NO_BREAK
from spikeport.pipeline.run.auto_method import method_title
from spikeport.pipeline.run.run_folder import open_run
from spikeport.pipeline.stages import choice as stage
from spikeport.pipeline.stages.choice_result import ChoiceResult
from spikeport.pipeline.stages.resuming import begin
from spikeport.pipeline.stages.runner import stages_of
from spikeport.pipeline.training import choice_folds
from spikeport.pipeline.training.epoch_log import METRICS, rows_of_stages

RECIPE = f"""{DIGITS.replace("train = 60", "train = 24").replace("test = 20", "test = 10", 1)}
[student]
channels = [3, 4]
v_threshold = 0.3
[training]
epochs = 1
threads = 1
accelerator = "cpu"
[quantization]
epochs = 1
method = "same"
[synthesis]
kind = "simulator"
pretrain_epochs = 1
[distillation]
method = "auto"
[distillation.auto]
candidates = ["ckd-events"]
folds = 2
trainings = 1
images = 40
[check]
backends = []
"""


@pytest.mark.parametrize("chosen", ["baseline", "ckd-events"])
def test_a_run_goes_to_its_report_with_what_was_chosen(chosen, tmp_path, spikeport, monkeypatch):
    monkeypatch.setattr(stage, "choose", lambda _: chosen)
    (tmp_path / "r.toml").write_text(RECIPE)
    code, _, err = spikeport("run", "r.toml", "--out", "run", "--set", "data.static_limit=64")
    assert code == 0, err
    run = open_run(tmp_path / "run")
    assert method_title(run) == f"auto: {chosen}"
    assert list(run.manifest["stages"]) == [each.name for each in stages_of(run.recipe)]
    assert ("reason" in run.result("pretrain")) == (chosen == "baseline")
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    jsonschema.Draft202012Validator(
        json.loads(Path(content.__file__).with_name("report.schema.json").read_text())
    ).validate(report)
    assert report["method"] == f"auto: {chosen}"
    assert report["choice"] == run.result("choice") == ChoiceResult(**run.result("choice")).to_json()
    assert ("difference" in report["comparison"]) == (chosen != "baseline")
    for page in ("report.md", "report.html"):
        text = (tmp_path / "run" / page).read_text().replace(NO_BREAK, " ")
        assert "Choice of the method" in text
        assert report["choice"]["reason"] in text
    same = run.file("student.safetensors").read_bytes() == run.file("student-baseline.safetensors").read_bytes()
    assert same == (chosen == "baseline")
    finished = sp.open_run(tmp_path / "run")
    assert (finished.float_student is not None, finished.student is not None) == (True, True)
    code, _, err = spikeport("run", "run", "--resume")
    assert code == 0
    assert "choosing the method on held-out recordings: done before" in err
    code, _, err = spikeport("run", "run", "--resume", "--epochs", "+2")
    assert code == 2
    assert f"--epochs: epochs cannot be added to a run that chooses its method: auto chose {chosen} by" in err
    on = ("--init-from", "run", "--set", f"distillation.method={chosen}", "--epochs", "2")
    again = ("--epochs", "3", "--from", "choice")
    for command in (on, again):
        assert " ".join(command) in err
    if chosen == "baseline":
        code, _, err = spikeport("train", "run", *on, "--out", "on", "--set", "distillation.train_baseline=false")
        assert code == 0, err
        assert len(rows_of_stages(open_run(Path("on")).file(METRICS))["student-baseline"]) == 2
        begin(Path("run"), sp.load_recipe("run", {"training.epochs": 3}), about={}, again_from="choice")
        done = open_run(Path("run")).manifest["stages"]
        assert "teacher" in done
        assert "choice" not in done


@pytest.mark.parametrize("source", ["shd", "dvsgesture"])
def test_without_images_the_method_is_the_baseline_and_there_is_no_choice(source):
    values = tiny_recipe(data={"source": source}, distillation={"method": "auto"})
    names = [each.name for each in stages_of(values)]
    assert "choice" not in names
    assert names[2:6] == ["student-auto", "quantized-auto", "student-baseline", "quantized-baseline"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["distillation.auto.candidates=['ckb']"], "'ckb' is no method to choose from"),
        (["distillation.auto.candidates=['auto']"], "'auto' is no method to choose from"),
        (["distillation.auto.options={ckd-events = 3}"], "'ckd-events' is not a candidate with a table of options"),
        (["distillation.auto.options={ckd-events = {pretrian = true}}"], "pretrian"),
        (["distillation.options={tau = 2.0}"], "auto has candidates, whose settings are their own"),
        (["distillation.losses=[{loss = 'tet'}]"], "auto has candidates, whose settings are their own"),
        (["data.without_recordings=true", "data.train=0"], "auto chooses by recordings"),
        (["distillation.auto.confidence=1.0"], "confidence"),
    ],
)
def test_a_recipe_that_cannot_choose_is_refused_by_name(words, said, tmp_path):
    from spikeport.pipeline.stages.checks import check_recipe

    (tmp_path / "r.toml").write_text("[distillation]\nmethod = 'auto'\n")
    with pytest.raises(UserError, match=said):
        check_recipe(sp.load_recipe(tmp_path / "r.toml", words), for_netx=False)


def test_enough_is_said_in_the_description_of_the_key():
    from spikeport.pipeline.run.sections.distillation import Auto

    assert f"{choice_folds.ENOUGH} recordings" in str(Auto.model_fields["trainings"].description)
