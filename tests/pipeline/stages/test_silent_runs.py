"""Runs, sweeps and comparisons count recordings without an output spike apart."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from digit_recipes import DIGITS
from finished_folder import finished_folder
from html_page import Page
from profile_schema import validated

from spikeport.pipeline.report.comparison.comparison import build_comparison
from spikeport.pipeline.report.content.finished_run import read_runs
from spikeport.pipeline.report.write import render_comparison
from spikeport.pipeline.run.run_folder import open_run
from spikeport.pipeline.stages import report as stages_report
from spikeport.pipeline.stages.context import Context
from spikeport.pipeline.stages.silence import silent_share
from spikeport.pipeline.sweep.plan import Setting, Trial
from spikeport.pipeline.sweep.table import rows_of, table
from spikeport.pipeline.sweep.trial import TrialResult, trial_result


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
        assert "No answer (no output spike): 6." in page
        assert "No recording was assigned to another class." in page


def test_of_an_older_run_silence_was_not_counted(silent_run) -> None:
    """It took silent recordings for class 0 and kept no `silent`; what it kept is shown as what it is."""
    manifest = silent_run / "manifest.json"
    content = json.loads(manifest.read_text())
    for stage in ("student-baseline", "quantized-baseline", "simulate"):
        result = content["stages"][stage]["result"]
        del result["silent"]
        result["predicted"] = [0] * 6
    manifest.write_text(json.dumps(content))
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


def test_a_run_with_more_silence_than_asked_exits_with_1(spikeport, tmp_path) -> None:
    """A threshold that nothing reaches: all recordings are silent, so that only 1 allows it."""
    (tmp_path / "r.toml").write_text(
        f"{DIGITS}[student]\nchannels = [2, 3]\nv_threshold = 500.0\n[training]\nepochs = 1\nthreads = 1\n"
        '[quantization]\nepochs = 1\n[distillation]\nmethod = "baseline"\n[check]\nbackends = []\n'
    )
    code, _, err = spikeport("train", "r.toml", "--out", "run", "--set", "check.silent_max=0.99")
    assert code == 1
    assert "no output fires in 100.0 % of the test recordings, and check.silent_max is 0.99" in err
    assert silent_share(open_run(tmp_path / "run")) == 1.0
    for verb in ("train", "run"):
        code, _, err = spikeport(verb, "r.toml", "--out", "run", "--resume", "--set", "check.silent_max=1.0")
        assert code == 0, err
    code, _, err = spikeport("run", "r.toml", "--out", "run", "--resume", "--set", "check.silent_max=0.5")
    assert code == 1
    assert (tmp_path / "run" / "report.html").is_file(), "all is written before"
