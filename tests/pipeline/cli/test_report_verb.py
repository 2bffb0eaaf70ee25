"""`report` reports: it never trains or simulates, says what is missing, and needs no run that can be written."""

from __future__ import annotations

import json
import shutil

import pytest
from cli_inputs import one_line
from finished_folder import finished_folder
from full_disk import read_only, small_disk

from spikeport.pipeline.run.recipe_file import MANIFEST
from spikeport.pipeline.stages import deploy as stages_deploy
from spikeport.pipeline.stages import train as stages_learn
from spikeport.pipeline.stages.report import FILES


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("SPIKEPORT_CACHE", str(tmp_path / "cache"))
    return finished_folder(tmp_path, "run", seed=1)


@pytest.fixture
def no_work(monkeypatch):
    """Every stage but the report fails."""

    def done(*_, **__):
        raise AssertionError("a stage was done")

    for module, names in (
        (stages_learn, ("data", "teacher", "student", "quantized")),
        (stages_deploy, ("export", "simulate", "check")),
    ):
        for name in names:
            monkeypatch.setattr(module, name, done)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


@pytest.mark.parametrize("how", ["missing", "changed"])
@pytest.mark.parametrize(("file", "stage"), [("student.net", "export"), ("trace.npz", "simulate")])
def test_a_file_that_went_or_changed_is_named(spikeport, run, no_work, how, file, stage):
    if how == "missing":
        (run / file).unlink()
    else:
        with open(run / file, "ab") as opened:
            opened.write(b"x")
    before = contents(run)
    code, _, err = spikeport("report", run)
    assert code == 2
    message = one_line(err)
    assert f"stage {stage}: {file} {'is missing' if how == 'missing' else 'was changed'}" in message
    assert f"spikeport run {run} --resume" in message
    assert contents(run) == before
    assert spikeport("report", run, "--out", run.parent / "elsewhere")[0] == 2
    assert not (run.parent / "elsewhere").exists()


def test_stages_that_have_not_run_are_named(spikeport, run, no_work):
    manifest = json.loads((run / MANIFEST).read_text())
    manifest["stages"] = {"profile": manifest["stages"]["profile"]}
    (run / MANIFEST).write_text(json.dumps(manifest))
    code, _, err = spikeport("report", run)
    assert code == 2
    for stage in ("data", "teacher", "student-baseline", "quantized-baseline", "export", "simulate", "check"):
        assert f"stage {stage}: has not run" in one_line(err)


def test_it_writes_the_report_again(spikeport, run, no_work):
    before = contents(run)
    for name in FILES:
        (run / name).unlink()
    assert spikeport("report", run)[0] == 0
    after = contents(run)
    manifest = run / MANIFEST
    assert {path: text for path, text in after.items() if path != manifest} == {
        path: text for path, text in before.items() if path != manifest
    }


def test_it_writes_elsewhere_and_leaves_the_run(spikeport, run, no_work, tmp_path):
    before = contents(run)
    for _ in range(2):
        code, out, _ = spikeport("report", run, "--out", "there")
        assert code == 0
        assert "there/report.html" in out
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == sorted(FILES)
    for name in FILES:
        assert (tmp_path / "there" / name).read_bytes() == before[run / name]
    assert contents(run) == before


def test_a_profile_of_other_devices_writes_its_report_elsewhere(spikeport, run, no_work, tmp_path):
    before = contents(run)
    words = ("profile", run, "--hardware", "loihi2", "--per-step", "-q", "--out", "there")
    assert spikeport(*words)[0] == 0
    report = json.loads((tmp_path / "there" / "report.json").read_text())
    assert [row["hardware"] for row in report["energy"]] == ["loihi2"]
    assert (tmp_path / "there" / "steps.csv").is_file()
    assert contents(run) == before
    (run / "trace.npz").unlink()
    code, _, err = spikeport("profile", run, "-q")
    assert code == 2
    assert "trace.npz is missing" in one_line(err)


def test_a_run_on_a_read_only_disk(spikeport, run, no_work, tmp_path):
    with small_disk(tmp_path / "disk", "8M") as disk:
        shutil.copytree(run, disk / "run", ignore=shutil.ignore_patterns(".lock"))
        read_only(disk)
        there = disk / "run"
        assert spikeport("report", there, "--out", "reported")[0] == 0
        assert spikeport("export", there, "--out", "exported")[0] == 0
        assert spikeport("profile", there, "--hardware", "loihi2", "-q")[0] == 0
        assert spikeport("profile", there, "--hardware", "loihi2", "-q", "--out", "profiled")[0] == 0
        assert spikeport("compare", there, run, "--out", "compared", "-q")[0] == 0
        code, _, err = spikeport("report", there)
        assert code == 2
        assert "Read-only file system" in one_line(err)
        assert "--out" in one_line(err)


def test_a_divergence_is_told_where_its_case_cannot_be_kept(net, frames, tmp_path, capsys):
    from dataclasses import replace
    from types import SimpleNamespace

    from spikeport.export.backends.compare_backends import compare_backends
    from spikeport.export.backends.table import BACKENDS
    from spikeport.export.formats.frames_file import read_frames
    from spikeport.export.formats.netx.write import read_netx

    network = read_netx(net)
    given, _ = read_frames(frames, network.input_shape)
    reference = BACKENDS["reference"].simulate(network, given, keep_layers=True)
    spikes = reference.spikes.copy()
    spikes[2, 3, 1] ^= 1
    other = replace(reference, spikes=spikes, layer_spikes=(spikes.reshape(reference.layer_spikes[0].shape),))
    (tmp_path / "file").write_text("mine")
    altered = SimpleNamespace(name="altered", check=lambda _: [], simulate=lambda *_, **__: other)
    found = compare_backends(network, given, ("reference", altered), case_folder=tmp_path / "file" / "cases")
    assert found.case is None
    divergence = found.comparison.first_divergence
    assert (divergence.sample, divergence.step) == (2, 3)
    assert "the case is not kept" in capsys.readouterr().err
