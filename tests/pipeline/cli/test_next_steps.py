"""A request that comes too early, or with another kind of file, is refused with the step that leads on."""

import json

import numpy as np
import pytest
from cli_inputs import one_line

import spikeport as sp
from spikeport.export.formats.frames_file import read_frames

EVENTS = np.zeros(50, np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")]))
TINY = {"data.train": 30, "data.validation": 10, "data.test": 12, "student.channels": [2], "teacher.epochs": 0,
        "quantization.epochs": 0, "check.backends": [], "distillation.train_baseline": False}  # fmt: skip


def test_a_run_that_was_only_trained_says_how_it_goes_on(spikeport, frames, tmp_path):
    tiny = [word for key, value in TINY.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    code, _, err = spikeport("train", "digits", *tiny, "--method", "baseline", "--epochs", 1, "--out", "mine", "-q")
    assert code == 0, err
    for words in (("check", "mine"), ("simulate", "mine", "--input", frames)):
        code, out, err = spikeport(*words)
        assert (code, out) == (2, "")
        line = one_line(err)
        assert "mine: this run has no student.net yet: its stage export has not run" in line
        assert "spikeport run mine --resume runs the remaining stages" in line
    assert spikeport("export", "mine", "--out", "made")[0] == 0
    words = ("--input", "made/test-frames.npz", "--json")
    printed = [spikeport("simulate", net, *words)[1] for net in ("mine", "mine/student.net", "made/student.net")]
    assert printed[0] == printed[1] == printed[2]
    assert json.loads(printed[0])["samples"] == 12


def test_a_folder_that_is_no_run_is_no_network(spikeport, frames, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, err = spikeport("simulate", "empty", "--input", frames)
    assert code == 2
    assert "empty: this is a folder, not a .net file. Hint: name a .net file, or a run folder" in one_line(err)


@pytest.mark.parametrize(
    ("name", "arrays", "fault"),
    [
        ("e.npy", EVENTS, "the array has records of t, x, y, p, not frames"),
        ("e.npz", {"frames": EVENTS}, "frames has records of t, x, y, p, not frames"),
        ("e.npz", {"events": EVENTS}, "holds ['events'], not `frames`"),
        ("e.npz", {key: EVENTS[key] for key in "txyp"}, "holds ['p', 't', 'x', 'y'], not `frames`"),
    ],
)
def test_events_in_place_of_frames_are_called_events(spikeport, net, tmp_path, name, arrays, fault):
    np.savez(tmp_path / name, **arrays) if isinstance(arrays, dict) else np.save(tmp_path / name, arrays)
    code, _, err = spikeport("simulate", net, "--input", name)
    assert code == 2
    line = one_line(err)
    assert f"{name}: {fault}. Hint: these are events, which a recipe bins to frames: spikeport frames RECIPE" in line


@pytest.mark.parametrize(("part", "count"), [("test", 0), ("validation", 5), ("train", 30)])
def test_the_way_to_frames_that_the_hint_names(spikeport, tmp_path, monkeypatch, part, count):
    """They are those of the data set with their classes; a draw takes whole samples of all classes."""
    monkeypatch.setenv("SPIKEPORT_CACHE", str(tmp_path / "cache"))
    settings = {"data.test": 7, "data.validation": 9, "data.train": 40}
    more = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    words = ("frames", "digits", "--part", part, "--count", count, "--out", "frames.npz", *more)
    code, out, err = spikeport(*words, "--json")
    assert code == 0, err
    keys = json.loads(out)["recordings"]
    read, labels = read_frames(tmp_path / "frames.npz", (2, 28, 28))
    found = getattr(sp.load_dataset(sp.load_recipe("digits", settings)), part)
    assert len(keys) == len(read) == (count or 7)
    rows = [found.keys.index(key) for key in keys]
    assert len(set(rows)) == len(rows)
    np.testing.assert_array_equal(read, np.asarray(found.frames[:])[rows])
    np.testing.assert_array_equal(labels, found.labels[rows])
    if part == "train":
        assert set(labels) == set(range(10))
    assert spikeport(*words)[0] == 0, "frames of before may be replaced"
    (tmp_path / "frames.npz").write_text("mine")
    code, _, err = spikeport(*words)
    assert code == 2
    assert "this file exists and is not a file of frames" in one_line(err)
    assert spikeport("frames", "digits", "--out", "frames.txt", *more)[0] == 2


@pytest.mark.parametrize(
    ("shape", "hint"), [((6, 5), True), ((1, 6, 5), False), ((6, 4), False), ((2, 6, 4), False), ((6, 5, 1), True)]
)
def test_one_sample_without_its_axis(spikeport, net, tmp_path, shape, hint):
    np.save(tmp_path / "one.npy", np.zeros(shape, np.uint8))
    code, _, err = spikeport("simulate", net, "--input", "one.npy")
    assert ("this is one sample; add the axis of samples: frames[None]" in err) is hint
    assert code == (0 if shape == (1, 6, 5) else 2)
    if len(shape) == 2:
        with pytest.raises(sp.UserError) as refused:
            sp.simulate(sp.load_network(net), np.zeros(shape, np.uint8))
        assert ("frames[None]" in str(refused.value)) is hint


def test_frames_of_another_type_and_other_records(spikeport, net, tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 6, 5), np.float32))
    assert (
        "the array has the type float32, not integers. Hint: binarize"
        in spikeport("simulate", net, "--input", "a.npy")[2]
    )
    np.save(tmp_path / "b.npy", np.zeros(4, np.dtype([("age", "i4"), ("name", "S3")])))
    err = spikeport("simulate", net, "--input", "b.npy")[2]
    assert "the array has records of age, name, not frames. Hint: write it with numpy.savez" in err
