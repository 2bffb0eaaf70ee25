"""Labels that no output has, that are no class numbers or that lie under another name are refused or noticed."""

from __future__ import annotations

import json

import nir
import numpy as np
import pytest
import yaml
from cli_inputs import one_line, small_graph
from echo_network import frames_of, write_echo
from html_page import Page
from profile_schema import validated

from spikeport.export.formats.frames_file import write_frames
from spikeport.files import write_npz


@pytest.fixture
def echo(tmp_path):
    return write_echo(tmp_path / "echo.net")


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
    write_frames(tmp_path / "f.npz", frames_of(0, 1), np.array([-1, -1]))
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
    write_npz(tmp_path / "f.npz", frames=frames_of(0, 1, 2), labels=np.array([0, 1, label]))
    line = refused(spikeport, verb, echo, "--input", "f.npz")
    for part in ("f.npz", f"label {label} of sample 2", "3 outputs"):
        assert part in line
    assert "labels - 1" not in line


def test_labels_that_start_at_1_are_seen(spikeport, echo, tmp_path) -> None:
    write_npz(tmp_path / "f.npz", frames=frames_of(0, 1, 2), labels=np.array([1, 2, 3], dtype=np.uint8))
    assert "labels seem to start at 1: save labels - 1" in refused(spikeport, "simulate", echo, "--input", "f.npz")


@pytest.mark.parametrize("labels", [np.array([True, False]), np.array([[0], [1]])])
def test_what_is_no_class_number_is_refused(spikeport, echo, tmp_path, labels) -> None:
    write_npz(tmp_path / "f.npz", frames=frames_of(0, 1), labels=labels)
    line = refused(spikeport, "simulate", echo, "--input", "f.npz")
    assert "labels are bool" in line or "labels have shape" in line


@pytest.mark.parametrize("name", ["y", "label", "targets"])
def test_labels_under_another_name_are_noticed(spikeport, echo, tmp_path, name) -> None:
    for verb in ("simulate", "profile"):
        file = f"{verb}-{name}.npz"  # what was said of a file is not said again
        write_npz(tmp_path / file, frames=frames_of(0, 1), **{name: np.array([0, 1])})
        code, out, err = spikeport(verb, echo, "--input", file, "--json")
        assert code == 0
        assert f"note: {file} holds `{name}`, which is not read" in err
        assert json.loads(out)["silent"] == 0


def test_no_samples_are_said(spikeport, echo, tmp_path) -> None:
    write_npz(tmp_path / "f.npz", frames=frames_of())
    for verb in ("simulate", "profile"):
        assert "holds 0 samples" in refused(spikeport, verb, echo, "--input", "f.npz")


def test_frames_that_somebody_gives_are_called_given(spikeport, echo, tmp_path) -> None:
    write_frames(tmp_path / "f.npz", frames_of(0, 1, 1), np.array([0, 1, 2]))
    assert spikeport("profile", echo, "--input", "f.npz", "--out", "page", "--hardware", "loihi1")[0] == 0
    report = validated(tmp_path / "page")
    assert report["dataset"]["recordings"] == "given"
    assert report["dataset"]["counts"] == {"given": 3}
    assert "of the 3 recordings given" in report["summary"]
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
    assert (found["n"], found.get("unlabeled", 0)) == ((15, 15) if "half" in name else (30, 0))
