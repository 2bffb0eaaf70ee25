"""`data check`: every fault of own recordings is named, and the written recipe reads the true events.

The oracle is a recipe written by hand for the same events in clean files: frames must be equal.
"""

import json
import shutil

import numpy as np
import pytest
from cli_inputs import one_line
from own_recordings import COUNTS, write_csv, write_npy, write_npz, write_set, write_table

import spikeport as sp
from spikeport.pipeline.data.own_data.sensors import SensorGuess
from spikeport.pipeline.run.recipe_file import load_recipe

BY_HAND = """
name = "by-hand"
[data]
source = "class-folders"
root = "."
events = "clean"
height = 48
width = 64
steps = 10
step_us = 31000
validation = 4
test = 9
[distillation]
method = "baseline"
"""


def scaled(factor, kind: type = np.int64):
    return lambda columns: columns | {"t": (columns["t"] * factor).astype(kind)}


def unsorted(columns):
    """The last half comes first. Times are unique, so that one order is right."""
    t = np.arange(len(columns["t"])) * 200
    return {name: np.roll(column, 700) for name, column in (columns | {"t": t}).items()}


FAULTS = {  # the files, and the settings that they need
    "milliseconds": ({"change": scaled(1e-3)}, {"time_unit": "ms"}),
    "nanoseconds": ({"change": scaled(1e3)}, {"time_unit": "ns"}),
    "seconds with fractions": ({"change": scaled(1e-6, float)}, {"time_unit": "s"}),
    "milliseconds with fractions": (
        {"change": lambda c: c | {"t": c["t"] / 1e3 + 0.0004 * (c["t"] > 0)}},
        {"time_unit": "ms"},
    ),
    "from 1": (
        {"change": lambda c: c | {"x": c["x"] + 1, "y": c["y"] + 1}},
        {"sensor": (65, 49), "crop": (1, 1, 64, 48)},
    ),
    "signed polarity": ({"change": lambda c: c | {"p": 2 * c["p"] - 1}}, {}),
    "unnamed columns": ({"writers": (write_table,)}, {"columns": "xypt"}),
    "several formats": ({"writers": (write_npy, write_csv, write_npz)}, {}),
}
NAMED = {
    "milliseconds": "times seem to be in ms",
    "nanoseconds": "times seem to be in ns",
    "seconds with fractions": "times seem to be in s",
    "milliseconds with fractions": "times seem to be in ms",
    "from 1": "coordinates seem to count from 1",
    "signed polarity": "47 of 47 files have the codes -1 and 1",
    "unnamed columns": '47 files have columns without names, likely in the order "xypt"',
}


@pytest.fixture
def by_hand(spikeport, tmp_path):
    """Frames of the clean set, as a recipe by hand reads them."""

    def frames(change=dict):
        write_set(tmp_path / "clean", change)
        (tmp_path / "hand.toml").write_text(BY_HAND)
        return parts_of("hand.toml")

    return frames


def parts_of(recipe):
    data = sp.load_dataset(recipe)
    return [(part.keys, np.asarray(part.frames)) for part in (data.train, data.validation, data.test)]


def flat(text):
    return " ".join(text.split())


def same(one, other):
    return all(a[0] == b[0] and np.array_equal(a[1], b[1]) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_and_the_written_recipe_reads_the_true_events(spikeport, by_hand, tmp_path, fault):
    files, settings = FAULTS[fault]
    expected = by_hand()
    write_set(tmp_path / "mine", **files)
    code, out, err = spikeport("data", "check", "mine", "--write-recipe", "mine.toml")
    assert (code, err) == (0, "")
    assert NAMED.get(fault, "") in flat(out)
    data = load_recipe(tmp_path / "mine.toml").data
    special = {key: getattr(data, key) for key in ("columns", "time_unit", "sort", "sensor", "crop")}
    default = {"columns": "", "time_unit": "us", "sort": False, "sensor": (), "crop": ()}
    assert special == default | settings
    assert same(parts_of("mine.toml"), expected)
    assert spikeport("data", "info", "mine.toml")[2] == ""


def test_clean_recordings_have_no_finding(spikeport, by_hand, tmp_path):
    expected = by_hand()
    found = sp.check_data(tmp_path / "clean", write_recipe=tmp_path / "new.toml")
    assert (found.findings, found.unreadable) == ((), ())
    assert found.by_class == {name: (count, 0) for name, count in COUNTS.items()}
    assert found.formats == {".npy": 47}
    assert (found.sensor.width, found.sensor.height, found.codes) == (64, 48, (0, 1))
    assert found.duration_us == {"least": 300_000, "median": 300_000.0, "most": 300_000}
    assert "300 ms" in repr(found)
    assert same(parts_of(tmp_path / "new.toml"), expected)


def test_unsorted_files_are_sorted(spikeport, by_hand, tmp_path):
    def in_order(columns):
        return columns | {"t": np.arange(len(columns["t"])) * 200}

    expected = by_hand(in_order)
    write_set(tmp_path / "mine", unsorted)
    code, out, _ = spikeport("data", "check", "mine", "--write-recipe", "mine.toml", "--json")
    assert code == 0
    found = json.loads(out)
    assert [each["topic"] for each in found["findings"]] == ["order"]
    assert "47 of 47 files are not sorted by time, by up to 299.8 ms" in found["findings"][0]["text"]
    assert found["settings"]["sort"] is True
    hand, mine = sp.load_recipe("hand.toml"), sp.load_recipe("mine.toml")
    assert (mine.data.step_us, hand.data.step_us) == (30_000, 31_000)  # 299.8 ms in 10 steps
    expected = parts_of(sp.load_recipe("hand.toml", {"data.step_us": 30_000}))
    assert same(parts_of("mine.toml"), expected)


def test_what_cannot_be_read_is_listed_and_the_others_are_checked(spikeport, by_hand, tmp_path):
    write_set(tmp_path / "mine")
    content = (tmp_path / "mine" / "ring" / "03.npy").read_bytes()
    (tmp_path / "mine" / "ring" / "03.npy").write_bytes(content[:999])
    (tmp_path / "mine" / "ring" / "notes.pdf").write_bytes(b"1")
    code, out, err = spikeport("data", "check", "mine", "--write-recipe", "mine.toml")
    assert code == 1
    assert "2 files cannot be read. Hint: " in one_line(err)
    text = flat(out)
    assert "mine/ring/03.npy: this event file cannot be read: its header states" in text
    assert "mine/ring/notes.pdf: no reader for notes.pdf. Hint: convert it to" in text
    assert "ring 10" in " ".join(text.split())
    assert "#   mine/ring/03.npy: this event file cannot be read" in (tmp_path / "mine.toml").read_text()
    assert spikeport("data", "info", "mine.toml")[0] == 2
    for name in ("03.npy", "notes.pdf"):
        (tmp_path / "mine" / "ring" / name).unlink()
    expected = by_hand()
    shutil.rmtree(tmp_path / "clean")
    write_set(tmp_path / "clean")
    (tmp_path / "clean" / "ring" / "03.npy").unlink()
    expected = parts_of("hand.toml")
    assert same(parts_of("mine.toml"), expected)


def test_duplicates_are_named_within_a_class_across_classes_and_across_parts(tmp_path):
    train = write_set(tmp_path / "mine" / "train")
    test = write_set(tmp_path / "mine" / "test", counts={"circle": 3, "ring": 2}, seed=5000)
    shutil.copy(train / "circle" / "00.npy", train / "circle" / "99.npy")
    shutil.copy(train / "cross" / "01.npy", train / "square" / "98.npy")
    shutil.copy(train / "ring" / "02.npy", test / "ring" / "97.npy")
    found = sp.check_data(tmp_path / "mine")
    texts = [each.text for each in found.findings if each.topic == "duplicates"]
    assert sorted(texts) == [
        "circle/00.npy, circle/99.npy have the same content: keep one of them, or it may be trained on and tested",
        "cross/01.npy, square/98.npy have the same content, in different classes: one of the labels is wrong",
        "ring/02.npy, ring/97.npy have the same content, in training and test: remove it from training",
    ]


def test_train_and_test_folders_become_the_official_parts(spikeport, tmp_path):
    write_set(tmp_path / "mine" / "train")
    write_set(tmp_path / "mine" / "test", counts={"cross": 3, "ring": 2}, seed=5000)
    code, out, _ = spikeport("data", "check", "mine", "--write-recipe", "mine.toml", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["classes"]["ring"] == {"recordings": 11, "test": 2}
    assert found["classes"]["square"] == {"recordings": 10, "test": 0}
    data = sp.load_dataset("mine.toml")
    assert sorted(data.test.keys) == [
        f"test/{name}" for name in ("cross/00", "cross/01", "cross/02", "ring/00", "ring/01")
    ]
    assert (len(data.train.keys), len(data.validation.keys)) == (43, 4)


def test_a_sample_by_class_is_read_and_said(spikeport, tmp_path):
    write_set(tmp_path / "mine")
    code, out, _ = spikeport("data", "check", "mine", "--samples", "8", "--seed", "3")
    assert code == 0
    assert "47 in 4 classes (8 of 47" in flat(out)
    assert "seed 3" in flat(out)


def test_other_lengths_units_persons_and_small_classes_are_remarked(tmp_path):
    write_set(tmp_path / "mine", counts={"cross": 20, "ring": 3})
    for number, file in enumerate(sorted((tmp_path / "mine").rglob("*.npy"))):
        file.rename(file.with_stem(f"user{number % 4}_{file.stem}"))
    write_npy(tmp_path / "mine" / "ring" / "user1_x", {name: np.arange(3) % 2 for name in "txyp"})
    found = {each.topic: each.text for each in sp.check_data(tmp_path / "mine").findings}
    assert "ring/user1_x.npy last 100 times longer or shorter than the median" in found["durations"]
    assert "ring/user1_x.npy have less than a twentieth of the events" in found["events"]
    assert "file names begin with 4 words (user0, user1, user2, ...)" in found["groups"]
    assert found["classes"].startswith("classes are unequal: 4 to 20") or "ring (4)" in found["classes"]


@pytest.mark.parametrize(
    ("box", "sensor", "frame"),
    [
        ((0, 33, 0, 33), (34, 34), (34, 34)),
        ((2, 120, 1, 125), (128, 128), (64, 64)),
        ((0, 345, 3, 259), (346, 260), (64, 48)),
        ((5, 1270, 0, 719), (1280, 720), (64, 36)),
        ((1, 640, 1, 480), (640, 480), (64, 48)),
        ((0, 63, 0, 47), (64, 48), (64, 48)),
        ((10, 99, 20, 199), (100, 200), (32, 64)),
    ],
)
def test_sensor_and_frame_of_a_bounding_box(box, sensor, frame):
    found = SensorGuess.of(box)
    assert ((found.width, found.height), found.frame) == (sensor, frame)


def test_the_size_in_all_headers_is_the_sensor_if_events_lie_in_it():
    box = (3, 99, 2, 199)
    found = SensorGuess.of(box, [(640, 480)] * 2)
    assert (found.width, found.height, found.stated) == (640, 480, True)
    for stated in ([(640, 480), None], [(640, 480), (320, 240)], [(99, 480)], [None], []):
        found = SensorGuess.of(box, stated)
        assert (found.width, found.height, found.stated) == (100, 200, False)


def test_a_header_states_the_sensor(tmp_path):
    """One event of DAT: time 5, x 3, y 2, ON."""
    word = 3 | 2 << 14 | 1 << 28
    event = (5).to_bytes(4, "little") + word.to_bytes(4, "little")
    header = b"% Version 2\n% Height 240\n% Width 304\n% end\n"
    (tmp_path / "one.dat").write_bytes(header + b"\x0c\x08" + event)
    found = sp.describe_recording(tmp_path / "one.dat")
    assert (found.sensor.width, found.sensor.height, found.sensor.stated, found.unknown()) == (304, 240, True, [])
    assert found.facts.box == (3, 3, 2, 2)


def test_nothing_is_overwritten_and_nothing_is_guessed_without_recordings(spikeport, tmp_path):
    write_set(tmp_path / "mine", counts={"cross": 2, "ring": 2})
    (tmp_path / "mine.toml").write_text("mine")
    code, out, err = spikeport("data", "check", "mine", "--write-recipe", "mine.toml")
    assert (code, out) == (2, "")
    assert "mine.toml: this file exists" in one_line(err)
    assert (tmp_path / "mine.toml").read_text() == "mine"
    assert spikeport("data", "check", "nowhere")[0] == 3
    for file in (tmp_path / "mine").rglob("*.npy"):
        file.write_bytes(b"")
    code, _, err = spikeport("data", "check", "mine")
    assert code == 2
    assert "mine: no recording can be read" in one_line(err)


def test_a_written_recipe_trains(spikeport, tmp_path):
    write_set(tmp_path / "mine", scaled(1e-3))
    assert spikeport("data", "check", "mine", "--write-recipe", "mine.toml")[0] == 0
    code, _, err = spikeport("train", "mine.toml", "--epochs", "1", "--set", "quantization.epochs=1", "--quiet")
    assert code == 0, err
    assert (tmp_path / "runs" / "mine").is_dir()


@pytest.mark.parametrize(
    ("box", "from_one", "size"),
    [
        ((1, 64, 1, 48), True, (64, 48)),
        ((1, 346, 1, 251), True, (346, 260)),
        ((1, 21, 1, 21), False, (22, 22)),
        ((1, 34, 1, 33), True, (34, 34)),
        ((0, 64, 1, 48), False, (65, 49)),
    ],
)
def test_only_the_size_of_a_sensor_counts_from_one(
    box: tuple[int, int, int, int], from_one: bool, size: tuple[int, int]
) -> None:
    """A box from 1 that ends inside a sensor loses nothing: the sensor begins at 0."""
    found = SensorGuess.of(box)
    assert (found.from_one, (found.width, found.height)) == (from_one, size)
