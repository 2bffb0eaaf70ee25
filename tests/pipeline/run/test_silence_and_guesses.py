"""A stage finds recordings without a spike and classes that are guessed; the summary says so first."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import numpy as np
import torch
from finished_folder import finished_folder
from learning_data import tiny_dataset, tiny_recipe
from report_example import answered, example_inputs

from spikeport.export.network.readout import SILENT
from spikeport.pipeline.report.comparison.comparison import build_comparison
from spikeport.pipeline.report.content import content
from spikeport.pipeline.report.content.finished_run import read_runs
from spikeport.pipeline.report.pages.html import render_html
from spikeport.pipeline.report.pages.markdown import render_markdown
from spikeport.pipeline.report.write import build_report
from spikeport.pipeline.run import health
from spikeport.pipeline.run.run_folder import open_run
from spikeport.pipeline.stages import report as stages_report
from spikeport.pipeline.stages import train as stages_learn
from spikeport.pipeline.stages.context import Context
from spikeport.pipeline.stages.runner import record

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


def test_unlabeled_recordings_are_no_guesses():
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
    """Its logits are one-hot in the order b, c, a; it gets the images paired with the validation recordings."""
    data, calls = tiny_dataset(paired_images=True), []

    def logits(_, images, size):
        calls.append((images, size))
        return torch.nn.functional.one_hot(torch.from_numpy((data.validation.labels + 2) % 3), 3).float()

    monkeypatch.setattr(stages_learn, "teacher_logits", logits)
    context = SimpleNamespace(dataset=data, recipe=tiny_recipe())
    (found,) = stages_learn._teacher_findings(context, SimpleNamespace(input_kind="images"))
    assert (found.kind, found.value["classes_of_outputs"]) == ("teacher_order", [1, 2, 0])
    ((images, size),) = calls
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
backends = []
[profile]
baseline_seconds = 0.1
"""


def test_a_run_of_a_dead_network_says_so_everywhere(spikeport, tmp_path):
    (tmp_path / "dead.toml").write_text(DIGITS)
    code, out, err = spikeport("run", "dead.toml", "--out", "run", "--json")
    result = json.loads(out)
    assert code == 0
    message = "student-ckd, layers conv1, conv2, output: never fire; lower student.v_threshold"
    assert err.count(f"warning: {message}") == 1
    assert result["summary"].startswith("The quantized student does not answer in 40 of 40 recordings; ")
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["warnings"] == result["warnings"]
    kinds = [(warning["stage"], warning["kind"]) for warning in report["warnings"]]
    both = ("dead_layer", "silent")
    dead = [(stage, kind) for stage in ("student-ckd", "quantized-ckd") for kind in both]
    assert kinds == [("teacher", "teacher_guessing"), *dead]
    assert "warning: teacher: it recognizes" in err
    assert message in (tmp_path / "run" / "report.md").read_text()
    assert message in (tmp_path / "run" / "report.html").read_text()
    schema = json.loads(Path(content.__file__).with_name("report.schema.json").read_text())
    jsonschema.validate(report, schema)
    _, out, _ = spikeport("train", "dead.toml", "--out", "run", "--resume", "-q")
    assert f"warning: {message}" in out


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
    assert " µJ" in report["summary"]
