"""Spike trains of 700 channels, from a recipe to Lava: dense and recurrent students fire the same spikes everywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from html_page import Page
from spike_trains import WORDS, spoken, write_part, write_trains

import spikeport as sp
from spikeport.export.formats.netx.write import read_netx

pytestmark = [pytest.mark.lava, pytest.mark.xdist_group("spike trains")]

STEPS = 30
TEST = 32  # recordings, of which half are of a speaker who is not trained on
CHANGES = {
    "data.steps": STEPS, "data.step_us": 20_000, "data.validation": 16, "student.layers": [24], "training.epochs": 4,
    "training.batch": 16, "training.warmup_epochs": 0, "quantization.epochs": 1, "check.samples": 6,
    "profile.baseline_seconds": 0.1,
}  # fmt: skip


@pytest.fixture(scope="module", params=["recurrent", "leaky"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp(f"spoken-{request.param}")
    assert write_part(root / "SHD" / "shd_train.h5", (0, 1, 2, 3), 10) == 160
    assert write_part(root / "SHD" / "shd_test.h5", (3, 4), 4) == TEST
    recipe = sp.load_recipe("shd", {**CHANGES, "data.root": str(root), "student.neuron": request.param})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPIKEPORT_CACHE", str(root / "cache"))
        sp.run(recipe, out=root / "run")
        yield root / "run"


def test_no_spike_differs_between_the_student_the_reference_and_lava(run: Path) -> None:
    equivalence = json.loads((run / "report.json").read_text())["equivalence"]["comparisons"]
    assert equivalence["quantized_vs_reference"]["samples"] == TEST
    assert equivalence["reference_vs_lava"]["samples"] == 6
    for pair in equivalence.values():
        assert pair["mismatches"] == 0
        assert pair["spikes_compared"] > 0


def test_words_of_a_new_speaker_are_recognized_above_chance(run: Path) -> None:
    """A quarter is chance; 16 recordings or more of 32 by chance have a probability below 0.3 %."""
    accuracy = json.loads((run / "report.json").read_text())["accuracy"]
    for stage in ("student_float", "student_quantized", "reference"):
        assert accuracy[stage]["value"] >= 0.5
        assert accuracy[stage]["n"] == TEST


def test_the_network_has_one_input_a_channel(run: Path) -> None:
    network = read_netx(run / "student.net")
    assert network.input_shape == (700,)
    assert [(layer.kind, layer.weight.shape) for layer in network.layers] == [("dense", (24, 700)), ("dense", (4, 24))]
    recurrent = 'neuron = "recurrent"' in (run / "recipe.toml").read_text()
    assert (network.layers[0].weight_rec is not None) == recurrent


def test_frames_of_the_run_give_its_accuracy_again(run: Path, tmp_path: Path) -> None:
    sp.save_frames(run / "recipe.toml", tmp_path / "f.npz")
    with np.load(tmp_path / "f.npz") as stored:
        assert stored["frames"].shape == (TEST, STEPS, 700)
        frames, labels = stored["frames"], stored["labels"]
    opened = sp.open_run(run)
    classes = sp.simulate(opened.network, frames).classes()
    accuracy = json.loads((run / "report.json").read_text())["accuracy"]["reference"]["value"]
    assert (classes == labels).mean() == pytest.approx(accuracy)


def test_new_recordings_are_classified(run: Path, tmp_path: Path) -> None:
    """A file of one recording each; one of several is named."""
    for word, name in enumerate(WORDS):
        write_trains(tmp_path / "new" / name / "a.h5", [spoken(word, 3, 500)], [word], [3])
    found = sp.predict(run, tmp_path / "new")
    assert [Path(row.recording).parent.name for row in found] == sorted(WORDS)
    assert sum(row.predicted == row.label for row in found) >= 2
    write_part(tmp_path / "many.h5", (0,), 2)
    (unread,) = sp.predict(run, tmp_path / "many.h5").unread
    assert "it holds 8 recordings" in unread.reason


def test_the_report_draws_rasters(run: Path) -> None:
    text = Page((run / "report.html").read_text()).text
    report = json.loads((run / "report.json").read_text())
    assert report["samples"][0]["frames"]["shape"] == [STEPS, 700]
    assert report["dataset"]["window"]["on"] is None
    assert "Events lie in channel 0 to 699." in text
    assert "a row stands for" in text
