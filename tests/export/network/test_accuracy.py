"""A recording without an output spike is no answer, and a label of -1 is no label: worked out by hand."""

from __future__ import annotations

import csv
import json
import math
import re
from types import SimpleNamespace

import nir
import numpy as np
import pytest
import torch
import yaml
from cli_inputs import one_line, small_graph
from finished_folder import finished_folder
from html_page import Page
from profile_schema import validated
from small_graphs import graph_of, lif

from spikeport.errors import UserError
from spikeport.export.calibration.calibrate import calibrate
from spikeport.export.formats.frames_file import write_frames
from spikeport.export.formats.netx.write import write_netx
from spikeport.export.network.accuracy import compare_with_labels
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.network.readout import SILENT, Readout, classify
from spikeport.files import write_npz
from spikeport.pipeline.distillation.losses.self_temporal_kd import self_temporal_kd
from spikeport.pipeline.report.comparison.comparison import build_comparison
from spikeport.pipeline.report.content.confusion import CLASSES_COUNTED, confusion, mistakes, shaded
from spikeport.pipeline.report.content.finished_run import read_runs
from spikeport.pipeline.report.write import render_comparison
from spikeport.pipeline.run.run_folder import open_run
from spikeport.pipeline.stages import report as stages_report
from spikeport.pipeline.stages.context import Context
from spikeport.pipeline.sweep.plan import Setting, Trial
from spikeport.pipeline.sweep.table import rows_of, table
from spikeport.pipeline.sweep.trial import TrialResult, trial_result
from spikeport.pipeline.training.evaluate import spiking_teacher_classes

CLASSES, STEPS = 3, 4


@pytest.fixture
def echo(tmp_path):
    """A network whose output k fires exactly when input k does."""
    layer = IntegerLayer(
        name="fc",
        kind="dense",
        weight=100 * np.eye(CLASSES, dtype=int),
        bias=None,
        i_decay=4096,
        v_decay=4096,
        vth_mant=50,
        input_shape=(CLASSES,),
    )
    write_netx(IntegerNetwork(input_shape=(CLASSES,), layers=(layer,)), tmp_path / "echo.net")
    return tmp_path / "echo.net"


def shown(*classes: int) -> np.ndarray:
    """Frames `[N, STEPS, CLASSES]` of inputs that fire once, at step 1; SILENT: nothing fires."""
    frames = np.zeros((len(classes), STEPS, CLASSES), dtype=np.uint8)
    for row, number in enumerate(classes):
        if number != SILENT:
            frames[row, 1, number] = 1
    return frames


# Two of six labelled recordings are right; two gave nothing, one of them of class 0; two have no label.
SEEN = (0, 2, SILENT, SILENT, 1, 0, SILENT, 2)
LABELS = (0, 1, 0, 2, 1, 2, -1, -1)


def test_silence_is_no_class() -> None:
    spikes = np.zeros((4, 5, 3), dtype=np.uint8)
    spikes[1, 4, 2] = 1
    spikes[2, 0, 1] = spikes[2, 1, 0] = 1  # as many; the earlier one
    spikes[3, 2, 0] = spikes[3, 2, 1] = 1  # as many and as early; the lower index
    assert classify(spikes).tolist() == [-1, 2, 1, 0]
    assert classify(spikes[:0]).tolist() == []


def test_a_host_s_read_out_of_silence_is_no_class_and_a_membrane_always_answers() -> None:
    spikes = np.zeros((2, 5, 2), dtype=np.uint8)
    spikes[1, 0, 0] = 1
    weight = np.array([[-1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    linear = Readout(kind="linear", weight=weight, bias=np.array([0.0, -3.0, 0.1]))
    assert linear.classes(spikes).tolist() == [-1, 2]  # 0.5 for class 2, by the bias alone, were there a spike
    assert linear.outputs(2) == 3
    voltages = np.array([[[-5, -7]] * 5, [[0, 0]] * 5])
    assert Readout(kind="membrane").classes(spikes, voltages).tolist() == [0, 0]


def test_silence_and_want_of_a_label_are_never_equal() -> None:
    answers = compare_with_labels(LABELS, SEEN)
    assert answers.correct.tolist() == [True, False, False, False, True, False]
    assert answers.silent.tolist() == [False, False, True, True, False, False]
    assert (answers.unlabelled, answers.accuracy) == (2, 1 / 3)
    assert compare_with_labels([-1, -1], [-1, 0]).accuracy is None


def test_confusion_has_a_column_for_no_answer_that_is_no_class() -> None:
    counts = confusion(np.array(LABELS), np.array(SEEN), CLASSES)
    assert counts.tolist() == [[1, 0, 0, 1], [0, 1, 1, 0], [1, 0, 0, 1]]
    own, silent = counts[:, :-1].tolist(), counts[:, -1].tolist()
    assert mistakes(own, "abc", silent) == [
        {"label": "b", "predicted": "c", "count": 1, "of": 2},
        {"label": "c", "predicted": "a", "count": 1, "of": 2},
    ]
    assert [row["total"] for row in shaded(own, "abc", silent)] == [2, 2, 2]
    with pytest.raises(ValueError, match="outside the 3 classes"):
        confusion(np.array([3]), np.array([0]), CLASSES)
    assert isinstance(confusion(np.zeros(1), np.zeros(1), CLASSES_COUNTED + 1), str)


def test_simulate_counts_silence_apart(spikeport, echo, tmp_path) -> None:
    write_frames(tmp_path / "f.npz", shown(*SEEN), np.array(LABELS))
    code, out, _ = spikeport("simulate", echo, "--input", "f.npz", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["accuracy"] == 1 / 3
    assert [found[key] for key in ("samples", "silent", "labelled", "unlabelled")] == [8, 3, 6, 2]
    out = spikeport("simulate", echo, "--input", "f.npz")[1]
    assert re.search(r"accuracy 33.33 % of 6 given recordings \(95 % interval .*, if they were drawn at random\)", out)
    assert "2 more are unlabelled (-1)" in out
    assert "silent: 3 of 8 recordings gave no output spike, which is no answer and counts as wrong" in out


def test_the_page_of_a_network_counts_silence_apart(spikeport, echo, tmp_path) -> None:
    write_frames(tmp_path / "f.npz", shown(*SEEN), np.array(LABELS))
    code, out, _ = spikeport("profile", echo, "--input", "f.npz", "--out", "page", "--hardware", "loihi1", "--json")
    assert code == 0
    reported, report = json.loads(out), validated(tmp_path / "page")
    accuracy = report["accuracy"]["reference"]
    assert {key: accuracy[key] for key in ("value", "n", "silent", "unlabelled")} == {
        "value": 1 / 3,
        "n": 6,
        "silent": 2,
        "unlabelled": 2,
    }
    assert reported["accuracy"] == accuracy
    assert (reported["samples"], reported["silent"]) == (8, 3)
    assert report["confusion"]["counts"] == [[1, 0, 0], [0, 1, 1], [1, 0, 0]]
    assert report["confusion"]["silent"] == [1, 0, 1]
    # All is said after four steps of four; before step 1 nobody answered.
    points = {point["steps"]: point["accuracy"] for point in report["early_exit"]["points"]}
    assert (points[1]["silent"], points[1]["value"], points[4]["silent"]) == (6, 0, 2)
    assert "does not answer in 3 of 8 recordings" in report["summary"]
    with open(tmp_path / "page" / "samples.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    names = {SILENT: "no answer"}
    assert [row["reference"] for row in rows] == [names.get(number, str(number)) for number in SEEN]
    assert [row["label"] for row in rows] == [str(label) if label >= 0 else "" for label in LABELS]
    markdown = (tmp_path / "page" / "report.md").read_text()
    metrics = yaml.safe_load(markdown.split("---\n")[1])["model-index"][0]["results"][0]["metrics"]
    assert [metric["value"] for metric in metrics] == [pytest.approx(1 / 3), pytest.approx(1 / 3)]
    assert metrics[1]["name"] == "Integer reference, share of recordings without an output spike"
    text = Page((tmp_path / "page" / "report.html").read_text()).text
    for page in (markdown, text):
        assert "No answer, for want of any output spike: 2." in page


def test_a_silent_recording_shown_in_a_picture_has_no_class(spikeport, tmp_path) -> None:
    from known_networks import conv_frames, conv_network

    write_netx(conv_network(), tmp_path / "conv.net")
    frames = np.zeros_like(conv_frames()[:1])
    write_frames(tmp_path / "f.npz", frames, np.array([0]))
    assert spikeport("profile", "conv.net", "--input", "f.npz", "--out", "page", "--hardware", "loihi1")[0] == 0
    report = validated(tmp_path / "page")
    (sample,) = report["samples"]
    assert (sample["label"], sample["predicted"], sample["correct"]) == ("0", None, False)
    assert "“0”, no answer" in Page((tmp_path / "page" / "report.html").read_text()).text


@pytest.fixture
def silent_run(monkeypatch, tmp_path):
    monkeypatch.setenv("SPIKEPORT_CACHE", str(tmp_path / "cache"))
    return finished_folder(tmp_path, "silent", seed=1, threshold=100_000)


def test_a_run_counts_silence_apart(silent_run) -> None:
    report = validated(silent_run)
    for stage in ("student_float", "student_quantized", "reference"):
        entry = report["accuracy"][stage]
        assert (entry["value"], entry["n"], entry["silent"]) == (0, 6, 6)
    assert report["comparison"]["baseline"]["student_quantized"]["silent"] == 6
    assert (np.sum(report["confusion"]["counts"]), sum(report["confusion"]["silent"])) == (0, 6)
    assert "6 gave no output spike" in report["summary"]
    with open(silent_run / "samples.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = ("student_float", "student_quantized", "reference", "lava")
    assert {tuple(row[column] for column in columns) for row in rows} == {("no answer",) * 3 + ("",)}
    for page in ((silent_run / "report.md").read_text(), Page((silent_run / "report.html").read_text()).text):
        assert "No answer, for want of any output spike: 6." in page
        assert "No recording was mistaken for another class." in page


def test_of_an_older_run_silence_was_not_counted(silent_run) -> None:
    """It took silent recordings for class 0 and kept no `silent`; what it kept is shown as what it is."""
    manifest = silent_run / "manifest.json"
    kept = json.loads(manifest.read_text())
    for stage in ("student-baseline", "quantized-baseline", "simulate"):
        result = kept["stages"][stage]["result"]
        del result["silent"]
        result["predicted"] = [0] * 6
    manifest.write_text(json.dumps(kept))
    stages_report.report(Context(open_run(silent_run)))
    report = validated(silent_run)
    assert report["accuracy"]["reference"]["value"] > 0
    assert "silent" not in report["accuracy"]["reference"]
    assert "not counted" in (silent_run / "report.md").read_text()
    assert "no output spike" not in report["summary"]
    assert "no answer not counted" in Page((silent_run / "report.html").read_text()).text


def test_a_comparison_counts_silence_apart(monkeypatch, tmp_path, silent_run) -> None:
    finished_folder(tmp_path, "other", seed=1)
    render_comparison(build_comparison(read_runs([silent_run, tmp_path / "other"])), tmp_path / "compared")
    markdown = (tmp_path / "compared" / "compare.md").read_text()
    (row,) = [line for line in markdown.splitlines() if line.startswith("| Integer reference | silent |")]
    assert row.split("|")[6].strip() == "6"
    assert "6 no answer" in Page((tmp_path / "compared" / "compare.html").read_text()).text


def test_a_sweep_counts_silence_apart(tmp_path) -> None:
    """Ten recordings a run; of the second setting's two runs one was silent in 3 of them, the other in none."""
    first, second = Setting("a=1", ("a=1",)), Setting("a=2", ("a=2",))
    trials = [Trial(f"{each.label}/{seed}", each, seed, None, ()) for each in (first, second) for seed in (1, 2)]
    found = {trial.name: TrialResult("1" * 10, "1" * 10, 1.0, 0, 0) for trial in trials}
    found["a=2/2"] = TrialResult("1" * 10, "1" * 7 + "0" * 3, 1.0, 0, 3)
    rows = rows_of((first, second), trials, found)
    assert [row["quantized"]["silent"] for row in rows] == [0, 0.15]
    _, cells = table(rows)
    assert cells[0][3] == "100.00 ± 0.00"
    assert cells[1][3] == "85.00 ± 21.21 (15.0 silent)"


def test_the_result_of_a_silent_trial(silent_run) -> None:
    manifest = silent_run / "manifest.json"
    found = trial_result(silent_run)
    assert found is not None
    assert (found.correct_quantized, found.silent_float, found.silent_quantized) == ("0" * 6, 6, 6)
    manifest.write_text(manifest.read_text().replace('"silent"', '"other"'))
    assert trial_result(silent_run).silent_quantized is None


def test_a_spiking_teacher_that_says_nothing_has_no_class() -> None:
    class Quiet(torch.nn.Module):
        """Its second recording gets one spike for class 2."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def predict(self, frames):
            logits = torch.zeros(*frames.shape[:2], 4)
            logits[-1, 1, 2] = 1
            return SimpleNamespace(logits=logits)

    frames = np.zeros((3, 5, 2, 2, 2), dtype=np.uint8)
    assert spiking_teacher_classes(Quiet(), frames).tolist() == [-1, 2, -1]


def test_a_step_without_a_spike_is_not_right_for_class_0() -> None:
    """One sample of class 0, which the second of two steps takes for class 1: no step is right, and it weighs nothing;
    with a right third step that one alone is the teacher: KL of (e, 1) / (e + 1) to each step, by hand."""
    steps = torch.tensor([[[0.0, 0.0]], [[0.0, 1.0]], [[1.0, 0.0]]], dtype=torch.float64)
    assert self_temporal_kd(steps[:2], torch.tensor([0]), tau=1.0).item() == 0
    p = math.e / (1 + math.e)
    uniform = p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p))
    turned = p * math.log(p / (1 - p)) + (1 - p) * math.log((1 - p) / p)
    found = self_temporal_kd(steps, torch.tensor([0]), tau=1.0).item()
    assert found == pytest.approx((uniform + turned) / 3, rel=1e-12)


def test_calibration_counts_silence_and_leaves_out_the_unlabelled() -> None:
    """Outputs k fires with input k; of the check (every third sample) the first is silent, the second unlabelled."""
    graph = graph_of(nir.Linear(np.eye(3)), lif((3,)), shape=(3,))
    frames = np.zeros((9, 8, 3), dtype=np.uint8)
    labels = np.array([0, 1, 0, 1, 2, -1, 0, 1, 2])
    for row, label in enumerate(labels):
        frames[row, :, label] = row != 2
    _, _, report = calibrate(graph, frames, labels)
    assert (report.samples_checked, report.unlabelled, report.float_silent, report.max_abs_silent) == (3, 1, 1, 1)
    assert (report.float_accuracy, report.max_abs_accuracy) == (0.5, 0.5)
    reported = "\n".join(report.lines())
    assert "without an answer: 1 (float), 1 (max-abs), 1 (searched) of 3" in reported
    assert "without 1 unlabelled" in reported
    assert calibrate(graph, frames, np.full(9, -1))[2].float_accuracy is None
    with pytest.raises(UserError, match=r"label 3 of sample 4 is no class.*3 outputs"):
        calibrate(graph, frames, np.array([0, 1, 0, 1, 3, -1, 0, 1, 2]))


def test_calibration_frames_with_labels_from_1_are_refused_by_name(spikeport, tmp_path) -> None:
    nir.write(tmp_path / "a.nir", small_graph())
    spikes = np.ones((3, 7, 5), dtype=np.uint8)
    words = ("export", "a.nir", "--dt", "1e-3", "--reset", "zero", "--out", "made", "--calibrate", "f.npz")
    outputs = 3
    write_npz(tmp_path / "f.npz", frames=spikes, labels=np.arange(1, outputs + 1))
    assert "f.npz: label 3 of sample 2" in refused(spikeport, *words)
    assert not (tmp_path / "made").exists()
    write_npz(tmp_path / "f.npz", frames=spikes, y=np.arange(outputs))
    code, _, err = spikeport(*words)
    assert code == 0
    assert "f.npz holds `y`, which is not read" in err


@pytest.mark.parametrize("words", [("simulate",), ("profile", "--out", "page")])
def test_without_any_label_there_is_no_accuracy(spikeport, echo, tmp_path, words) -> None:
    write_frames(tmp_path / "f.npz", shown(0, 1), np.array([-1, -1]))
    code, out, _ = spikeport(words[0], echo, "--input", "f.npz", *words[1:])
    assert code == 0
    assert "accuracy not known" in out
    found = json.loads(spikeport(words[0], echo, "--input", "f.npz", *words[1:], "--json")[1])
    value = found["accuracy"] if words[0] == "simulate" else found["accuracy"]["value"]
    assert value is None
    if len(words) > 1:
        report = validated(tmp_path / "page")
        assert "all 2 labels of f.npz are -1" in report["accuracy"]["reference"]["reason"]
        assert report["accuracy"]["reference"]["reason"] == report["confusion"]["reason"]


def refused(spikeport, *words) -> str:
    code, out, err = spikeport(*words)
    assert (code, out) == (2, "")
    return one_line(err)


@pytest.mark.parametrize("verb", ["simulate", "profile"])
@pytest.mark.parametrize("label", [3, 60_000, 2**31 - 1, 2**40, -2])
def test_a_label_that_no_output_has_is_refused(spikeport, echo, tmp_path, verb, label) -> None:
    write_npz(tmp_path / "f.npz", frames=shown(0, 1, 2), labels=np.array([0, 1, label]))
    line = refused(spikeport, verb, echo, "--input", "f.npz")
    for part in ("f.npz", f"label {label} of sample 2", "3 outputs"):
        assert part in line
    assert "labels - 1" not in line


def test_labels_that_start_at_1_are_seen(spikeport, echo, tmp_path) -> None:
    write_npz(tmp_path / "f.npz", frames=shown(0, 1, 2), labels=np.array([1, 2, 3], dtype=np.uint8))
    assert "labels seem to start at 1: save labels - 1" in refused(spikeport, "simulate", echo, "--input", "f.npz")


@pytest.mark.parametrize("labels", [np.array([True, False]), np.array([[0], [1]])])
def test_what_is_no_class_number_is_refused(spikeport, echo, tmp_path, labels) -> None:
    write_npz(tmp_path / "f.npz", frames=shown(0, 1), labels=labels)
    line = refused(spikeport, "simulate", echo, "--input", "f.npz")
    assert "labels are bool" in line or "labels have shape" in line


@pytest.mark.parametrize("name", ["y", "label", "targets"])
def test_labels_under_another_name_are_noticed(spikeport, echo, tmp_path, name) -> None:
    for verb in ("simulate", "profile"):
        file = f"{verb}-{name}.npz"  # what was said of a file is not said again
        write_npz(tmp_path / file, frames=shown(0, 1), **{name: np.array([0, 1])})
        code, out, err = spikeport(verb, echo, "--input", file, "--json")
        assert code == 0
        assert f"note: {file} holds `{name}`, which is not read" in err
        assert json.loads(out)["silent"] == 0


def test_no_samples_are_said(spikeport, echo, tmp_path) -> None:
    write_npz(tmp_path / "f.npz", frames=shown())
    for verb in ("simulate", "profile"):
        assert "holds 0 samples" in refused(spikeport, verb, echo, "--input", "f.npz")


def test_frames_that_somebody_gives_are_called_given(spikeport, echo, tmp_path) -> None:
    write_frames(tmp_path / "f.npz", shown(0, 1, 1), np.array([0, 1, 2]))
    assert spikeport("profile", echo, "--input", "f.npz", "--out", "page", "--hardware", "loihi1")[0] == 0
    report = validated(tmp_path / "page")
    assert report["dataset"]["recordings"] == "given"
    assert report["dataset"]["counts"] == {"given": 3}
    assert "of 3 given recordings" in report["summary"]
    markdown = (tmp_path / "page" / "report.md").read_text()
    assert yaml.safe_load(markdown.split("---\n")[1])["model-index"][0]["results"][0]["dataset"]["split"] == (
        "given recordings"
    )
    for text in (json.dumps(report), markdown, Page((tmp_path / "page" / "report.html").read_text()).text):
        for word in ("test recording", "test set", "test item", "test part"):
            assert word not in text.lower()


@pytest.mark.parametrize(
    ("name", "accuracy"), [("labels-from-0", 1.0), ("labels-from-1", None), ("labels-half-unknown", 1.0)]
)
def test_the_kept_cases(spikeport, cases, name, accuracy) -> None:
    words = ("profile", cases / "labels.nir", "--dt", "1e-3", "--reset", "zero", "--input", cases / f"{name}.npz")
    if accuracy is None:
        line = refused(spikeport, *words)
        assert f"{name}.npz: label 3 of sample 2" in line
        assert "save labels - 1" in line
        return
    code, out, _ = spikeport(*words, "--json")
    found = json.loads(out)["accuracy"]
    assert (code, found["value"], found["silent"]) == (0, accuracy, 0)
    assert (found["n"], found.get("unlabelled", 0)) == ((15, 15) if "half" in name else (30, 0))
