"""One own set of 64 x 48 pixels in every format and layout that people have: no row is read wrongly without a word.

Each row is read with exactly the frames that NumPy bins from the same events, or is refused or warned of with words
that name the fault or the setting. Where a setting is named, the row is read with it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import format_writers as fw
import numpy as np
import pytest
import tomli_w
from cli_inputs import one_line
from own_recordings import HEIGHT, WIDTH, Columns, Writer, columns_of, write_npy, write_npz, write_set
from PIL import Image

import spikeport as sp

COUNTS = {"circle": 5, "cross": 4, "ring": 3, "square": 6}
STEPS, STEP_US = 10, 31_000
START = 5_000_000  # us; the first event of a recording is time zero
EPOCH = 1_700_000_000_000_000  # us
Change = Callable[[Columns], Columns]


def at(start: int, by: float = 1, kind: type = np.int64, shift: float = 0) -> Change:
    """Times from `start` us on, in another unit or type; `shift` is added to all but the first."""

    def change(columns: Columns) -> Columns:
        t = (columns["t"] + start) * by
        return columns | {"t": (t + shift * (columns["t"] > 0)).astype(kind)}

    return change


LATER = at(START)


def unsorted(columns: Columns) -> Columns:
    """The last half first. Times are unique, so that one order is right."""
    return {name: np.roll(column, len(column) // 2) for name, column in unique(columns).items()}


def unique(columns: Columns) -> Columns:
    return columns | {"t": np.arange(len(columns["t"])) * 700}


def from_one(columns: Columns) -> Columns:
    return columns | {"x": columns["x"] + 1, "y": columns["y"] + 1}


def inner(columns: Columns) -> Columns:
    """A shape that does not touch the far edges of the sensor."""
    return columns | {"x": columns["x"] * 50 // WIDTH, "y": columns["y"] * 40 // HEIGHT}


@dataclass(frozen=True)
class Row:
    """Files of one kind.

    Attributes:
        write: writes a recording.
        change: what differs from the true events.
        words: in the error or the warning without settings; "": it is read.
        settings: keys of `[data]` with which it is read; None: there are none.
        events: the true events, where they are not the usual ones.
    """

    write: Writer
    change: Change = LATER
    words: tuple[str, ...] = ()
    settings: dict[str, Any] | None = field(default_factory=dict)
    events: Change = dict


U, F = "<u2 <u2", "<f8"
LIKELY = 'data.columns = "'
SECONDS = "times must be whole microseconds: t spans 0.3"
ONE = ("seem to count from 1", "data.sensor = [65, 49] and data.crop = [1, 1, 64, 48]")
ONE_VIEW = {"sensor": [65, 49], "crop": [1, 1, 64, 48]}
ROWS = {
    ".npy, x y t p": Row(fw.fields("x y t p", f"{U} <i8 u1")),
    ".npy, time of 32 bits": Row(fw.fields("x y t p", f"{U} <u4 u1")),
    ".npy, p of type bool": Row(fw.fields("x y t p", f"{U} <i8 ?")),
    ".npy, p of -1 and 1": Row(fw.fields("x y t p", f"{U} <i8 i1"), lambda c: c | {"p": 2 * c["p"] - 1}),
    ".npy, timestamp and polarity": Row(fw.fields("x y timestamp polarity", f"{U} <i8 u1")),
    ".npy, ts and pol": Row(fw.fields("x y ts pol", f"{U} <i8 u1")),
    ".npy, X Y T P": Row(fw.fields("X Y T P", f"{U} <i8 u1")),
    ".npy, time and polarities": Row(fw.fields("x y time polarities", f"{U} <i8 u1")),
    ".npy, other names": Row(fw.fields("x y t phase", f"{U} <i8 u1"), words=("rename the field that holds p to 'p'",),
                             settings=None),
    ".npz, columns and a label": Row(fw.npz_columns()),
    ".npz, other names": Row(fw.npz_columns(t="times", p="polarities")),
    ".npz, one structured array": Row(fw.npz_structured),
    ".npz, structured and a label": Row(fw.npz_structured_and_label),
    ".npy, [N, 4]": Row(fw.npy_table("txyp"), words=(LIKELY,), settings={"columns": "txyp"}),
    ".npz, [N, 4] and a label": Row(fw.npz_table_and_label, words=(LIKELY,), settings={"columns": "txyp"}),
    ".h5, [N, 4]": Row(fw.h5_array("data", "xytp"), words=(LIKELY,), settings={"columns": "xytp"}),
    ".h5, [N, 4] and a label": Row(fw.h5_array("data", "xytp", ("label",)), words=(LIKELY,),
                                   settings={"columns": "xytp"}),
    ".h5, columns at the top": Row(fw.h5_columns("")),
    ".h5, DSEC": Row(fw.h5_columns("events/", ("ms_to_idx", "t_offset"))),
    ".h5, structured of any name": Row(fw.h5_array("recording")),
    ".h5, Metavision's CD/events": Row(fw.h5_array("CD/events", more=("CD/indexes",))),
    ".dat": Row(fw.dat),
    ".raw, EVT 2.0": Row(fw.raw2),
    ".raw, EVT 2.1": Row(fw.raw21),
    ".raw, EVT 3.0": Row(fw.raw3),
    ".aedat 2.0 of a DVS128": Row(fw.aedat2_dvs128),
    ".aedat 2.0 of a DAVIS": Row(fw.aedat2_davis),
    ".aedat 3.1": Row(fw.aedat31),
    ".aedat4": Row(fw.aedat4, at(EPOCH)),
    ".csv with names": Row(fw.text(".csv", ",", "xypt", "x,y,polarity,timestamp\n")),
    ".csv without names": Row(fw.text(".csv", ",", "xypt"), words=(LIKELY,), settings={"columns": "xypt"}),
    ".txt, RPG": Row(fw.text(".txt", " ", "txyp"), words=(LIKELY,), settings={"columns": "txyp"}),
    ".txt, RPG in seconds": Row(fw.text(".txt", " ", "txyp"), at(START, 1e-6, float), words=(LIKELY,),
                                settings={"columns": "txyp", "time_unit": "s"}),
    ".mat, columns": Row(fw.mat_columns),
    ".mat, [N, 4]": Row(fw.mat_table, words=(LIKELY,), settings={"columns": "xytp"}),
    "time from the Unix epoch": Row(write_npz, at(EPOCH)),
    "times in ms": Row(write_npz, at(START, 1e-3), ("are its times in ms?", "data.time_unit"), {"time_unit": "ms"}),
    "times in ns": Row(write_npz, at(START, 1e3), ("are its times in ns?", "data.time_unit"), {"time_unit": "ns"}),
    "times in s, with fractions": Row(write_npz, at(START, 1e-6, float), (SECONDS, "data.time_unit"),
                                      {"time_unit": "s"}),
    "times in us, whole floats": Row(write_npz, at(START, kind=float)),
    "times in us, with fractions": Row(write_npz, at(START, kind=float, shift=0.25),
                                       ("times must be whole microseconds", "numpy.rint(t)"), None),
    "coordinates from 1": Row(write_npz, from_one, ONE, ONE_VIEW),
    "coordinates from 1, no edge": Row(write_npz, lambda c: from_one(inner(c)), ("do the coordinates count from 1?",
                                       *ONE[1:]), ONE_VIEW, inner),
    "x and y swapped": Row(write_npz, lambda c: c | {"x": c["y"], "y": c["x"]},
                           ("x and y seem to be swapped", 'data.orientation = "transpose"'),
                           {"orientation": "transpose"}),
    "polarity 1 and 2": Row(write_npz, lambda c: c | {"p": c["p"] + 1}, ("the polarities 1, 2", "which of them is ON"),
                            None),
    "polarity of 0 and 255": Row(write_npz, lambda c: c | {"p": 255 * c["p"]}, ("the polarities 0, 255",), None),
    "one polarity": Row(write_npz, lambda c: c | {"p": 0 * c["p"] + 1}, ("all events are ON: is polarity lost?",),
                        None),
    "negative time": Row(write_npz, at(-100_000), ("time runs backwards", "before zero"), None),
    "not sorted": Row(write_npz, unsorted, ("time runs backwards", "set data.sort = true"), {"sort": True}, unique),
    "pickled": Row(fw.pickled, words=("Python objects, which are never unpickled", "save plain arrays of numbers"),
                   settings=None),
}  # fmt: skip
WARNED_WHEN_READ = {"not sorted": "events out of order and were sorted"}


def expected(change: Change) -> dict[str, np.ndarray]:
    """Frames `[T, 2, H, W]` of each recording, by its key, binned by NumPy."""
    found = {}
    for label, (name, count) in enumerate(COUNTS.items()):
        for n in range(count):
            columns = change(columns_of(100 * label + n, events=400))
            step = (columns["t"] - columns["t"].min()) // STEP_US
            frames = np.zeros((STEPS, 2, HEIGHT, WIDTH), np.uint8)
            frames[step, columns["p"], columns["y"], columns["x"]] = 1
            found[f"{name}/{n:02}"] = frames
    return found


def frames_of(recipe: str) -> dict[str, np.ndarray]:
    data = sp.load_dataset(recipe)
    return {
        key: frames
        for part in (data.train, data.validation, data.test)
        for key, frames in zip(part.keys, np.asarray(part.frames), strict=True)
    }


def recipe(file: str = "mine.toml", **settings: Any) -> str:
    data = {
        "source": "class-folders", "root": ".", "events": "mine", "height": HEIGHT, "width": WIDTH, "steps": STEPS,
        "step_us": STEP_US, "validation": 2, "test": 4, **settings,
    }  # fmt: skip
    sections = {"name": "mine", "data": data, "distillation": {"method": "baseline"}}
    Path(file).write_text(tomli_w.dumps(sections))
    return file


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)


def written(write: Writer = write_npy, change: Change = LATER) -> None:
    write_set(Path("mine"), change, (write,), COUNTS, events=400)


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_read_or_refused_or_warned_of(spikeport, name: str) -> None:
    row = ROWS[name]
    written(row.write, row.change)
    code, _, err = spikeport("data", "info", recipe())
    assert "Traceback" not in err
    assert "copy it again" not in err
    text = " ".join(err.split())
    if row.words:
        assert ("warning: " in text) if code == 0 else ("Hint: " in one_line(err))
        assert code in (0, 2)
        for words in row.words:
            assert words in text
    if row.settings is None:
        return
    if row.words:
        code, _, err = spikeport("data", "info", recipe(**row.settings))
    assert code == 0
    assert WARNED_WHEN_READ.get(name, "") in err
    assert (err == "") == (name not in WARNED_WHEN_READ)
    assert same(frames_of("mine.toml"), expected(row.events))


def test_files_of_systems_and_notes_above_the_classes_are_passed_over(spikeport) -> None:
    written()
    for place in ("", "circle", "ring"):
        for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._00.npy"):
            Path("mine", place, name).write_bytes(b"\0\1")
    Path("mine", "README.txt").write_text("what is here\n")
    Path("mine", "__MACOSX").mkdir()
    code, _, err = spikeport("data", "info", recipe())
    assert (code, err) == (0, "")
    assert same(frames_of("mine.toml"), expected(dict))
    code, out, err = spikeport("data", "check", "mine")
    assert (code, err) == (0, "")
    assert "Thumbs.db" not in out
    assert "18 in 4 classes" in " ".join(out.split())


def test_a_note_beside_recordings_is_named(spikeport) -> None:
    written()
    Path("mine", "ring", "README.txt").write_text("what is here\n")
    code, _, err = spikeport("data", "info", recipe())
    assert code == 2
    assert "mine/ring/README.txt: " in one_line(err)
    assert "Hint: " in err


def with_images() -> str:
    written()
    for label, (name, count) in enumerate(COUNTS.items()):
        for n in range(count):
            Path("pictures", name).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20, 16), (40 * label, 12 * n, 90)).save(f"pictures/{name}/{n:02}.png")
    return recipe(images="pictures")


def test_all_images_are_there(spikeport) -> None:
    code, _, err = spikeport("data", "info", with_images())
    assert (code, err) == (0, "")
    data = sp.load_dataset("mine.toml")
    assert data.test.paired_images is not None
    assert set(data.static.keys) == set(data.train.keys)


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("pictures/ring/01.png", 2, "mine/ring/01.npy: this recording has no image: there is none with id 1"),
        ("pictures/ring", 2, "pictures/ring: this class has recordings, but no folder of images"),
        ("pictures", 3, "pictures: the folder of static images is not there"),
    ],
)
def test_a_lacking_image_is_named(spikeport, path: str, code: int, words: str) -> None:
    with_images()
    shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink()
    found, _, err = spikeport("data", "info", "mine.toml")
    assert found == code
    assert words in one_line(err)
    assert "Hint: " in err


def test_one_more_class_of_images_is_said(spikeport) -> None:
    with_images()
    shutil.copytree("pictures/ring", "pictures/triangle")
    Path("pictures", ".hidden").mkdir()
    code, _, err = spikeport("data", "info", "mine.toml")
    assert code == 0
    assert "note: images of pictures are left out: no recording is of the class triangle" in err
    assert "hidden" not in err
    assert set(sp.load_dataset("mine.toml").static.keys) == set(sp.load_dataset("mine.toml").train.keys)
