"""A network without its training gets the account and the page that a run gets."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nir
import numpy as np
import pytest
from cli_inputs import one_line, small_graph
from html_page import Page
from profile_schema import validated

import spikeport as sp
from spikeport.errors import UserError
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.formats.frames_file import read_frames, write_frames
from spikeport.export.formats.netx.write import read_netx, write_netx
from spikeport.export.graph.spiking_graph import load_graph
from spikeport.export.mapping.limits import check_limits
from spikeport.export.quantization.quantize import quantize
from spikeport.files import write_npz
from spikeport.hardware_profiles.profile import load_profile
from spikeport.pipeline.report.content.words import amount

FILES = ["layers.csv", "report.html", "report.json", "report.md", "samples.csv"]


def test_a_net_with_labels(spikeport, net, frames, tmp_path):
    code, out, _ = spikeport("profile", net, "--input", frames, "--hardware", "loihi1", "--out", "page")
    assert code == 0
    folder = tmp_path / "page"
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert str(Path("page") / "report.html") in out
    report = validated(folder)
    network = read_netx(net)
    given, labels = read_frames(frames, network.input_shape)
    trace = simulate(network, given)
    right = network.readout.classes(trace.spikes) == labels
    assert report["accuracy"]["reference"]["value"] == right.mean()
    assert report["accuracy"]["student_float"]["reason"] == "only the network was profiled, not its training"
    assert np.array(report["confusion"]["counts"]).trace() == right.sum()
    assert report["summary"].startswith(
        "The network is no better than always saying the most frequent class (50.0 %); "
    )
    assert f"the network recognizes {100 * right.mean():.1f} % of the 4 recordings given" in report["summary"]
    assert "%, if they were drawn at random)" in report["summary"]
    assert [warning["kind"] for warning in report["warnings"]] == ["guessing"]
    with open(folder / "samples.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["synops"]) for row in rows] == trace.counts.synops.sum(1).tolist()
    assert [row["label"] for row in rows] == [str(label) for label in labels]
    page = Page((folder / "report.html").read_text())
    text = page.text
    assert "are not known: a .net file holds integers, not what was rounded to them." in text
    assert [layer["weight_error"] for layer in report["layers"]] == [None] * len(network.layers)
    shares = [layer["chip_share"] for layer in report["layers"]]
    assert shares == [each.cores / 128 for each in check_limits(network, load_profile("loihi1")).layers]
    assert "6" in text
    assert "objective" not in text


def test_a_nir_file_without_labels(spikeport, tmp_path):
    nir.write(tmp_path / "a.nir", small_graph())
    spikes = (np.random.default_rng(0).random((3, 7, 5)) < 0.5).astype(np.uint8)
    write_npz(tmp_path / "f.npz", frames=spikes)
    words = ("profile", "a.nir", "--input", "f.npz", "--out", "page")
    code, _, err = spikeport(*words)
    assert code == 2
    assert "--reset zero" in one_line(err)
    assert not (tmp_path / "page").exists()
    code, _, _ = spikeport(*words, "--dt", "1e-3", "--reset", "zero")
    assert code == 0
    report = validated(tmp_path / "page")
    assert report["accuracy"]["reference"] == {"value": None, "reason": "f.npz holds no labels"}
    assert report["confusion"] == {"reason": "f.npz holds no labels"}
    assert report["summary"].startswith("A recording takes ")  # what is known first
    assert "The network's accuracy was not measured" in report["summary"]
    assert report["dataset"]["dt_s"] == 1e-3
    network, rows = quantize(load_graph(tmp_path / "a.nir", dt_s=1e-3, reset="zero"))
    with open(tmp_path / "page" / "layers.csv", newline="") as file:
        table = list(csv.DictReader(file))
    for key in ("weight_error", "v_decay_error", "i_decay_error", "saturated"):
        expected = [getattr(row, key) for row in rows]
        assert [layer[key] for layer in report["layers"]] == expected
        assert [float(line[key]) for line in table] == expected
    assert rows[0].weight_error > 0
    assert [float(line["chip_share"]) for line in table] == [1 / 128] * len(network.layers)


def test_pictures_of_labeled_frames_without_a_time(spikeport, tmp_path):
    """Where nobody says how long a step is, the page counts steps."""
    from known_networks import conv_frames, conv_network

    write_netx(conv_network(), tmp_path / "conv.net")
    frames = conv_frames()
    predicted = simulate(conv_network(), frames).spikes.sum(1).argmax(1)
    labels = np.where(np.arange(len(frames)) == 1, (predicted + 1) % 4, predicted)
    write_frames(tmp_path / "f.npz", frames, labels)
    code, _, err = spikeport("profile", "conv.net", "--input", "f.npz", "--out", "page")
    assert code == 0, err
    report = validated(tmp_path / "page")
    assert [sample["correct"] for sample in report["samples"]] == [True, False]
    assert report["dataset"]["dt_s"] is None
    text = Page((tmp_path / "page" / "report.html").read_text()).text
    assert "step 3" in text
    assert " ms" not in text.rpartition("Measured elsewhere, another network")[0]  # the networks of others have times
    assert report["baseline"][0]["energy_basis"] == "modeled"
    assert report["baseline"][0]["live_uj"] is None
    placed = report["energy"][0]["placement"]
    assert (placed["cores"], placed["cores_per_chip"]) == (sum(each["cores"] for each in placed["layers"]), 128)
    assert f"{placed['cores']} of 128 (1.6 % of a chip)" in text


def test_counts_above_the_largest_input_are_clipped_if_asked_for(spikeport, net, frames, tmp_path):
    network = read_netx(net)
    given, labels = read_frames(frames, network.input_shape)
    counts = given * 3  # two of three are lost
    write_npz(tmp_path / "counts.npz", frames=counts, labels=labels)
    code, _, err = spikeport("profile", net, "--input", "counts.npz")
    assert code == 2
    assert "--clip" in one_line(err)
    code, out, err = spikeport("profile", net, "--input", "counts.npz", "--clip", "--out", "page")
    assert code == 0, err
    lost = 2 * int(given.sum())
    assert f"note: {lost:,} events were lost" in out
    report = validated(tmp_path / "page")
    assert f"clipping to its largest input removed {lost:,} events" in report["dataset"]["description"]
    synops = simulate(network, given).counts.synops.mean(axis=0).tolist()
    assert [layer["synops_per_sample"] for layer in report["layers"]] == synops
    found = sp.profile(sp.load_network(net), counts, clip=True)
    assert found.values["events_clipped"] == lost
    with pytest.raises(UserError, match="hold values from 0 to 3"):
        sp.profile(sp.load_network(net), counts)


def test_outputs_without_labels_are_no_classes_and_a_convention_is_no_device(spikeport, net, frames, tmp_path):
    given, _ = read_frames(frames, read_netx(net).input_shape)
    write_npz(tmp_path / "bare.npz", frames=given)
    devices = ("--hardware", "cmos45-fp32", "--hardware", "loihi1")
    for name, word in (("bare.npz", "outputs"), (frames, "classes")):
        assert spikeport("profile", net, "--input", name, *devices, "--out", "page")[0] == 0
        html, card = ((tmp_path / "page" / file).read_text() for file in ("report.html", "report.md"))
        assert f"<dt>{word}</dt>" in html
        assert f"; {read_netx(net).outputs} {word};" in card
    table = html[html.index('class="dots energy"') :]
    places = [table.index(text) for text in ("Loihi 1", "Conventions: ", "45 nm convention, FP32")]
    assert places == sorted(places)  # though the convention was asked for first
    assert 'class="tag convention"' in table[places[1] :]
    assert 'class="tag convention"' not in table[: places[1]]
    assert "**convention**" in card


def test_two_pages_of_one_network_are_the_same_but_for_the_time(spikeport, net, frames, tmp_path):
    for name in ("one", "two"):
        assert spikeport("profile", net, "--input", frames, "--out", name)[0] == 0
    reports = [json.loads((tmp_path / name / "report.json").read_text()) for name in ("one", "two")]
    for report in reports:
        for key in ("created_utc", "command"):
            report["provenance"].pop(key)
    assert reports[0] == reports[1]
    for name in ("layers.csv", "samples.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_page_says_by_which_rule_updates_are_active(spikeport, net, frames, tmp_path):
    words = ("profile", net, "--input", frames, "--hardware", "loihi1", "--active-rule", "spiked_only", "--out", "page")
    code, out, err = spikeport(*words)
    assert code == 0, err
    (row,) = validated(tmp_path / "page")["energy"]
    network = read_netx(net)
    given, _ = read_frames(frames, network.input_shape)
    counts = simulate(network, given).counts
    updates, on, off = 3 * 6, 81, 52  # neurons, steps; loihi1
    active = {
        "spiked_only": counts.spikes_out.mean(),
        "received_input_or_bias_or_spiked": counts.updates_active.mean(),
        "membrane_nonzero": counts.updates_nonzero.mean(),
    }
    by_rule = {rule: (updates * off + works * (on - off)) / 1e6 for rule, works in active.items()}
    assert row["neuron_by_rule_uj"] == pytest.approx(by_rule, rel=1e-12)  # means in float64
    assert row["layers"][0]["neuron_uj"]["nominal"] == pytest.approx(by_rule["spiked_only"], rel=1e-12)
    with open(tmp_path / "page" / "samples.csv", newline="") as file:
        energies = [float(sample["loihi1_dynamic_uj"]) for sample in csv.DictReader(file)]
    assert np.mean(energies) == pytest.approx(row["dynamic_uj"]["nominal"], rel=1e-12)
    message = "by the rule in force, spiked_only, by received_input_or_bias_or_spiked"
    assert f"loihi1, neuron updates: {amount(by_rule['spiked_only'])} µJ {message}" in out
    html, markdown = ((tmp_path / "page" / name).read_text() for name in ("report.html", "report.md"))
    for page in (Page(html).text, markdown):
        assert "an update is active if the neuron fired (asked for; by the device's own rule" in page
        assert message in page.replace("\\", "")
        assert "if all counted as inactive" in page


def test_a_rule_is_known_before_anything_is_simulated_and_idle_where_no_number_depends_on_it(spikeport, net, frames):
    code, _, err = spikeport("profile", net, "--input", "nowhere.npz", "--active-rule", "fired")
    assert code == 2
    assert "use one of received_input_or_bias_or_spiked, spiked_only" in one_line(err)
    idle = "note: no number here depends on --active-rule"
    words = ("profile", net, "--input", frames, "--active-rule", "spiked_only", "--hardware", "loihi2")
    assert idle in spikeport(*words)[1]
    assert idle not in spikeport(*words, "--hardware", "loihi1")[1]


@pytest.mark.parametrize("hardware", ["a100", "loihi9"])
def test_a_device_that_prices_no_spikes_leaves_nothing(spikeport, net, frames, tmp_path, hardware):
    code, _, err = spikeport("profile", net, "--input", frames, "--hardware", hardware, "--out", "page")
    assert code == 2
    assert hardware in one_line(err)
    assert not (tmp_path / "page").exists()


def test_a_folder_that_holds_something_else_is_left_alone(spikeport, net, frames, tmp_path):
    """A run's folder above all: its report must not be written over."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "manifest.json").write_text("{}")
    (tmp_path / "file").write_text("mine")
    for out, words in (("run", "holds files that are not a report"), ("file", "this is not a folder")):
        code, _, err = spikeport("profile", net, "--input", frames, "--out", out)
        assert code == 2
        assert words in one_line(err)
    assert [entry.name for entry in (tmp_path / "run").iterdir()] == ["manifest.json"]
    assert (tmp_path / "file").read_text() == "mine"
