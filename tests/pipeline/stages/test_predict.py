"""New event files get the class, the spikes and the events that the run's own trace and plain NumPy give for them."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from cli_inputs import one_line
from data_folders import CLASSES, EACH, HEIGHT, WIDTH, write_recording
from finished_folder import finished_folder

import spikeport as sp
from spikeport.export.network.readout import Readout
from spikeport.pipeline.report.content.words import NO_ANSWER
from spikeport.pipeline.stages import predict as module
from spikeport.pipeline.stages.file_predictions import FilePrediction, FilePredictions

HEAD = ["recording", "class", "silent", "margin", "spikes_ant", "spikes_bee", "spikes_cat", "events"]
READINGS = {
    "as stored": {},
    "turned and cropped": {"orientation": "mirror-x", "sensor": (14, 11), "crop": (1, 2, 11, 7), "window": "last"},
    "ms, whole": {"time_unit": "ms", "window": "whole"},
    "rotated, few steps": {"orientation": "rotate-180", "steps": 3, "window": "centre"},
}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEPORT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def run(tmp_path: Path, cache: None) -> Path:
    return finished_folder(tmp_path, "mine", seed=1)


def file_of(root: Path, key: str) -> Path:
    return root / "events" / f"{key}.npz"


def held_out(opened: sp.Run) -> list[str]:
    return list(opened.dataset.test.keys)


@pytest.mark.parametrize("most", [1, 4 * 5 * 2 * HEIGHT * WIDTH, 2**26])
@pytest.mark.parametrize("reading", READINGS)
def test_test_recordings_are_classified_as_in_the_trace_of_the_run(tmp_path, cache, monkeypatch, reading, most):
    opened = sp.open_run(finished_folder(tmp_path, "mine", seed=2, threshold=40, **READINGS[reading]))
    monkeypatch.setattr(module, "CHUNK_BYTES", most)
    keys = held_out(opened)
    found = sp.predict(opened, [file_of(tmp_path, key) for key in keys])
    classes, counts = opened.trace.classes(), opened.trace.spikes.sum(axis=1)
    assert len(set(classes.tolist()) - {-1}) > 1
    assert [row.predicted for row in found] == [NO_ANSWER if n < 0 else CLASSES[n] for n in classes]
    np.testing.assert_array_equal([row.scores for row in found], counts)
    ordered = np.sort(counts, axis=1)
    assert [row.margin for row in found] == (ordered[:, -1] - ordered[:, -2]).tolist()
    assert [row.recording for row in found] == [str(file_of(tmp_path, key)) for key in keys]
    assert [row.events for row in found] == opened.dataset.test.facts["in_window"].tolist()
    assert found.accuracy is None
    assert (found.classes, found.score, found.unread) == (CLASSES, "spikes", ())


def test_events_in_the_window_are_those_before_its_end(tmp_path, run):
    path = tmp_path / "new.npz"
    np.savez(path, t=np.array([7, 20, 56, 57, 90]), x=np.arange(5), y=np.arange(5), p=np.array([0, 1, 1, 0, 1]))
    (row,) = sp.predict(run, path)
    assert row.events == 3  # five steps of 10 us from the first event at 7


def test_a_folder_of_the_classes_gives_an_accuracy(tmp_path, run, spikeport):
    found = sp.predict(run, tmp_path / "events")
    files = [str(file_of(tmp_path, f"{name}/{i:03}")) for name in CLASSES for i in range(EACH)]
    assert [row.recording for row in found] == files
    assert [row.label for row in found] == [name for name in CLASSES for _ in range(EACH)]
    hits = sum(row.label == row.predicted for row in found)
    assert 0 < hits < len(files)
    assert found.accuracy is not None
    assert (found.accuracy["value"], found.accuracy["n"]) == (hits / len(files), len(files))
    code, out, err = spikeport("predict", run, tmp_path / "events")
    assert code == 0, err
    assert "note: 24 of these recordings are in the data set of the run, which may be trained on them" in out
    assert "note: 24" in repr(found)
    shutil.copytree(tmp_path / "events", tmp_path / "events of others")
    elsewhere = sp.predict(run, tmp_path / "events of others")
    assert elsewhere.of_dataset == 0
    assert elsewhere.accuracy == found.accuracy
    (tmp_path / "events of others" / "cat" / "link.npz").symlink_to(tmp_path / "events" / "cat" / "000.npz")
    assert sp.predict(run, tmp_path / "events of others").of_dataset == 1
    assert f"accuracy {100 * hits / len(files):.2f} % of {len(files)} given recordings (95 % interval" in out


def test_folders_of_other_names_have_no_labels(tmp_path, run):
    (tmp_path / "events" / "ant").rename(tmp_path / "events" / "wasp")
    found = sp.predict(run, [tmp_path / "events"])
    assert len(found) == 3 * EACH
    assert found.accuracy is None
    one = sp.predict(run, [tmp_path / "events" / "cat"])
    assert [row.label for row in one] == ["cat"] * EACH
    both = sp.predict(run, [tmp_path / "events" / "cat", tmp_path / "events" / "wasp", tmp_path / "events"])
    assert len(both) == 3 * EACH, "each file is classified once"
    assert both.accuracy is not None
    assert (both.accuracy["n"], both.accuracy.get("unlabeled")) == (EACH, 2 * EACH)


def test_a_damaged_file_is_one_line_and_the_others_go_on(tmp_path, run, spikeport):
    folder = tmp_path / "new"
    for n in range(3):
        write_recording(folder / "a" / f"{n}.npz", n)
    (folder / "a" / "1b.npz").write_bytes((folder / "a" / "1.npz").read_bytes()[:200])
    np.savez(folder / "2.npz", t=[0, 1], x=[0, WIDTH], y=[0, 0], p=[0, 1])
    (folder / "empty.bin").write_bytes(b"")
    (folder / "notes.md").write_text("no recording")
    (folder / ".hidden.npz").write_bytes(b"")
    (folder / "a" / "loop").symlink_to(folder)
    code, out, err = spikeport("predict", run, folder, "gone.npz", "odd.jpg", "--json", "--csv", "out.csv")
    assert code == 2
    assert "5 of 8 files could not be read. Hint: the warnings above say why" in one_line(err)
    result = json.loads(out)
    good = [str(folder / "a" / f"{n}.npz") for n in range(3)]
    assert [row["recording"] for row in result["recordings"]] == good
    bad = {Path(entry["recording"]).name: entry["reason"] for entry in result["unread"]}
    assert list(bad) == ["2.npz", "empty.bin", "1b.npz", "gone.npz", "odd.jpg"]
    assert "the file is empty" in bad["empty.bin"]
    assert "no reader for .jpg" in bad["odd.jpg"]
    warnings = [line for line in err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 5
    assert all(name in line for name, line in zip(bad, warnings, strict=True))
    rows = list(csv.reader((tmp_path / "out.csv").open()))
    assert [row[0] for row in rows[1:]] == good
    alone = sp.predict(run, good)
    assert [list(row.scores) for row in alone] == [row["scores"] for row in result["recordings"]]


def test_nothing_but_damaged_files(tmp_path, run, spikeport):
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04")
    code, out, err = spikeport("predict", run, "bad.npz", "--csv", "out.csv")
    assert (code, out) == (2, "out.csv\n")
    assert "1 of 1 files could not be read" in one_line(err)
    assert list(csv.reader((tmp_path / "out.csv").open())) == [HEAD]


def test_an_empty_folder_is_refused(tmp_path, run, spikeport):
    (tmp_path / "new" / "deep").mkdir(parents=True)
    code, out, err = spikeport("predict", run, "new")
    assert (code, out) == (2, "")
    assert "new: no event file is here. Hint: name event files, or folders with files of .bin" in one_line(err)


def test_the_table_of_predictions(tmp_path, run, spikeport):
    events = tmp_path / "events"
    code, out, _ = spikeport("predict", run, events, "--csv", events / "out.csv", "-q")
    assert code == 0
    rows = list(csv.reader((events / "out.csv").open()))
    found = sp.predict(run, events)
    assert len(found) == 3 * EACH, "the table is no recording"
    assert rows[0] == HEAD
    assert rows[1:] == [
        [row.recording, row.predicted, str(int(row.silent)), str(row.margin), *map(str, row.scores), str(row.events)]
        for row in found
    ]
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["recording", "class", "spikes", "ant", "spikes", "bee", "spikes", "cat", "margin", "events"]
    assert lines[2][:2] == [found.rows[0].recording, found.rows[0].predicted]
    assert lines[2][2:] == [str(n) for n in (*found.rows[0].scores, found.rows[0].margin, found.rows[0].events)]
    assert spikeport("predict", run, events, "--csv", events / "out.csv")[0] == 0, "an earlier table is replaced"
    for other in (events / "ant" / "000.npz", run / "layers.csv", run / "student.net"):
        before = other.read_bytes()
        code, _, err = spikeport("predict", run, events, "--csv", other)
        assert code == 2
        assert "Hint: name another --out" in one_line(err)
        assert other.read_bytes() == before


def test_recordings_without_an_output_spike_have_no_class(tmp_path, cache, spikeport):
    run = finished_folder(tmp_path, "quiet", seed=1, threshold=5000)
    found = sp.predict(run, tmp_path / "events")
    assert {(row.predicted, row.silent, row.margin, row.scores) for row in found} == {(NO_ANSWER, True, 0, (0, 0, 0))}
    assert found.accuracy is not None
    assert found.accuracy["value"] == 0
    _, out, _ = spikeport("predict", run, tmp_path / "events")
    assert "silent: 24 of 24 recordings gave no output spike" in out


@pytest.mark.parametrize("over_time", ["sum", "max", "last"])
def test_a_membrane_is_read_out(tmp_path, cache, over_time):
    readout = Readout(kind="membrane", over_time=over_time)
    opened = sp.open_run(finished_folder(tmp_path, "membrane", seed=3, threshold=100_000, readout=readout))
    keys = held_out(opened)
    found = sp.predict(opened, [file_of(tmp_path, key) for key in keys])
    levels = opened.trace.membrane
    assert levels is not None
    levels = levels.astype(np.int64)
    scores = {"sum": levels.sum(1), "max": levels.max(1), "last": levels[:, -1]}[over_time]
    np.testing.assert_array_equal([row.scores for row in found], scores)
    assert [row.predicted for row in found] == [CLASSES[n] for n in scores.argmax(1)]
    assert all(row.margin > 0 and not row.silent for row in found)
    assert found.score == "membrane"


def test_a_linear_readout_is_applied(tmp_path, cache):
    generator = np.random.default_rng(5)
    readout = Readout(kind="linear", weight=generator.normal(size=(3, 3)), bias=generator.normal(size=3))
    opened = sp.open_run(finished_folder(tmp_path, "linear", seed=3, threshold=40, readout=readout))
    found = sp.predict(opened, [file_of(tmp_path, key) for key in held_out(opened)])
    counts = opened.trace.spikes.sum(axis=1, dtype=np.int64)
    expected = counts @ readout.weight.T + 5 * readout.bias
    np.testing.assert_allclose([row.scores for row in found], expected)
    assert Counter(row.predicted for row in found) == Counter(CLASSES[n] for n in expected.argmax(1))


def test_another_backend_gets_the_same_frames(tmp_path, run):
    from spikeport.export.backends.reference.backend import ReferenceBackend

    seen = []

    class Watching(ReferenceBackend):
        def simulate(self, network, frames, **options):
            seen.append(np.array(frames))
            return super().simulate(network, frames, **options)

    opened = sp.open_run(run)
    calls: list[tuple[int, int, str]] = []
    files = [file_of(tmp_path, key) for key in held_out(opened)]
    found = sp.predict(opened, files, backend=Watching(), progress=lambda *state: calls.append(state))
    np.testing.assert_array_equal(np.concatenate(seen), opened.dataset.test.frames)
    assert found == sp.predict(opened, files)
    assert calls == [(n, 6, "recordings") for n in range(1, 7)]


def test_a_run_that_was_only_trained_names_the_command_that_goes_on(tmp_path, run, spikeport):
    manifest = json.loads((run / "manifest.json").read_text())
    del manifest["stages"]["export"]
    (run / "manifest.json").write_text(json.dumps(manifest))
    code, _, err = spikeport("predict", run, tmp_path / "events")
    assert code == 2
    assert "this run has no student.net yet: its stage export has not run" in one_line(err)
    assert f"spikeport run {run} --resume runs the remaining stages" in one_line(err)


def test_a_data_set_of_a_factory_has_no_files(tmp_path, run):
    recipe = run / "recipe.toml"
    recipe.write_text(recipe.read_text().replace('"class-folders"', '"mine:make"'))
    with pytest.raises(sp.UserError, match="mine:make makes the recordings of this run, so event files cannot be read"):
        sp.predict(run, tmp_path / "events")


def test_many_classes_are_printed_by_the_highest_scores():
    classes = tuple(f"c{n:02}" for n in range(13))
    scores = tuple({3: 9, 11: 9, 7: 4}.get(n, 1) for n in range(13))
    row = FilePrediction(recording="a.npz", predicted="c11", silent=False, margin=0, scores=scores, events=5)
    lines = FilePredictions(classes=classes, score="spikes", rows=(row,)).lines()
    assert "c11 9, c03 9, c07 4 " in lines[2]
    narrow = FilePrediction(recording="a.npz", predicted="c11", silent=False, margin=0, scores=scores[:12], events=5)
    assert lines[0].split() == ["recording", "class", "highest", "spikes", "margin", "events"]
    assert "spikes c11" in FilePredictions(classes=classes[:12], score="spikes", rows=(narrow,)).lines()[0]
