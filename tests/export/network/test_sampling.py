"""Samples are drawn by class: every class is in them, every row has its chance, and a seed gives the same again."""

import json

import numpy as np
import pytest

from spikeport.export.backends.compare_backends import compare_backends
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.formats.frames_file import write_frames
from spikeport.export.formats.netx.write import read_netx
from spikeport.export.network.sampling import draw, words
from spikeport.export.network.spike_trace import load_trace
from spikeport.pipeline.report.write import choose_samples

SORTED = np.repeat([0, 1, 2], [60, 30, 10])  # sorted by class, as test parts are


def test_twenty_of_a_set_sorted_by_class_are_of_every_class_in_proportion():
    """One of each class, and the other 17 as 59 : 29 : 9 by largest remainders: 10, 5, 2."""
    drawn = draw(20, 100, SORTED, seed=4)
    assert np.bincount(SORTED[drawn.rows]).tolist() == [11, 6, 3]
    assert (np.diff(drawn.rows) > 0).all()
    assert drawn.as_dict() == {"rows": drawn.rows.tolist(), "of": 100, "seed": 4, "classes": 3}


def test_the_least_class_is_there_as_soon_as_the_number_allows():
    labels = np.repeat([0, 1, 2, 3], [997, 1, 1, 1])
    assert np.unique(labels[draw(4, 1000, labels).rows]).tolist() == [0, 1, 2, 3]
    classes = {tuple(labels[draw(2, 1000, labels, seed=seed).rows]) for seed in range(60)}
    assert classes == {(a, b) for a in range(4) for b in range(a + 1, 4)}


def test_every_row_of_a_class_is_drawn_as_often():
    """2 of 6 rows of class 1, over 3000 seeds: 1000 times each, give or take five standard deviations (26)."""
    labels = np.repeat([0, 1], [6, 6])
    times = sum(np.bincount(draw(4, 12, labels, seed=seed).rows, minlength=12) for seed in range(3000))
    assert (np.abs(times - 1000) < 130).all()


def test_the_same_seed_draws_the_same_and_another_others():
    rows = [draw(20, 100, SORTED, seed=seed).rows.tolist() for seed in (3, 3, 4)]
    assert rows[0] == rows[1] != rows[2]


def test_without_labels_any_row_may_come_and_no_class_is_claimed():
    for labels in (None, np.full(50, -1)):
        drawn = draw(5, 50, labels, seed=1)
        assert (len(set(drawn.rows.tolist())), drawn.classes) == (5, 0)
        assert words(drawn.as_dict()) == "5 of 50 recordings drawn at random, seed 1"
    assert set(np.concatenate([draw(5, 50, seed=seed).rows for seed in range(100)]).tolist()) == set(range(50))


def test_asked_for_all_or_more_it_takes_all_in_order():
    for count in (3, 9):
        drawn = draw(count, 3, np.array([2, 0, -1]))
        assert (drawn.rows.tolist(), drawn.whole, drawn.classes) == ([0, 1, 2], True, 2)
    assert words(drawn.as_dict()) == "all 3 recordings"


def test_pictures_are_drawn_from_all_that_were_recognized_and_all_that_were_not():
    labels, predicted = np.repeat([0, 1], 20), np.tile([0, 1], 20)
    chosen = np.array([choose_samples(labels, predicted, seed=seed) for seed in range(200)])
    right = set(np.flatnonzero(labels == predicted).tolist())
    assert set(chosen[:, 0].tolist()) == right
    assert set(chosen[:, 1].tolist()) == set(range(40)) - right


@pytest.fixture
def sorted_frames(tmp_path):
    """Thirty samples of three classes, sorted; every one different."""
    frames = (np.random.default_rng(8).random((30, 6, 5)) < 0.6).astype(np.uint8)
    labels = np.repeat([0, 1, 2], 10)
    write_frames(tmp_path / "many.npz", frames, labels)
    return tmp_path / "many.npz", frames, labels


def test_simulate_draws_its_samples_by_class_and_pairs_each_with_its_label(spikeport, net, sorted_frames, tmp_path):
    """By hand: the whole set simulated, and of it the rows that the result names."""
    path, frames, labels = sorted_frames
    whole = simulate(read_netx(net), frames)
    code, out, _ = spikeport(
        "simulate", net, "--input", path, "--samples", 6, "--seed", 5, "--json", "-q", "--out", tmp_path / "t.npz"
    )
    result = json.loads(out)
    rows = result["drawn"]["rows"]
    assert (code, labels[rows].tolist()) == (0, [0, 0, 1, 1, 2, 2])
    assert rows != list(range(6))
    right = read_netx(net).readout.classes(whole.spikes)[rows] == labels[rows]
    assert result["accuracy"] == pytest.approx(right.mean())
    trace = load_trace(tmp_path / "t.npz")
    np.testing.assert_array_equal(trace.rows, rows)
    np.testing.assert_array_equal(trace.spikes, whole.spikes[rows])
    _, out, _ = spikeport("simulate", net, "--input", path, "--samples", 6, "--seed", 5, "-q")
    assert "6 of 30 samples drawn by class, seed 5" in out


def test_a_divergence_names_the_sample_of_the_whole_set(net, sorted_frames, monkeypatch, tmp_path):
    """Lava's spikes of the second sample drawn, row 17 of the set, are turned over at step 2, neuron 1."""
    _, frames, _ = sorted_frames
    network, rows = read_netx(net), np.array([3, 17, 22])

    def altered(network, frames, **_):
        trace = simulate(network, frames, keep_layers=True)
        trace.layer_spikes[0][1, 2, 1] ^= 1
        return trace

    monkeypatch.setattr("spikeport.export.backends.lava.driver.simulate", altered)
    found = compare_backends(network, frames[rows], sample_numbers=rows, case_folder=tmp_path)
    place = found.comparison.first_divergence
    assert (place.sample, place.step, place.neuron) == (17, 2, (1,))
    assert found.case.name.endswith("sample-17")
    with np.load(found.case / "case.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["frames"], frames[17:18])


def test_the_report_pairs_lavas_answers_with_the_recordings_that_were_drawn(tmp_path, monkeypatch):
    """Six test recordings of three classes, sorted; Lava reads one of each and says what the reference says."""
    from finished_folder import finished_folder

    from spikeport.pipeline.run.run_folder import open_run
    from spikeport.pipeline.stages import deploy as stages_deploy
    from spikeport.pipeline.stages import report as stages_report
    from spikeport.pipeline.stages.context import Context
    from spikeport.pipeline.stages.runner import record

    monkeypatch.setenv("SPIKEPORT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        "spikeport.export.backends.lava.driver.simulate",
        lambda network, frames, **_: simulate(network, np.asarray(frames), keep_layers=True),
    )
    folder = finished_folder(tmp_path, "run", seed=3)
    context = Context(open_run(folder))
    labels = context.dataset.test.labels
    assert labels.tolist() == sorted(labels)
    monkeypatch.setattr(stages_deploy, "_student_against_reference", lambda *_: alike(6))
    output = stages_deploy.check(context, samples=3, seed=2)
    result = output.result.to_json()
    rows = result["comparisons"]["reference_vs_lava"]["drawn"]["rows"]
    assert (sorted(labels[rows].tolist()), result["comparisons"]["reference_vs_lava"]["mismatches"]) == ([0, 1, 2], 0)
    assert rows != [0, 1, 2]
    predicted = np.array(context.run.result("simulate")["predicted"])
    assert result["predicted"]["lava"] == predicted[rows].tolist()
    monkeypatch.setattr(stages_deploy, "CHECK_SAMPLES", 2)  # fewer than there are classes
    of_itself = stages_deploy.check(context).result.to_json()
    assert sorted(labels[of_itself["comparisons"]["reference_vs_lava"]["drawn"]["rows"]].tolist()) == [0, 1, 2]
    record(context.run, "check", output, 0.0)
    record(context.run, "report", stages_report.report(context), 0.0)
    report = json.loads((folder / "report.json").read_text())
    entry = report["accuracy"]["lava"]
    assert entry["value"] == pytest.approx(np.mean(predicted[rows] == labels[rows]))
    assert entry["drawn"] == {"of": 6, "seed": 2, "classes": 3}
    assert (entry["change"]["n"], entry["change"]["value"]) == (3, 0)
    assert "3 drawn by class, seed 2" in (folder / "report.md").read_text()
    assert "3 drawn by class, seed 2" in (folder / "report.html").read_text()
    table = (folder / "samples.csv").read_text().splitlines()
    column = table[0].split(",").index("lava")
    assert [row for row, line in enumerate(table[1:]) if line.split(",")[column]] == rows

    without = {k: v for k, v in result["comparisons"]["reference_vs_lava"].items() if k != "drawn"}
    old = {"comparisons": result["comparisons"] | {"reference_vs_lava": without}}
    context.run.record("check", old | {"predicted": {"lava": predicted[:3].tolist()}}, (), 0.0)
    record(context.run, "report", stages_report.report(context), 0.0)
    report = json.loads((folder / "report.json").read_text())
    entry = report["accuracy"]["lava"]
    assert entry["value"] == pytest.approx(np.mean(predicted[:3] == labels[:3]))
    assert (entry["low"], entry["high"]) == (None, None)
    assert "not drawn at random" in entry["reason"]
    assert (
        "no interval: the first recordings of the test part, not drawn at random" in (folder / "report.md").read_text()
    )


def alike(samples):
    from spikeport.export.backends.compare import SpikeComparison

    return SpikeComparison(
        samples=samples,
        layers=("fc",),
        spikes_compared=9,
        entries_compared=90,
        mismatches=0,
        first_divergence=None,
    )
