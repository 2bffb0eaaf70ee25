"""A complete small run: every stage on real digits, Lava included, and a kill in the middle of it."""

import csv
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from run_process import RECIPE, reached, start, wait_for

from spikeport.export.formats.netx.write import read_netx
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.readout import classify
from spikeport.export.network.spike_trace import load_trace
from spikeport.pipeline.report.content import content
from spikeport.pipeline.run.run_folder import open_run

pytestmark = [pytest.mark.lava, pytest.mark.xdist_group("run")]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "small.toml"
    path.write_text(RECIPE)
    return path


def finish(process: subprocess.Popen) -> str:
    out, err = process.communicate(timeout=3600)
    assert process.returncode == 0, err
    return out


@pytest.fixture(scope="module")
def unbroken(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    out = finish(start(recipe, folder))
    assert str(folder / "report.html") in out
    return folder


def weights(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.glob("*.safetensors")}


def report_numbers(folder: Path) -> dict:
    """The report without what differs between any two runs: the clock and what it measured."""
    report = json.loads((folder / "report.json").read_text())
    for measured in ("baseline", "provenance"):
        report.pop(measured)
    return report


def test_a_run_has_every_file_and_no_leftover(unbroken):
    names = {entry.name for entry in unbroken.iterdir()} - {".lock", "checkpoints"}
    assert names == {
        "recipe.toml", "manifest.json", "metrics.jsonl", "teacher.safetensors", "student.safetensors",
        "student-baseline.safetensors", "quantized.safetensors", "quantized-baseline.safetensors", "student.nir",
        "student.nir.json", "student.net", "teacher.onnx", "test-frames.npz", "trace.npz", "report.json", "report.md",
        "report.html", "layers.csv", "samples.csv", "curves.csv", "baseline.json",
    }  # fmt: skip
    trainings = {"teacher", "student-ckd", "quantized-ckd", "student-baseline", "quantized-baseline"}
    left = {file.relative_to(unbroken / "checkpoints") for file in (unbroken / "checkpoints").rglob("*.*")}
    assert left == {Path(training, "checkpoint.safetensors") for training in trainings}


def test_the_student_the_reference_and_lava_fire_the_same_spikes(unbroken):
    equivalence = json.loads((unbroken / "report.json").read_text())["equivalence"]["comparisons"]
    pair = equivalence["quantized_vs_reference"]
    assert (pair["samples"], pair["mismatches"], pair["first_divergence"]) == (50, 0, None)
    assert pair["spikes_compared"] > 1000
    pair = equivalence["reference_vs_lava"]
    assert (pair["samples"], pair["mismatches"]) == (4, 0)
    assert pair["spikes_compared"] > 50


def test_every_accuracy_comes_from_the_same_recordings(unbroken):
    """Recomputed from the trace: the reference's share of right classes, and the quantized student's is the same."""
    report = json.loads((unbroken / "report.json").read_text())
    trace = load_trace(unbroken / "trace.npz")
    with np.load(unbroken / "test-frames.npz", allow_pickle=False) as archive:
        share = float(np.mean(classify(trace.spikes) == archive["labels"]))
    accuracy = report["accuracy"]
    assert accuracy["reference"]["value"] == accuracy["student_quantized"]["value"] == pytest.approx(share)
    assert accuracy["reference"]["n"] == 50
    assert accuracy["lava"]["n"] == 4
    assert set(report["comparison"]) >= {"baseline", "ckd"}


def test_the_report_counts_what_the_trace_counted(unbroken):
    report = json.loads((unbroken / "report.json").read_text())
    counts = load_trace(unbroken / "trace.npz").counts
    for index, layer in enumerate(report["layers"]):
        assert layer["spikes_per_sample"] == pytest.approx(counts.spikes_out[:, index].mean())
        assert layer["synops_per_sample"] == pytest.approx(counts.synops[:, index].mean())
    loihi2 = next(row for row in report["energy"] if row["hardware"] == "loihi2")
    assert loihi2["dynamic_uj"] is None


def test_the_student_is_compared_with_its_teacher_in_32_and_8_bits_and_its_own_shape(unbroken):
    rows = json.loads((unbroken / "report.json").read_text())["baseline"]
    measured = {row["model"] for row in rows if row.get("latency_basis") == "measured"}
    assert measured == {"teacher", "teacher, int8", "ANN of the same shape"}
    in_8_bits = next(row for row in rows if row.get("model") == "teacher, int8")
    assert re.match(r"recognizes \d+\.\d % of 50 test images; ", in_8_bits["scope"])
    assert {row["model"] for row in rows if row["energy_basis"] == "modeled"} == {"teacher", "ANN of the same shape"}


def test_what_another_machine_measured_stands_in_the_report_and_stays(unbroken, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(unbroken, folder)
    assert spikeport("report", folder, "--baseline", unbroken / "baseline.json").returncode == 0
    measured = json.loads((unbroken / "baseline.json").read_text())
    assert set(measured["networks"]) == {"teacher", "teacher, int8", "ANN of the same shape"}
    rows = json.loads((folder / "report.json").read_text())["baseline"]
    elsewhere = [row for row in rows if row["scope"].startswith(f"measured elsewhere, {measured['created_utc']}: ")]
    assert [row["latency_us"] for row in elsewhere] == [row["latency_us"] for row in measured["rows"]]
    assert elsewhere[0]["taken_from"]["file"] == "baseline.json"
    page = (folder / "report.html").read_bytes()
    assert b"measured elsewhere" in page
    assert spikeport("report", folder).returncode == 0
    assert (folder / "report.html").read_bytes() == page
    refused = spikeport("report", folder, "--baseline", folder / "report.json")
    assert refused.returncode == 2
    assert "report.json" in refused.stderr
    assert (folder / "report.html").read_bytes() == page


def test_the_report_is_what_its_schema_says(unbroken):
    schema = json.loads(Path(content.__file__).with_name("report.schema.json").read_text())
    jsonschema.validate(json.loads((unbroken / "report.json").read_text()), schema)


def test_the_tables_hold_every_layer_and_every_recording(unbroken):
    report = json.loads((unbroken / "report.json").read_text())
    with open(unbroken / "layers.csv", newline="") as file:
        layers = list(csv.DictReader(file))
    assert [row["name"] for row in layers] == [layer["name"] for layer in report["layers"]]
    synapses = [float(row["loihi1_synapse_uj"]) for row in layers]
    loihi1 = next(row for row in report["energy"] if row["hardware"] == "loihi1")
    assert synapses == [layer["synapse_uj"]["nominal"] for layer in loihi1["layers"]]
    with open(unbroken / "samples.csv", newline="") as file:
        samples = list(csv.DictReader(file))
    trace = load_trace(unbroken / "trace.npz")
    assert [int(row["synops"]) for row in samples] == trace.counts.synops.sum(axis=1).tolist()
    energies = [float(row["loihi1_dynamic_uj"]) for row in samples]
    assert np.mean(energies) == pytest.approx(loihi1["dynamic_uj"]["nominal"], rel=1e-12)  # summed in another order
    right = [row["reference"] == row["label"] for row in samples]
    assert np.mean(right) == pytest.approx(report["accuracy"]["reference"]["value"])
    drawn = report["equivalence"]["comparisons"]["reference_vs_lava"]["drawn"]["rows"]
    assert [number for number, row in enumerate(samples) if row["lava"]] == drawn
    assert len({samples[number]["label"] for number in drawn}) == 4  # of ten classes four, sorted though they are
    assert [samples[number]["lava"] for number in drawn] == [samples[number]["reference"] for number in drawn]
    assert {row["loihi2_dynamic_uj"] for row in samples} == {""}


@pytest.mark.parametrize("at", ["training", "export"])
def test_a_killed_run_resumes_to_the_same_weights_and_report(recipe, unbroken, tmp_path, at):
    folder = tmp_path / "run"
    process = start(recipe, folder)
    wait_for(lambda: reached(folder, at), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (folder / "report.json").exists()
    out = finish(start(recipe, folder, "--resume"))
    assert str(folder / "report.html") in out
    assert weights(folder) == weights(unbroken)
    assert report_numbers(folder) == report_numbers(unbroken)
    epochs = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    places = [(row["stage"], row["epoch"]) for row in epochs]
    assert len(places) == len(set(places))
    assert not [entry for entry in folder.iterdir() if entry.name.startswith(".") and entry.name != ".lock"]


def spikeport(*words) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "spikeport", *map(str, words)], capture_output=True, text=True, check=False
    )


def test_check_finds_a_network_that_is_not_what_was_trained(unbroken, tmp_path):
    """One weight of the second layer changed: the check leaves with 1 and names that layer first."""
    from spikeport.export.formats.netx.write import write_netx

    folder = tmp_path / "run"
    shutil.copytree(unbroken, folder)
    network = read_netx(folder / "student.net")
    second = network.layers[1]
    weight = second.weight.copy()
    weight[0] = np.where(weight[0] > 0, -weight[0], 250)
    changed = tuple(
        type(layer)(**{**vars(layer), "weight": weight}) if layer is second else layer for layer in network.layers
    )
    write_netx(IntegerNetwork(input_shape=network.input_shape, layers=changed), folder / "student.net")
    result = spikeport("check", folder, "--samples", 2, "-q")
    assert result.returncode == 1
    assert f"layer {second.name}" in result.stdout
    assert result.stderr.startswith("error: spikes differ")


def test_verbs_on_a_finished_run(unbroken, tmp_path):
    again = spikeport("run", unbroken / "recipe.toml", "--out", unbroken, "--resume")
    assert again.returncode == 0
    assert again.stderr.count("done before") == 11
    assert spikeport("run", unbroken / "recipe.toml", "--out", unbroken).returncode == 2
    exported = spikeport("export", unbroken, "--out", tmp_path / "made", "--json")
    assert exported.returncode == 0
    assert (tmp_path / "made" / "student.net").read_bytes() == (unbroken / "student.net").read_bytes()
    before = (unbroken / "report.html").read_bytes()
    assert spikeport("report", unbroken).returncode == 0
    assert (unbroken / "report.html").read_bytes() == before
    profiled = spikeport("profile", unbroken, "--hardware", "loihi1", "--json")
    assert [row["hardware"] for row in json.loads(profiled.stdout)["energy"]] == ["loihi1"]


def test_training_alone_goes_on_to_a_whole_run(recipe, unbroken, tmp_path):
    folder = tmp_path / "run"
    changes = ["--set", "distillation.method=baseline", "--set", "training.epochs=1", "--set", "quantization.epochs=0"]
    changes += ["--set", "profile.per_step=true", "--set", "profile.active_rule=spiked_only"]
    assert spikeport("train", recipe, "--out", folder, *changes, "-q").returncode == 0
    assert set(open_run(folder).manifest["stages"]) == {"data", "teacher", "student-baseline", "quantized-baseline"}
    without_lava = spikeport("run", recipe, "--out", folder, *changes, "--resume", "-q")
    assert without_lava.returncode == 0
    report = json.loads((folder / "report.json").read_text())
    assert set(report["comparison"]) >= {"baseline"}
    assert report["equivalence"]["comparisons"]["quantized_vs_reference"]["mismatches"] == 0
    tables = [folder / name for name in ("report.json", "samples.csv", "steps.csv")]
    before = [table.read_bytes() for table in tables]
    assert spikeport("report", folder).returncode == 0
    assert [table.read_bytes() for table in tables] == before
    loihi1 = next(row for row in report["energy"] if row["hardware"] == "loihi1")
    assert loihi1["active_rule"] == "spiked_only"
    with open(folder / "samples.csv", newline="") as samples, open(folder / "steps.csv", newline="") as steps:
        of_samples, of_steps = list(csv.DictReader(samples)), list(csv.DictReader(steps))
    energies = [float(row["loihi1_dynamic_uj"]) for row in of_samples]
    assert np.mean(energies) == pytest.approx(loihi1["dynamic_uj"]["nominal"], rel=1e-12)  # summed in another order
    assert sum(int(row["synops_sum"]) for row in of_steps) == sum(int(row["synops"]) for row in of_samples)
    compared = spikeport("compare", unbroken, folder, "--out", tmp_path / "compared", "--json")
    assert compared.returncode == 0
    result = json.loads(compared.stdout)
    assert result == json.loads((tmp_path / "compared" / "compare.json").read_text())
    assert [run["method"] for run in result["runs"]] == ["ckd", "baseline"]
    assert {"distillation.method", "training.epochs", "quantization.epochs"} <= set(result["settings"])
    (against,) = result["against_first"]
    shares = [run["accuracy"]["reference"]["value"] for run in result["runs"]]
    assert against["accuracy"]["reference"]["value"] == pytest.approx(shares[1] - shares[0])
    energies = [next(row for row in run["energy"] if row["hardware"] == "loihi1") for run in result["runs"]]
    nominal = [row["dynamic_uj"]["nominal"] for row in energies]
    ratio = next(entry for entry in against["energy"] if entry["hardware"] == "loihi1")["dynamic"]
    assert ratio["nominal"] == pytest.approx(nominal[1] / nominal[0])
