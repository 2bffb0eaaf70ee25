"""A network that is dead, saturated or guesses says so while it trains, and the summary says it first."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import numpy as np
import pytest
import torch
from finished_folder import finished_folder
from learning_data import tiny_dataset, tiny_recipe
from report_example import answered, example_inputs

from spikeport.export.network.readout import SILENT
from spikeport.pipeline.models.students.build import build_student
from spikeport.pipeline.models.students.inference import predict_spikes, run_student
from spikeport.pipeline.report.comparison.comparison import build_comparison
from spikeport.pipeline.report.content import content
from spikeport.pipeline.report.content.finished_run import read_runs
from spikeport.pipeline.report.pages.html import render_html
from spikeport.pipeline.report.pages.markdown import render_markdown
from spikeport.pipeline.report.write import build_report
from spikeport.pipeline.run import health
from spikeport.pipeline.run.progress import ProgressPrinter
from spikeport.pipeline.run.run_folder import open_run
from spikeport.pipeline.run.sections.training import Training
from spikeport.pipeline.stages import report as stages_report
from spikeport.pipeline.stages import train as stages_learn
from spikeport.pipeline.stages.context import Context
from spikeport.pipeline.stages.runner import record
from spikeport.pipeline.training.fit import fit
from spikeport.pipeline.training.task import TrainingTask
from spikeport.pipeline.training.train import train_student

PLAIN = {"ema_decay": 0.0, "epochs": 3}
DEAD = {"student": {"v_threshold": 1e6}, "training": PLAIN}
FULL = {
    "student": {"network": "mlp", "layers": [8], "v_threshold": 1e-6, "beta": 1.0},
    "training": PLAIN | {"lr": 1.0, "weight_decay": 0.0},
}
STRAY = {"training": PLAIN | {"lr": 1e6}}


class Heard(ProgressPrinter):
    """Keeps what is said."""

    def __init__(self):
        super().__init__(quiet=True)
        self.lines = []

    def say(self, text):
        self.lines.append(text)


# What is measured


def test_rates_are_spikes_per_neuron_and_step_of_each_layer():
    """Counted from the layers' spikes of a forward of all recordings at once."""
    data = tiny_dataset()
    torch.manual_seed(2)
    student = build_student(tiny_recipe().student, (2, 9, 11), 3).eval()
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.mul_(3)
    frames = data.train.frames
    seen = run_student(student, frames, batch=7)
    with torch.no_grad():
        layers = student(torch.from_numpy(frames).transpose(0, 1)).layer_spikes
    assert list(seen.rates) == ["conv1", "conv2", "output"]
    assert list(seen.rates.values()) == pytest.approx([float(layer.double().mean()) for layer in layers])
    assert 0 < min(seen.rates.values()) < max(seen.rates.values()) < 1
    np.testing.assert_array_equal(seen.spikes, predict_spikes(student, frames))


def test_of_no_recordings_nothing_is_measured():
    student = build_student(tiny_recipe().student, (2, 9, 11), 3)
    seen = run_student(student, np.zeros((0, 4, 2, 9, 11), np.uint8))
    assert (seen.spikes.shape, seen.rates) == ((0, 4, 3), {})


# While it trains


def trained(sections, tmp_path):
    heard = Heard()
    train_student(tiny_recipe(**sections), tiny_dataset(), None, "baseline", tmp_path, heard)
    rows = [json.loads(text) for text in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    return heard.lines, rows


def test_a_threshold_that_nothing_reaches_is_said_with_layers_and_remedy_once(tmp_path):
    lines, rows = trained(DEAD, tmp_path)
    assert [row["validation_silent"] for row in rows] == [15] * 3
    assert [set(row["rates"].values()) for row in rows] == [{0.0}] * 3
    (said,) = lines
    assert "student-baseline, layers conv1, conv2, output: never fire; lower student.v_threshold" in said


def test_an_output_that_always_fires_is_said(tmp_path):
    lines, rows = trained(FULL, tmp_path)
    assert rows[-1]["rates"]["output"] > 0.9 > rows[-1]["rates"]["dense1"]
    (said,) = lines
    assert "student-baseline, layer output: fires in " in said
    assert "raise student.v_threshold" in said


def test_a_learning_rate_that_throws_the_weights_away_leaves_no_gradient(tmp_path):
    lines, rows = trained(STRAY, tmp_path)
    assert rows[-1]["gradient"] == 0.0
    assert any(
        "student-baseline: every gradient was exactly zero in epoch 3; lower student.v_" in text for text in lines
    )
    assert len({text.split(":")[2] for text in lines}) == len(lines)  # each kind once


def test_a_healthy_start_is_not_called_dead():
    """Silent in the first epoch alone, which the average of weights explains."""
    rows = [{"epoch": 1, "rates": {"a": 0.0, "b": 0.2}, "gradient": 0.1}]
    assert health.of_epoch("s", rows, last=False) == []
    rows.append({"epoch": 2, "rates": {"a": 0.01, "b": 0.95}, "gradient": 0.1})
    assert health.of_epoch("s", rows, last=False) == []
    (found,) = health.of_epoch("s", rows, last=True)
    assert (found.kind, found.where, found.value) == ("saturated_layer", "s, layer b", {"b": 0.95})
    rows.append({"epoch": 3, "rates": {"a": 0.0, "b": 0.97}, "gradient": None})
    kinds = [found.kind for found in health.of_epoch("s", rows, last=False)]
    assert kinds == ["saturated_layer", "bad_gradient"]


class Fixed(TrainingTask):
    """One weight; a loss whose gradient is `slope` times 0, -3 and 2 in turn."""

    def __init__(self, slope):
        super().__init__(
            torch.nn.Linear(1, 1, bias=False), stage="toy", samples=6, batch=2, epochs=2, lr=0.0, weight_decay=0.0,
            warmup_epochs=0, seed=1, identity={},
        )  # fmt: skip
        self.slope = slope

    def loss(self, rows, index):
        return self.slope * [0.0, -3.0, 2.0][index] * self.model.weight.sum(), {}

    def score(self, model):
        return None


def test_the_first_step_that_moves_something_is_recorded_or_that_none_does(tmp_path):
    for slope in (0.5, 0.0):
        heard, folder = Heard(), tmp_path / str(slope)
        fit(Fixed(slope), folder, Training(accelerator="cpu"), progress=heard)
        rows = [json.loads(text) for text in (folder / "metrics.jsonl").read_text().splitlines()]
        assert [row["gradient"] for row in rows] == [3 * slope] * 2
        assert len(heard.lines) == (slope == 0)


def test_what_is_measured_changes_no_weight(tmp_path, monkeypatch):
    """The same training with every measurement taken out."""
    with_it = train_student(tiny_recipe(), tiny_dataset(), None, "baseline", tmp_path / "a")
    monkeypatch.delattr(TrainingTask, "on_before_optimizer_step")
    monkeypatch.setattr(health, "of_epoch", lambda *_, **__: [])
    without = train_student(tiny_recipe(), tiny_dataset(), None, "baseline", tmp_path / "b")
    pairs = zip(with_it.state_dict().values(), without.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


# What a stage finds


def test_silent_recordings_are_counted_and_a_guess_is_called_one():
    labels = np.repeat([0, 1, 2], [8, 7, 5])
    predicted = np.where(np.arange(20) < 16, 1, SILENT)
    silent, guess = health.of_answers("student-ckd", predicted, labels)
    assert (silent.kind, silent.value) == ("silent", {"silent": 4, "n": 20})
    assert "no output fires in 4 of 20 recordings" in silent.text
    assert (guess.kind, guess.value["right"], guess.value["most_frequent"]) == ("guessing", 7, 0.4)
    assert health.of_answers("student-ckd", labels, labels) == []


def test_a_few_right_answers_are_no_guess_and_of_many_chance_is_weighed():
    """3 of 4, with a class of half: too few to say. Of 20, 9 are no better; that of 12 begins at 0.387."""
    half = np.repeat([0, 1], 2)
    assert health.of_guesses("guessing", "x", np.array([0, 0, 1, 0]), half) == []
    labels, texts = np.repeat([0, 1], 10), []
    for right in (9, 12, 19):
        predicted = np.where(np.arange(20) < right, labels, 1 - labels)
        texts.append([found.text.split(", ")[1] for found in health.of_guesses("guessing", "x", predicted, labels)])
    most = "better than always saying the most frequent class (50.0 %)"
    assert texts == [[f"no {most}"], [f"hardly {most}"], []]


def test_a_comparison_says_first_which_run_does_not_answer(tmp_path, monkeypatch):
    monkeypatch.setenv("SPIKEPORT_CACHE", str(tmp_path / "cache"))
    folders = [finished_folder(tmp_path, name, seed=seed) for name, seed in (("one", 1), ("two", 2))]
    context = Context(open_run(folders[1]))
    found = health.of_answers("quantized-baseline", np.full(6, SILENT), np.arange(6) % 3)
    result = context.run.result("quantized-baseline") | {"findings": [each.to_json() for each in found]}
    context.run.record("quantized-baseline", result, (), 0.0)
    record(context.run, "report", stages_report.report(context), 0.0)
    comparison = build_comparison(read_runs(folders))
    assert comparison["summary"].startswith("In “two” the quantized student does not answer in 6 of 6 recordings; ")
    assert [len(run["warnings"]) for run in comparison["runs"]] == [0, 1]


def test_unlabelled_recordings_are_no_guesses():
    labels = np.array([-1] * 50 + [0, 1] * 10)
    assert health.of_guesses("guessing", "x", np.zeros(70, np.int64), np.full(70, -1)) == []
    (found,) = health.of_guesses("guessing", "x", np.zeros(70, np.int64), labels)
    assert (found.value["right"], found.value["n"]) == (10, 20)


def test_a_teacher_whose_classes_stand_in_another_order_is_told_from_one_that_guesses():
    """Outputs 0, 1, 2 mean c, a, b; of 30 images each one is the other way about: 3 are right as they stand."""
    means = np.array([2, 0, 1])
    labels = np.repeat([0, 1, 2], 30)
    output_of = np.argsort(means)
    predicted = output_of[labels]
    predicted[::30] = labels[::30]
    (found,) = health.of_teacher(predicted, labels, ("a", "b", "c"))
    assert found.kind == "teacher_order"
    assert found.value == {"right": 3, "renamed": 87, "n": 90, "classes_of_outputs": [2, 0, 1]}
    assert "output 0 is “c”, output 1 is “a”, output 2 is “b”" in found.text
    (guess,) = health.of_teacher(np.random.default_rng(1).integers(0, 3, 90), labels, ("a", "b", "c"))
    assert guess.kind == "teacher_guessing"
    assert health.of_teacher(labels, labels, ("a", "b", "c")) == []


def test_a_teacher_below_its_student_is_named():
    student = np.arange(100) < 90
    (found,) = health.of_teacher_against("student-ckd", np.arange(100) < 60, student)
    assert found.value == {"teacher": 0.6, "student": 0.9, "n": 100}
    assert health.of_teacher_against("student-ckd", np.arange(100) < 88, student) == []


def test_the_teacher_is_looked_at_on_images_that_it_was_not_trained_on(monkeypatch):
    """Its logits are one-hot in the order b, c, a; the validation recordings' twins are what it is shown."""
    data, shown = tiny_dataset(paired_images=True), []

    def logits(_, images, size):
        shown.append((images, size))
        return torch.nn.functional.one_hot(torch.from_numpy((data.validation.labels + 2) % 3), 3).float()

    monkeypatch.setattr(stages_learn, "teacher_logits", logits)
    context = SimpleNamespace(dataset=data, recipe=tiny_recipe())
    (found,) = stages_learn._teacher_findings(context, SimpleNamespace(input_kind="images"))
    assert (found.kind, found.value["classes_of_outputs"]) == ("teacher_order", [1, 2, 0])
    ((images, size),) = shown
    assert images is data.validation.paired_images.images
    assert size == (9, 11)


def test_what_is_new_after_tuning_has_another_remedy():
    found = [*health.of_rates("quantized-x", {"a": 0.0}), *health.of_rates("quantized-x", {"b": 1.0})]
    dead, full = health.after_tuning(found, [{"kind": "dead_layer"}])
    assert "student.v_threshold" in dead.remedy
    assert "quantization.lr" in full.remedy


DIGITS = """
name = "dead"
[data]
source = "digits"
height = 20
width = 20
steps = 5
train = 40
validation = 20
test = 40
[teacher]
epochs = 0
[student]
channels = [4, 6]
v_threshold = 1e3
[training]
epochs = 1
threads = 1
[quantization]
epochs = 0
[distillation]
train_baseline = false
[check]
lava = false
[profile]
baseline_seconds = 0.1
"""


def test_a_run_of_a_dead_network_says_so_everywhere(spikeport, tmp_path):
    (tmp_path / "dead.toml").write_text(DIGITS)
    code, out, err = spikeport("run", "dead.toml", "--out", "run", "--json")
    result = json.loads(out)
    assert code == 0
    said = "student-ckd, layers conv1, conv2, output: never fire; lower student.v_threshold"
    assert err.count(f"warning: {said}") == 1
    assert result["summary"].startswith("The quantized student does not answer in 40 of 40 recordings; ")
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["warnings"] == result["warnings"]
    kinds = [(warning["stage"], warning["kind"]) for warning in report["warnings"]]
    both = ("dead_layer", "silent")
    dead = [(stage, kind) for stage in ("student-ckd", "quantized-ckd") for kind in both]
    assert kinds == [("teacher", "teacher_guessing"), *dead]
    assert "warning: teacher: it recognizes" in err
    assert said in (tmp_path / "run" / "report.md").read_text()
    assert said in (tmp_path / "run" / "report.html").read_text()
    schema = json.loads(Path(content.__file__).with_name("report.schema.json").read_text())
    jsonschema.validate(report, schema)
    _, out, _ = spikeport("train", "dead.toml", "--out", "run", "--resume", "-q")
    assert f"warning: {said}" in out


# What the summary says


def a_report(warnings, value=0.1):
    inputs = example_inputs()
    right = np.arange(200) < 200 * value
    answers = dict(inputs.answers) | dict.fromkeys(("student_float", "student_quantized", "reference"), answered(right))
    return build_report(replace(inputs, answers=answers, warnings=warnings))


def of_stage(found, stage="quantized-ckd"):
    return [{"stage": stage, **each.to_json()} for each in found]


def test_the_summary_of_a_silent_network_begins_with_its_silence_and_praises_nothing():
    warnings = of_stage(health.of_answers("quantized-ckd", np.full(200, SILENT), np.arange(200) % 10))
    report = a_report(warnings)
    assert report["summary"].startswith("The quantized student does not answer in 200 of 200 recordings; ")
    assert "as many as before" not in report["summary"]
    assert "equal spikes in simulation do not change that" in report["summary"]
    assert "dynamic energy" not in report["summary"]
    for page in (render_html(report), render_markdown(report)):
        assert "warning: quantized-ckd: no output fires in 200 of 200 recordings; lower student.v_threshold" in page


def test_the_summary_of_a_guess_says_so_and_that_of_the_other_arm_is_left_alone():
    guess = health.of_guesses("guessing", "quantized-ckd", np.zeros(200, np.int64), np.arange(200) % 10)
    report = a_report(of_stage(guess))
    assert report["summary"].startswith(
        "The quantized student is no better than always saying the most frequent class (10.0 %); "
    )
    other = a_report(of_stage(guess, "quantized-baseline"), value=0.9)
    assert "as many as before quantization" in other["summary"]


def test_a_few_silent_recordings_come_first_and_the_rest_stays():
    labels = np.arange(200) % 10
    predicted = np.where(np.arange(200) < 30, SILENT, labels)
    report = a_report(of_stage(health.of_answers("quantized-ckd", predicted, labels)), value=0.85)
    assert report["summary"].startswith("The quantized student does not answer in 30 of 200 recordings; ")
    assert "dynamic energy" in report["summary"]
