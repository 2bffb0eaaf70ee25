"""A recording without an output spike has no class, and a label of -1 is not a label: worked out by hand."""

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
from echo_network import CLASSES, frames_of, write_echo
from html_page import Page
from profile_schema import validated
from small_graphs import graph_of, lif

from spikeport.errors import UserError
from spikeport.export.calibration.calibrate import calibrate
from spikeport.export.formats.frames_file import write_frames
from spikeport.export.formats.netx.write import write_netx
from spikeport.export.network.accuracy import compare_with_labels
from spikeport.export.network.readout import SILENT, Readout, classify
from spikeport.pipeline.distillation.losses.self_temporal_kd import self_temporal_kd
from spikeport.pipeline.report.content.confusion import CLASSES_COUNTED, confusion, mistakes, shaded
from spikeport.pipeline.training.evaluate import spiking_teacher_classes


@pytest.fixture
def echo(tmp_path):
    return write_echo(tmp_path / "echo.net")


# Two of six labeled recordings are right; two gave nothing, one of them of class 0; two have no label.
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
    assert (answers.unlabeled, answers.accuracy) == (2, 1 / 3)
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
    write_frames(tmp_path / "f.npz", frames_of(*SEEN), np.array(LABELS))
    code, out, _ = spikeport("simulate", echo, "--input", "f.npz", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["accuracy"] == 1 / 3
    assert [found[key] for key in ("samples", "silent", "labeled", "unlabeled")] == [8, 3, 6, 2]
    out = spikeport("simulate", echo, "--input", "f.npz")[1]
    assert re.search(r"accuracy 33.33 % of 6 given recordings \(95 % interval .*, if they were drawn at random\)", out)
    assert "2 more are unlabeled (-1)" in out
    assert "silent: 3 of 8 recordings gave no output spike; they count as wrong" in out


def test_the_page_of_a_network_counts_silence_apart(spikeport, echo, tmp_path) -> None:
    write_frames(tmp_path / "f.npz", frames_of(*SEEN), np.array(LABELS))
    code, out, _ = spikeport("profile", echo, "--input", "f.npz", "--out", "page", "--hardware", "loihi1", "--json")
    assert code == 0
    reported, report = json.loads(out), validated(tmp_path / "page")
    accuracy = report["accuracy"]["reference"]
    assert {key: accuracy[key] for key in ("value", "n", "silent", "unlabeled")} == {
        "value": 1 / 3,
        "n": 6,
        "silent": 2,
        "unlabeled": 2,
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
        assert "No answer (no output spike): 2." in page


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


def test_calibration_counts_silence_and_leaves_out_the_unlabeled() -> None:
    """Outputs k fires with input k; of the check (every third sample) the first is silent, the second unlabeled."""
    graph = graph_of(nir.Linear(np.eye(3)), lif((3,)), shape=(3,))
    frames = np.zeros((9, 8, 3), dtype=np.uint8)
    labels = np.array([0, 1, 0, 1, 2, -1, 0, 1, 2])
    for row, label in enumerate(labels):
        frames[row, :, label] = row != 2
    _, _, report = calibrate(graph, frames, labels)
    assert (report.samples_checked, report.unlabeled, report.float_silent, report.max_abs_silent) == (3, 1, 1, 1)
    assert (report.float_accuracy, report.max_abs_accuracy) == (0.5, 0.5)
    reported = "\n".join(report.lines())
    assert "without an answer: 1 (float), 1 (max-abs), 1 (searched) of 3" in reported
    assert "without 1 unlabeled" in reported
    assert calibrate(graph, frames, np.full(9, -1))[2].float_accuracy is None
    with pytest.raises(UserError, match=r"label 3 of sample 4 is not a class.*3 outputs"):
        calibrate(graph, frames, np.array([0, 1, 0, 1, 3, -1, 0, 1, 2]))
